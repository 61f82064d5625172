"""The command line is tested from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.shell import SHOP, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "shop.py").write_text(SHOP)
    return Shell(tmp_path)


@pytest.fixture
def worker(shell: Shell) -> Iterator[subprocess.Popen[str]]:
    """A running `perdure run shop:app`."""
    process = shell.popen("run", "shop:app")
    assert process.stderr is not None
    assert "is running" in process.stderr.readline()
    yield process
    process.kill()
    process.communicate()
