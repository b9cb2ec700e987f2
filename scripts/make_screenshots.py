"""Makes the pictures of a run's page in docs/: light, dark, and as wide as a phone, of a run over the docstrings, by a browser.

python scripts/make_screenshots.py, after ./scripts/make_examples; it needs Chromium.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from make_tables import docstrings
from pyspark.sql import functions as F
from safetensors.torch import load_file, save_file

import sparkcoil
from sparkcoil import RunConfig
from sparkcoil.registry import write_model

ROOT = Path(__file__).parents[1]
DATA, DOCS = ROOT / ".cache", ROOT / "docs"
ROWS = 1_200
# Width and height in pixels, and the number by which Chromium knows the colour scheme.
SHOTS = {"light": (1100, 1700, 1), "dark": (1100, 1700, 0), "phone": (390, 1500, 1)}


def models(folder: Path) -> tuple[str, str]:
    """Return the docstring classifier, and one that is a little off: its last layer is nearer to nothing."""
    other = folder / "other"
    shutil.copytree(DATA / "models" / "docstring_topic", other)
    weights = load_file(other / "model.safetensors")
    last = next(name for name in weights if name.startswith("classifier") and name.endswith("weight"))
    weights[last][:, ::3] = 0
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    for name, checkpoint in (("topic", DATA / "models" / "docstring_topic"), ("candidate", other)):
        write_model(checkpoint, folder / name, task="text-classification")
    return "topic", "candidate"


def page(folder: Path) -> Path:
    """Score the docstrings in two runs, and return the page of the second one."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    topic, candidate = models(folder)
    os.chdir(folder)  # the page shows paths as they are given
    spark = sparkcoil.start_session(name="screenshots")
    rows = docstrings(spark, DATA).selectExpr("concat_ws('.', module, qualname) AS id", "body").orderBy(F.xxhash64("id"))
    sections = {
        "name": "docstrings-topic",
        "model": {"uri": topic, "options": {"top_k": 3}},
        "source": {"path": "docstrings", "keys": ["id"], "columns": {"text": "nullif(body, '')"}},
        "target": {"path": "docstrings_scored", "publish": "end"},
        "gates": {"max_failed_share": 0.05, "max_label_share": 0.9, "max_label_drift": 0.2},
        "batching": {"chunk_rows": 300, "window_rows": 60},
        "challenger": {"uri": candidate, "share": 0.5},
        "cost": {"per_hour": 1.2},
    }
    config = RunConfig.model_validate(sections)
    for count in (ROWS // 3, ROWS):
        some = rows.limit(count).selectExpr("id", "if(hash(id) % 97 = 0, '', body) AS body")
        some.write.format("delta").mode("overwrite").save("docstrings")
        sparkcoil.run(spark, config)
    made = sparkcoil.make_report(spark, config).write(folder / "report.html")
    spark.stop()
    return made


def main() -> None:
    """Take the pictures."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("make_screenshots: expected chromium or google-chrome on the PATH, found neither")
    with tempfile.TemporaryDirectory() as scratch:
        made = page(Path(scratch))
        for name, (width, height, scheme) in SHOTS.items():
            options = [f"--user-data-dir={scratch}/profile", f"--window-size={width},{height}", "--hide-scrollbars"]
            options += [f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={DOCS / f'report-{name}.png'}"]
            subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", *options, made.as_uri()], check=True)


if __name__ == "__main__":
    main()
