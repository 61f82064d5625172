"""`perdure demo` as its users run it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli.shell import Shell


def figures(output: str) -> dict[str, str]:
    """The final account."""
    return dict(re.findall(r"^([a-z ]+?) {2,}(\d.*)$", output, re.MULTILINE))


def workers(directory: Path) -> list[int]:
    """Processes that work on a demo in this directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = b"cli.demo.worker" in (process / "cmdline").read_bytes()
            if ours and str(directory).encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            pass  # it has ended in the meantime, or is another user's
    return found


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nothing_is_lost_or_repeated(shell: Shell, backend: str) -> None:
    output = shell.output("demo", "--backend", backend)
    assert (
        figures(output).items()
        >= {
            "orders completed": "12 of 12",
            "steps done": "61 of 61",
            "kills": "2",
            "repeated steps": "0",
            "lost orders": "0",
        }.items()
    )
    assert len(re.findall(r"killed \(SIGKILL\)", output)) == 2
    assert len(re.findall(r"has taken over", output)) == 2
    done = re.findall(r"(A-\d+)  (.*?)  +worker (\d)", output)
    assert len({(order, step) for order, step, _ in done}) == len(done) == 61
    assert {worker for _, _, worker in done} == {"1", "2", "3"}
    cut = sum(int(number) for number in re.findall(r"(\d+) cut off", output))
    assert int(figures(output)["interrupted and run again"]) == cut > 0


def test_kept(shell: Shell) -> None:
    output = shell.output("demo", "--orders", "1", "--seed", "4", "--keep")
    found = re.search(r"PERDURE_DEMO=(\S+)", output)
    assert found is not None
    listed = subprocess.run(
        shell.command("list", "perdure_adapters.cli.demo.app:app"),
        env={**os.environ, "PERDURE_DEMO": found[1]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^A-1001\tfulfil\tcompleted\t", listed.stdout, re.MULTILINE)
    for file in Path(found[1]).iterdir():
        file.unlink()
    Path(found[1]).rmdir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_cleans_up(shell: Shell, number: signal.Signals) -> None:
    process = shell.popen("demo")
    assert process.stdout is not None
    while "reserve" not in process.stdout.readline():
        assert process.poll() is None
    assert workers(shell.directory)
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert not workers(shell.directory)
    assert not list(shell.directory.glob("perdure-demo-*"))


def test_a_worker_does_not_outlive_a_killed_parent(shell: Shell) -> None:
    process = shell.popen("demo")
    assert process.stdout is not None
    while "reserve" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=10)
    deadline = time.monotonic() + 10
    while workers(shell.directory):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_live_in_a_terminal(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell.command("demo", "--orders", "2"),
        stdout=theirs,
        stdin=theirs,
        close_fds=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
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
    assert process.wait(timeout=10) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "A-1001" in text
    assert {"✓1", "✓2", "✓3"} <= set(re.findall(r"✓\d", text))
    assert "✗" in text
    assert re.search(r"repeated steps +0", text)
