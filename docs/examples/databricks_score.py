"""Score a run on Databricks, whose session is not ours to stop: an exception fails the task, and no exit code is needed.

databricks_score.py CONF [key.path=value ...]
"""

import sys

from pyspark.sql import SparkSession

import sparkcoil

if __name__ == "__main__":
    conf, *settings = sys.argv[1:]
    config = sparkcoil.load_config(conf, settings)
    print(sparkcoil.run(SparkSession.builder.getOrCreate(), config).to_json())
