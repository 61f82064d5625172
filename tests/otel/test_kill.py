"""kill -9 in the middle: what the next process does is in the same trace."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import orjson

from effects import rows

_TESTS = Path(__file__).parents[1]


async def ran(url: str, backend: str, spans: Path, *what: str) -> tuple[int, list[str], list[dict[str, Any]]]:
    done = await anyio.run_process(
        [sys.executable, "-m", "otel.dying", url, backend, str(spans), *what],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    lines = spans.read_bytes().splitlines() if spans.exists() else []
    return done.returncode, done.stdout.decode().split(), [orjson.loads(line) for line in lines]


async def test_one_trace_across_a_kill(sqlite_url: str, anyio_backend_name: str, tmp_path: Path) -> None:
    code, said, before = await ran(sqlite_url, anyio_backend_name, tmp_path / "one", "dies")
    assert (code, said) == (-signal.SIGKILL, [])
    rows.execute(sqlite_url, "delete from perdure_workers")  # as when its lease is over
    with anyio.fail_after(200):
        code, said, after = await ran(sqlite_url, anyio_backend_name, tmp_path / "two")
    assert code == 0
    spans = {span["name"]: span for span in (*before, *after)}
    assert sorted(span["name"] for span in before) == ["activity first", "request"], "the others ended with the process"
    assert sorted(span["name"] for span in after) == ["activity second", "workflow both"]
    (trace,) = {span["trace"] for span in spans.values()}
    assert said == [trace, trace]
    assert spans["workflow both"]["parent"] == spans["request"]["span"]
    assert spans["activity second"]["parent"] == spans["workflow both"]["span"]
    resumed = spans["workflow both"]["attributes"]
    assert resumed["perdure.resumed.stolen"] is True and resumed["perdure.outcome"] == "completed"
    assert spans["workflow both"]["links"] == [trace]
    assert spans["activity second"]["attributes"]["perdure.attempt"] == 1
