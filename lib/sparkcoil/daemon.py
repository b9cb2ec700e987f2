"""Spark's Python daemon with torch and transformers imported: workers fork from it, so that an executor imports them once.

Named by `spark.python.daemon.module`. Importing starts no thread of torch and touches no GPU; either would not survive a fork.
"""

import gc
import importlib
import runpy

# What loading and running a model imports anyway, most of it by name, when it is first asked for.
HEAVY = ("pandas", "pyarrow", "torch", "transformers", "transformers.modeling_utils", "mlflow.pyfunc")

if __name__ == "__main__":
    for name in HEAVY:
        importlib.import_module(name)
    # What is there now is never collected, so that the collector's marks do not copy pages which the workers share.
    gc.freeze()
    runpy.run_module("pyspark.daemon", run_name="__main__", alter_sys=True)
