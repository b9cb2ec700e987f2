"""Writes what is made from the code: the pages in docs/, and the table of tasks in README.md."""

from collections.abc import Mapping
from pathlib import Path

from pages import models, recordings, run_file, tasks

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- tasks: made by ./scripts/make_docs -->", "<!-- end of tasks -->"


def pages() -> Mapping[Path, str]:
    """Return every page that is made, whole, by its path."""
    readme = ROOT / "README.md"
    return {
        ROOT / "docs" / "run-file.md": run_file.page(),
        ROOT / "docs" / "tasks.md": tasks.page(),
        ROOT / "docs" / "models.md": models.page(),
        ROOT / "docs" / "recordings.md": recordings.page(),
        readme: with_table(readme.read_text(encoding="utf-8"), tasks.readme_table()),
    }


def with_table(readme: str, table: str) -> str:
    """Return the README with the table between its markers."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
