"""The checker itself: what it must not overlook."""

from __future__ import annotations

import pytest

from chaos.checker import Findings, find_repeated
from chaos.effects import Effect
from faults.database import Row

_INTERRUPTED = Row("i", 2, "StepInterrupted", 1, "step", {})


def _log(*steps: tuple[int, int]) -> list[Effect]:
    """Starts of (number, pid), one second and one byte apart."""
    return [
        Effect("start", "b", number, "i", f"key-1-{number + 1}", 1, pid, float(place), place)
        for place, (number, pid) in enumerate(steps)
    ]


def test_each_step_once() -> None:
    findings = Findings()
    find_repeated(findings, _log((0, 1), (1, 1), (2, 1)), [], [], [({("i", 1)}, 0.5)])
    assert findings == Findings()


def test_a_step_in_flight_at_a_recorded_interruption_may_run_again() -> None:
    findings = Findings()
    find_repeated(findings, _log((0, 1), (0, 2), (1, 2)), [], [_INTERRUPTED], [])
    assert findings == Findings(twice=1)


def test_a_step_that_runs_again_without_a_reason() -> None:
    findings = Findings()
    find_repeated(findings, _log((0, 1), (0, 2)), [], [], [])
    assert findings.failures


@pytest.mark.parametrize("rows", [[], [_INTERRUPTED]])
def test_a_step_that_begins_after_its_successor(rows: list[Row]) -> None:
    findings = Findings()
    find_repeated(findings, _log((0, 1), (1, 1), (0, 2)), [], rows, [])
    assert findings.repeated == 1 and findings.failures


def test_a_step_that_begins_after_its_result_was_seen() -> None:
    findings = Findings()
    find_repeated(findings, _log((0, 1), (0, 2)), [], [_INTERRUPTED], [({("i", 1)}, 0.5)])
    assert findings.repeated == 1 and findings.failures


def test_a_zombie_that_was_about_to_begin() -> None:
    findings = Findings()
    find_repeated(findings, _log((0, 1), (1, 1), (0, 2)), [(2, 1.5, 2.5)], [], [])
    assert findings == Findings(twice=1, zombies=1)


def test_a_line_that_was_written_late() -> None:
    """The step began before another worker did it again; only its line came afterwards."""
    late, once, then = _log((0, 1), (0, 2), (1, 2))
    findings = Findings()
    find_repeated(findings, [once, then, late], [], [_INTERRUPTED], [({("i", 1)}, 1.5)])
    assert findings == Findings(twice=1)
