"""The tutorial, followed step by step: kill -9 while the hotel is being booked. Only its lease is longer, so that a
machine that stands still for a moment takes none away; after the kill it is ended by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.pages import ROOT, blocks
from examples.patient import lapse

pytest.importorskip("click")
pytest.importorskip("rich")

_PERDURE = [sys.executable, "-m", "perdure_adapters.cli"]


def _ask(folder: Path, *arguments: str) -> str:
    command = [*_PERDURE, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True).stdout


def _events(folder: Path) -> list[tuple[str, str]]:
    events: list[dict[str, Any]] = json.loads(_ask(folder, "history", "shop:app", "trip-1", "--json"))
    return [(event["kind"], event["name"]) for event in events]


def _worker(folder: Path) -> subprocess.Popen[str]:
    command = [*_PERDURE, "run", "shop:app"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    )


def _says(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().partition(": ")[2].strip()


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (program,) = (b for b in blocks(ROOT / "docs/tutorial/first-workflow.md") if b.language == "python")
    assert "lease=3)" in program.text
    (tmp_path / "shop.py").write_text(program.text.replace("lease=3)", "lease=3600)"), encoding="utf-8")
    with _worker(tmp_path) as first:
        arguments = '{"trip": {"traveller": "Ada", "city": "Lisbon"}}'
        assert _ask(tmp_path, "start", "shop:app", "travel", arguments, "--id", "trip-1") == "trip-1\n"
        assert _says(first) == "booking a flight to Lisbon"
        hotel = _says(first)
        assert hotel.startswith("booking a hotel, key ")
        first.kill()
    lapse(tmp_path / "trips.db")
    started, flight = ("WorkflowStarted", "travel"), ("StepCompleted", "book_flight")
    assert _events(tmp_path) == [started, flight]
    with _worker(tmp_path) as second:
        try:
            assert _says(second) == hotel  # not the flight, and under the same key
            assert _says(second) == "sending tickets: flight of Ada, hotel in Lisbon"
        finally:
            second.terminate()
    assert _events(tmp_path) == [
        started,
        flight,
        ("StepInterrupted", "book_hotel"),
        ("StepCompleted", "book_hotel"),
        ("TimerFired", "sleep"),
        ("StepCompleted", "send_tickets"),
        ("WorkflowCompleted", ""),
    ]
