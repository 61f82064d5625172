"""Bugs planted on purpose: the simulation finds each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import perdure.testing.simulation.database as database_module
import perdure.worker.worker as worker_module
from perdure.machine.commands import RunActivity
from perdure.machine.machine import Machine
from perdure.ports import Census, Due, Outcome, Unit
from perdure.testing.memory import MemoryStore
from perdure.testing.simulation.faults import schedule
from perdure.worker.actor import Actor
from perdure.worker.dispatcher import Dispatcher
from perdure.worker.journal import Journal
from perdure.worker.turn import Turn
from perdure.worker.worker import Worker
from simulation.worlds import trouble

WITHIN = 500


def effects_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Eager(Journal):
        def add(self, turn: Turn) -> None:
            worker: Any = self._settled
            worker.__self__._effects.begin(turn)
            super().add(turn)

    monkeypatch.setattr(worker_module, "Journal", Eager)


def no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Open(MemoryStore):
        def _judge(self, unit: Unit, commit_id: int, again: bool) -> Outcome:
            known = unit.create is not None and unit.instance_id in self.database.instances
            return Outcome.EXISTS if known else Outcome.COMMITTED

        async def commit(
            self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
        ) -> Sequence[Outcome]:
            self.database.commits.clear()
            return await super().commit(units, commit_id, again=again)

    monkeypatch.setattr(database_module, "MemoryStore", Open)


def a_timer_forgotten_on_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Worker._found

    def forgetful(self: Worker, due: Due, stolen: bool) -> None:
        if due.wake_at <= self.clock.now():
            found(self, due, stolen)

    monkeypatch.setattr(Worker, "_found", forgetful)


def a_result_fed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Worker._report

    def twice(self: Worker, actor: Actor, event: Any) -> None:
        report(self, actor, event)
        if event is not None:
            actor.mailbox.append(event)

    monkeypatch.setattr(Worker, "_report", twice)
    monkeypatch.setattr(Machine, "expects", lambda self, event: self.ending is None)


def attempts_that_do_not_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Worker._loaded

    def fresh(self: Worker, actor: Actor, messages: list[Any]) -> None:
        for command in actor.machine.commands.values():
            if isinstance(command, RunActivity):
                command.attempt = 1
        loaded(self, actor, messages)

    monkeypatch.setattr(Worker, "_loaded", fresh)


def a_lease_renewed_after_it_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    beat, act_on = Dispatcher._beat, Dispatcher._act_on

    async def clinging(self: Dispatcher) -> None:
        held = dict(self.epochs)
        await beat(self)
        self.epochs = {**held, **self.epochs}

    async def blind(self: Dispatcher, census: Census, asked: float) -> None:
        drop, self.drop = self.drop, lambda partitions: None  # type: ignore[method-assign]
        try:
            await act_on(self, census, asked)
        finally:
            self.drop = drop  # type: ignore[method-assign]

    monkeypatch.setattr(Dispatcher, "_beat", clinging)
    monkeypatch.setattr(Dispatcher, "_act_on", blind)
    monkeypatch.setattr(Dispatcher, "in_time", property(lambda self: True))


PLANTS: list[Callable[[pytest.MonkeyPatch], None]] = [
    effects_before_commit,
    no_fence,
    a_timer_forgotten_on_take_over,
    a_result_fed_twice,
    attempts_that_do_not_survive,
    a_lease_renewed_after_it_was_lost,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(WITHIN):
        what = trouble(seed, schedule(seed, 3, 2.0))
        if what is not None:
            print(f"{plant.__name__}: seed {seed}: {what}")
            return
    pytest.fail(f"not found within {WITHIN} seeds")
