"""`perdure` as a process, in a directory with a module `shop`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from attrs import define

SHOP = """
from perdure import App, TerminalError, activity, sleep, workflow

@activity
async def add(a: int, b: int) -> int:
    return a + b

@activity
async def refuse(why: str) -> None:
    raise TerminalError(why)

@workflow(version="3")
async def total(a: int, b: int = 2) -> int:
    return await add(a, b)

@workflow
async def nap(seconds: float) -> None:
    await sleep(seconds)

@workflow
async def quarrel(why: str) -> None:
    await refuse(why)

app = App("sqlite:///shop.db", workflows=[total, nap, quarrel], lease=60.0)
"""


@define
class Shell:
    """Runs `perdure` in a directory."""

    directory: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "perdure_adapters.cli", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def output(self, *arguments: str) -> str:
        """What it prints, when all is well."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def complaint(self, code: int, *arguments: str) -> str:
        """What it says, on one line, when it exits with `code`."""
        ran = self.run(*arguments)
        assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
        assert ran.stdout == ""
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert ran.stderr.startswith("perdure: ")
        return ran.stderr.strip()

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.directory)},
        )
