"""The command line is tested from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.prompt import Prompt
from cli.shell import SHOP, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "shop.py").write_text(SHOP)
    return Shell(tmp_path)


@pytest.fixture
def worker(prompt: Prompt) -> Iterator[subprocess.Popen[str]]:
    """A running `perdure run shop:app` beside the prompt, both with the shop of `shell`."""
    prompt.write(SHOP)
    process = Shell(prompt.directory).popen("run", "shop:app")
    assert process.stderr is not None
    assert "is running" in process.stderr.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Prompt]:
    """`perdure` in a fresh directory with a shop on SQLite."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # modules change faster than the clock of a file system
    prompt = Prompt(tmp_path, capsys)
    prompt.open()
    yield prompt
    sys.modules.pop("shop", None)
