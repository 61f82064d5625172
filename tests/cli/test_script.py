"""The installed script `perdure`, and what only a process shows: pipes, signals, terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli.prompt import Prompt
from cli.shell import SHOP, Shell

SCRIPT = str(Path(sys.executable).with_name("perdure"))

BLOCKING = """
import threading
from perdure import App, receive, workflow

@workflow
async def block(item: str) -> None:
    open("entered", "w").close()
    BLOCK
    await receive("go")

app = App("sqlite:///shop.db", workflows=[block])
"""


class Script(Shell):
    def command(self, *arguments: str) -> list[str]:
        return [SCRIPT, *arguments]


@pytest.fixture
def script(shell: Shell) -> Script:
    return Script(shell.directory)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows(script: Script, sql: str) -> int:
    """A figure from the database."""
    with closing(sqlite3.connect(script.directory / "shop.db", timeout=60)) as connection:
        found: int = connection.execute(sql).fetchone()[0]
        return found


def test_an_instance_and_its_worker(script: Script) -> None:
    assert script.output("migrate", "shop:app")
    assert script.output("start", "shop:app", "nap", '{"seconds": 1000}', "--id", "n") == "n\n"
    worker = script.popen("run", "shop:app")
    try:
        until(lambda: rows(script, "select count(*) from perdure_instances where status = 'waiting'") == 1)
        assert "; owned by worker " in script.output("why", "shop:app", "n")
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert "1\ttimer\tsleep\topen\t" in script.output("show", "shop:app", "n")
    assert script.output("send", "shop:app", "n", "c", "hello") == "n: sent on channel 'c'\n"


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion(script: Script, shell_name: str) -> None:
    text = script.output("completion", shell_name)
    assert "_PERDURE_COMPLETE" in text
    if shell_name != "bash":
        return
    (script.directory / "shop.py").write_text("raise SystemExit('completing must not import this')")
    asking = f'{text}\nCOMP_WORDS=(perdure outbox shop:app --st); COMP_CWORD=3; _perdure_completion "{SCRIPT}"; '
    ran = subprocess.run(
        ["bash", "-c", f'{asking} echo "${{COMPREPLY[@]}}"'],
        cwd=script.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("--status\n", "")


def test_a_reader_that_leaves(script: Script, prompt: Prompt) -> None:
    prompt.write(SHOP)
    prompt("start", "shop:app", "total", json.dumps({"a": 1}))
    for arguments in (("list", "shop:app"), ("completion", "zsh")):
        command = " ".join(script.command(*arguments))
        ran = subprocess.run(f"{command} | true", shell=True, cwd=script.directory, capture_output=True, check=False)
        assert ran.stderr == b""
    ran = subprocess.run(
        " ".join(script.command("list", "shop:app")) + " >&-",
        shell=True,
        cwd=script.directory,
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_ctrl_c_while_the_users_code_blocks(script: Script, prompt: Prompt) -> None:
    prompt.write(BLOCKING.replace("BLOCK\n", "pass\n"))
    prompt("start", "shop:app", "block", '{"item": "x"}', "--id", "b")
    prompt.write(BLOCKING.replace("BLOCK\n", "threading.Event().wait()\n"))
    process = script.popen("verify", "shop:app", "--patience", "3600")
    until((script.directory / "entered").exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "perdure: interrupted")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_while_measuring(script: Script, prompt: Prompt, backend: str) -> None:
    prompt("migrate", "shop:app")
    arguments = ("--instances", "10000", "--steps", "1000", "--starts", "10000", "--backend", backend)
    process = script.popen("bench", "shop:app", *arguments)
    until(lambda: rows(script, "select count(*) from perdure_instances where service like 'bench-%'") > 20)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "perdure: interrupted"
    assert "Traceback" not in err
    for table in ("instances", "events", "partitions", "workers", "inbox"):
        assert rows(script, f"select count(*) from perdure_{table} where service like 'bench-%'") == 0


def seen(script: Script, *arguments: str) -> tuple[int, str]:
    """The exit code, and what a terminal of 100 columns shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        script.command(*arguments),
        cwd=script.directory,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    code = process.wait(timeout=60)
    return code, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")


def test_in_a_terminal(script: Script, prompt: Prompt) -> None:
    prompt.write(SHOP)
    prompt("start", "shop:app", "total", json.dumps({"a": 1}), "--id", "t")
    prompt("start", "shop:app", "nap", json.dumps({"seconds": 1000}), "--id", "n")
    code, text = seen(script, "show", "shop:app", "n")
    assert code == 0
    assert re.search(r"1 +timer sleep +\+0 ms +\S+ m?s \.\.\. +─{24} +open", text)
    assert "ended_at" not in text, "what says nothing is left out"
    code, text = seen(script, "why", "shop:app", "n")
    assert (code, "n waits since" in text) == (0, True)
    prompt.change("await sleep(seconds)", "1 / 0")
    code, text = seen(script, "verify", "shop:app")
    assert code == 1
    assert "n (nap) would fail at event 1" in text
    assert "ZeroDivisionError" in text
    assert "2 live instances: 1 fit, 1 would fail" in text
