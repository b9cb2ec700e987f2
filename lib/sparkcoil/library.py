"""This library as files: it travels with a staged scorer, and lies beside a logged model, wherever it was imported from."""

import shutil
import zipfile
from pathlib import Path

import sparkcoil


def copy_into(folder: Path) -> None:
    """Put the package into a folder that need not be there; it comes from a folder, or from a zip such as a wheel named by --py-files."""
    package = Path(sparkcoil.__file__).parent
    if package.is_dir():
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        return
    with zipfile.ZipFile(package.parent) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if name.startswith(f"{package.name}/") and "__pycache__" not in name])
