from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """The files that git has, relative to the repository."""
    return listed(root, "--cached")


@pytest.fixture(scope="session")
def sources(root: Path) -> list[Path]:
    """Those, and the new ones that git would take."""
    return listed(root, "--cached", "--others", "--exclude-standard")


def listed(root: Path, *options: str) -> list[Path]:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", *options]
    output = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    return sorted({Path(name) for name in output.split("\0") if name and (root / name).is_file()})
