"""The demo's account: it must notice what it claims does not happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from perdure import HistoryEvent
from perdure_adapters.cli.demo.account import Account, settle
from perdure_adapters.cli.demo.effects import Effect
from perdure_adapters.cli.demo.workflow import Line, Order

ORDER = Order("A-1", "Mara", [Line("desk", 1, 100)])
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def event(second: float, kind: str, command: int | None = None, data: Any = None) -> HistoryEvent:
    at = BEGAN + timedelta(seconds=second)
    return HistoryEvent(seq=1, kind=kind, command=command, name="", at=at, data=data)


def done(second: float, command: int, step: str) -> HistoryEvent:
    return event(second, "StepCompleted", command, {"step": step, "reference": f"key-{command}", "worker": 1})


def started(second: float, command: int, step: str, key: str | None = None) -> Effect:
    at = int((BEGAN.timestamp() + second) * 1e6)
    return Effect("started", ORDER.id, step, key or f"key-{command}", 1, 1, at)


HISTORY = [
    event(0, "WorkflowStarted"),
    done(1, 1, "reserve desk"),
    done(2, 2, "charge"),
    done(3, 3, "ship"),
    done(4, 4, "confirm"),
    event(4, "WorkflowCompleted"),
]
EFFECTS = [
    started(0.5, 1, "reserve desk"),
    started(1.5, 2, "charge"),
    started(2.5, 3, "ship"),
    started(3.5, 4, "confirm"),
]


def account(history: list[HistoryEvent], effects: list[Effect]) -> Account:
    return settle([ORDER], {ORDER.id: history}, effects, kills=2)


def test_all_is_well() -> None:
    assert account(HISTORY, EFFECTS) == Account(
        orders=1, completed=1, steps=4, recorded=4, kills=2, interrupted=0, repeated=0, lost=0
    )
    assert account(HISTORY, EFFECTS).good


def test_interrupted_is_not_repeated() -> None:
    history = [*HISTORY[:2], event(1.7, "StepInterrupted", 2), *HISTORY[2:]]
    told = account(history, [*EFFECTS, started(1.8, 2, "charge")])
    assert (told.interrupted, told.repeated, told.good) == (1, 0, True)


def test_started_after_its_result_was_recorded() -> None:
    history = [*HISTORY[:2], event(1.7, "StepInterrupted", 2), *HISTORY[2:]]
    told = account(history, [*EFFECTS, started(2.1, 2, "charge")])
    assert (told.interrupted, told.repeated, told.good) == (0, 1, False)


def test_started_twice_without_an_interruption() -> None:
    assert account(HISTORY, [*EFFECTS, started(1.6, 2, "charge")]).repeated == 1


def test_another_key() -> None:
    assert account(HISTORY, [*EFFECTS[:3], started(3.5, 4, "confirm", "other")]).repeated == 1


def test_recorded_twice() -> None:
    history = [*HISTORY[:4], done(3.2, 5, "ship"), *HISTORY[4:]]
    assert not account(history, EFFECTS).good


def test_not_ended() -> None:
    told = account(HISTORY[:-1], EFFECTS)
    assert (told.completed, told.lost, told.good) == (0, 1, False)


def test_a_step_is_missing() -> None:
    told = account([*HISTORY[:2], *HISTORY[3:]], EFFECTS)
    assert (told.recorded, told.lost, told.good) == (3, 1, False)
