"""`app.sync` and the life of a process: forks, Ctrl-C, and the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blocking.test_sync import serving
from faults.processes import PATIENCE

_TESTS = Path(__file__).parents[1]


def started(url: str, what: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "blocking.scripts", url, what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_who_forgets_to_close_it_ends_all_the_same(own_url: str) -> None:
    process = started(own_url, "forgets")
    out, errors = process.communicate(timeout=PATIENCE)
    assert (out, errors, process.returncode) == ("forgotten\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_each_process_that_was_forked_opens_its_own(own_url: str) -> None:
    """As servers do that load the application before they fork."""
    process = started(own_url, "forks")
    with serving(own_url):
        out, errors = process.communicate(timeout=PATIENCE)
    lines = out.splitlines()
    assert (sorted(lines[:-1]), lines[-1:], errors) == (["0", "1", "2"], ["[0, 0, 0] parent after"], "")
    assert process.returncode == 0


def test_ctrl_c_ends_a_wait(sqlite_url: str) -> None:
    process = started(sqlite_url, "waits")
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (out, errors, process.returncode) == ("running\n", "", 0)
