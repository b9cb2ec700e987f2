"""Writes what is made from the code: the pages in docs/, and the table of tasks in README.md.

python scripts/make_docs.py [WAREHOUSE]
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from pages import images, models, recordings, run_file, tasks, tutorials

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- tasks: made by ./scripts/make_docs -->", "<!-- end of tasks -->"


def pages(warehouse: Path | None = None) -> Mapping[Path, str]:
    """Return every page that is made, whole, by its path; the tutorials' rows are a warehouse's, or else stay as they are."""
    readme, shown = ROOT / "README.md", ROOT / "docs" / "tutorials.md"
    scored = tutorials.results_of(warehouse) if warehouse else {}
    results = {**tutorials.results_in(shown.read_text(encoding="utf-8")), **scored}
    return {
        ROOT / "docs" / "run-file.md": run_file.page(),
        ROOT / "docs" / "tasks.md": tasks.page(),
        ROOT / "docs" / "models.md": models.page(),
        ROOT / "docs" / "recordings.md": recordings.page(),
        ROOT / "docs" / "images.md": images.page(),
        shown: tutorials.page(results),
        readme: with_table(readme.read_text(encoding="utf-8"), tasks.readme_table()),
    }


def with_table(readme: str, table: str) -> str:
    """Return the README with the table between its markers."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


if __name__ == "__main__":
    for path, content in pages(Path(sys.argv[1]) if sys.argv[1:] else None).items():
        path.write_text(content, encoding="utf-8")
