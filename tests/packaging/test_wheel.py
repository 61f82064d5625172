"""What people install."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from email import message_from_bytes
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import pytest

PACKAGES = {"perdure": "runtime", "perdure_adapters": "adapters", "perdure_schema": "schema"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Built by the backend itself: a front end would fetch the backend anew, and fail offline."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def metadata(wheel: ZipFile, name: str) -> bytes:
    (found,) = [entry for entry in wheel.namelist() if entry.endswith(f".dist-info/{name}")]
    return wheel.read(found)


def test_it_has_every_file_of_the_packages_and_no_other(root: Path, sources: list[Path], wheel: ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    roots = set(PACKAGES.values())
    assert packed == {path.relative_to(path.parts[0]).as_posix() for path in sources if path.parts[0] in roots}


def test_it_is_typed_and_has_the_migrations(wheel: ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert [name for name in names if name.startswith("perdure_schema/sqlite/") and name.endswith(".sql")]


def test_its_entry_points_lead_somewhere(wheel: ZipFile) -> None:
    entries = ConfigParser(delimiters=["="])
    entries.read_string(metadata(wheel, "entry_points.txt").decode())
    assert {"sqlite", "memory"} <= set(entries["perdure.stores"])
    assert "perdure" in entries["console_scripts"]
    for section in entries.sections():
        for target in entries[section].values():
            module, _, name = target.partition(":")
            assert not name or callable(getattr(import_module(module), name)), target


def test_its_description(root: Path, wheel: ZipFile) -> None:
    about = message_from_bytes(metadata(wheel, "METADATA"))
    assert (about["Name"], about["Requires-Python"], about["License-Expression"]) == ("perdure", ">=3.11", "MIT")
    assert about.get_payload(decode=True) == (root / "README.md").read_bytes()
    assert metadata(wheel, "licenses/LICENSE") == (root / "LICENSE").read_bytes()
