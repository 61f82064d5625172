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


#: A kill comes when the parent sees that it is time. Kept from looking for seconds, it may come too late: when all is
#: done. Then there is another demo, so often at most.
TRIES = 5

DONE = re.compile(r"(A-\d+)  (.*?)  +worker (\d)( +\(cut off by the kill, run again\))?")


def killed_in_time(output: str) -> bool:
    """Each of the three workers has done something, and each kill has cut something off."""
    cut = re.findall(r"(\d+) cut off$", output, re.MULTILINE)
    return {done[2] for done in DONE.findall(output)} == {"1", "2", "3"} and len(cut) == 2 and "0" not in cut


@pytest.mark.parametrize(("backend", "orders"), [("asyncio", 12), ("trio", 3)])
def test_nothing_is_lost_or_repeated(shell: Shell, backend: str, orders: int) -> None:
    for _ in range(TRIES):
        output = shell.output("demo", "--backend", backend, *(() if orders == 12 else ("--orders", f"{orders}")))
        done = DONE.findall(output)
        assert len({(order, step) for order, step, _, _ in done}) == len(done) == (61 if orders == 12 else 15)
        found = figures(output)
        assert (
            found.items()
            >= {
                "orders completed": f"{orders} of {orders}",
                "steps done": f"{len(done)} of {len(done)}",
                "repeated steps": "0",
                "lost orders": "0",
            }.items()
        )
        if killed_in_time(output):
            break
    assert killed_in_time(output), output
    assert found["kills"] == "2"
    assert len(re.findall(r"killed \(SIGKILL\)", output)) == 2
    assert len(re.findall(r"has taken over", output)) == 2
    cut = sum(int(number) for number in re.findall(r"(\d+) cut off$", output, re.MULTILINE))
    again = sum(bool(run_again) for _, _, _, run_again in done)
    assert 0 < again <= cut  # both kills may cut off the same step
    assert int(found["interrupted and run again"]) >= again  # a worker that stood still has interrupted some, too


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


def working(shell: Shell) -> subprocess.Popen[str]:
    """A demo, and one of its workers, which is at work."""
    process = shell.popen("demo")
    assert process.stdout is not None
    while "reserve" not in process.stdout.readline():
        assert process.poll() is None
    while not workers(shell.directory):  # one may have been killed just now
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_cleans_up(shell: Shell, number: signal.Signals) -> None:
    process = working(shell)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not workers(shell.directory)
    assert not list(shell.directory.glob("perdure-demo-*"))


def test_a_worker_does_not_outlive_a_killed_parent(shell: Shell) -> None:
    process = working(shell)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while workers(shell.directory):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def shown(shell: Shell) -> str:
    """What a demo of two orders shows in a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell.command("demo", "--orders", "2"),
        stdout=theirs,
        stdin=theirs,
        close_fds=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())


def test_live_in_a_terminal(shell: Shell) -> None:
    for _ in range(TRIES):
        text = shown(shell)
        assert "A-1001" in text
        assert re.search(r"repeated steps +0", text)
        if {"✓1", "✓2", "✓3"} <= set(re.findall(r"✓\d", text)) and "✗ " in table(text):
            return
    raise AssertionError(text)


def table(text: str) -> str:
    """The orders' rows, without the legend below them."""
    return "\n".join(line for line in text.splitlines() if "A-10" in line)
