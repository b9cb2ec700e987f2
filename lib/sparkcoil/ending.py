"""How a job ends: its last line on stdout, what went wrong on stderr, and its exit code."""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sparkcoil.errors import BudgetExceeded, SparkcoilError

# What shells make of a program that Ctrl-C has ended.
INTERRUPTED = 130


def finish(verb: Callable[[], str | None], *, status_file: Path | None = None) -> NoReturn:
    """Do the verb, print its JSON line on stdout, unless it has, and what went wrong on stderr, and exit with the code of errors.py.

    A status file says how it ended by then.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # With MLflow's own numbers a server that does not answer is asked for minutes before anything is said.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    code, raised = 0, None
    try:
        line = verb()
    except BudgetExceeded as error:
        code, line = error.exit_code, error.report.to_json()
        print(f"sparkcoil: {error}", file=sys.stderr)
    except SparkcoilError as error:
        code, raised = error.exit_code, type(error).__name__
        line = json.dumps({"exit_code": code, "error": raised, "message": str(error)})
        print(f"sparkcoil: {error}", file=sys.stderr)
    except Exception as error:
        # Its message may hold what a row holds: of Spark's errors the condition is said, of others the class.
        code, raised = 1, type(error).__name__
        line = json.dumps({"exit_code": code, "error": raised, "message": "see stderr"})
        condition = getattr(error, "getCondition", str)()
        print("".join(traceback.format_tb(error.__traceback__)), raised, condition or "", file=sys.stderr)
    except KeyboardInterrupt:
        code, raised, line = INTERRUPTED, "KeyboardInterrupt", None
    if line is not None:
        print(line, flush=True)
    if status_file:
        from sparkcoil import display

        display.end(status_file, code, raised)
    raise SystemExit(code)
