"""Scores tables of text, audio and images with any Hugging Face transformers model logged in MLflow, on Spark, into Delta."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkcoil.config import RunConfig as RunConfig
    from sparkcoil.estimate import Plan as Plan
    from sparkcoil.forecast import plan as plan
    from sparkcoil.forecast import preview as preview
    from sparkcoil.notebook import register as register
    from sparkcoil.notebook import score as score
    from sparkcoil.notebook import scoring_udf as scoring_udf
    from sparkcoil.page import make_report as make_report
    from sparkcoil.pipeline import run as run
    from sparkcoil.registry import log_model as log_model
    from sparkcoil.report import RunReport as RunReport
    from sparkcoil.runfile import load_config as load_config
    from sparkcoil.session import start_session as start_session
    from sparkcoil.status import Status as Status
    from sparkcoil.stream import run_stream as run_stream

# Imported on first use: a run file is judged without Spark, and an executor loads what it runs alone.
_HOMES = {
    "Plan": "estimate",
    "RunConfig": "config",
    "RunReport": "report",
    "Status": "status",
    "load_config": "runfile",
    "log_model": "registry",
    "make_report": "page",
    "plan": "forecast",
    "preview": "forecast",
    "register": "notebook",
    "run": "pipeline",
    "run_stream": "stream",
    "score": "notebook",
    "scoring_udf": "notebook",
    "start_session": "session",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Return a public name from the module that it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sparkcoil' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sparkcoil.{_HOMES[name]}"), name)
