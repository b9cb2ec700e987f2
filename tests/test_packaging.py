"""The library can be built as a wheel and taken along as a zip."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_every_module_and_template(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT]
    subprocess.run([*command], check=True, cwd=tmp_path)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    ours = {str(path.relative_to(ROOT / "lib")) for kind in ("*.py", "*.jinja") for path in (ROOT / "lib").rglob(kind)}
    assert ours <= names


def test_a_zip_of_the_library_finds_its_tasks_and_gives_its_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sparkcoil.zip", "w") as archive:
        for path in (ROOT / "lib").rglob("*.py"):
            archive.write(path, path.relative_to(ROOT / "lib"))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'sparkcoil.zip')!r}); import sparkcoil, sparkcoil.tasks as t; "
        "print(sparkcoil.__file__, t.names(), t.load('text-classification').name); "
        f"from pathlib import Path; from sparkcoil import library; library.copy_into(Path({str(tmp_path / 'code')!r}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "sparkcoil.zip" in said
    assert "text-classification" in said
    copied = {path.relative_to(tmp_path / "code") for path in (tmp_path / "code").rglob("*") if path.is_file()}
    assert copied == {path.relative_to(ROOT / "lib") for path in (ROOT / "lib" / "sparkcoil").rglob("*.py")}
