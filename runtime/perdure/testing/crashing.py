"""One workflow, with a crash at every place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, ParamSpec, TypeVar

import anyio
from attrs import frozen

from perdure.definitions.workflow import Workflow
from perdure.errors import WorkflowCancelled, WorkflowFailed
from perdure.identity import replaced, settled, time_of_day
from perdure.ports import Outcome, Unit
from perdure.testing.jumping import JumpingClock
from perdure.testing.memory import Database, MemoryStore
from perdure.testing.memory.transaction import MemoryTransaction
from perdure.testing.stage import Crashed, stage

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _DyingStore(MemoryStore):
    """Its process dies `before` or after commit number `at`, and nothing of it is heard again."""

    def __init__(self, database: Database, at: int, *, before: bool) -> None:
        super().__init__("memory://", "default", database=database)
        self.crash = anyio.Event()
        self.last: Sequence[Unit] = ()
        self._at = at
        self._before = before
        self._commits = 0

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        whole = super().commit
        return await self.perhaps(units, lambda: whole(units, commit_id, again=again))

    async def begin(self, limit: float) -> MemoryTransaction:
        """Its commit is one of those that it may die at."""
        return _DyingTransaction(self, await super().begin(limit))

    async def perhaps(self, units: Sequence[Unit], commit: Callable[[], Awaitable[T]]) -> T:
        """Commit, unless it is time to die."""
        self._commits += 1
        if self._commits != self._at:
            return await commit()
        self.last = units
        if not self._before:
            await commit()
        self.crash.set()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def leave(self, worker: str) -> None:
        """The dead do not sign off."""
        if not self.crash.is_set():
            await super().leave(worker)


class _DyingTransaction(MemoryTransaction):
    def __init__(self, store: _DyingStore, whole: MemoryTransaction) -> None:
        super().__init__(whole._database, whole._write)
        self._store = store

    async def commit(self, unit: Unit, commit_id: int) -> Outcome:
        whole = super().commit
        return await self._store.perhaps([unit], lambda: whole(unit, commit_id))


@frozen
class _End:
    """`value` and `error`: what the workflow returned, or the text of what it raised."""

    value: Any
    error: str | None

    def __str__(self) -> str:
        return repr(self.value) if self.error is None else f"the failure {self.error}"


async def crash_everywhere(workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a workflow again and again, and let its process die at another place each time.

    Once without a crash; then with one directly before, and one directly after, each commit, when
    another worker takes over. Every run must end alike: with an equal result, or the same failure.
    So it finds activities that are not safe to repeat, and code that replay does not repeat.
    Gives the result, or raises WorkflowFailed, like `run`. In all runs `random`, `uuid4` and `now`
    give the same; time passes as in `run`.

    Raises AssertionError that says at which event a crash made a difference.
    """
    start = time_of_day()
    known = workflow if workflow.id is not None else workflow.options(id="crash-everywhere")
    assert known.id is not None  # just given

    async def play(store: MemoryStore, clock: JumpingClock, crash: anyio.Event | None) -> tuple[_End, Any]:
        with settled():
            async with stage(known, store, clock, crash) as app:
                assert known.id is not None
                if known.id not in store.database.instances:
                    with replaced(Random(0).getrandbits, lambda: start):
                        handle = await app.start(known, *args, **kwargs)
                else:
                    handle = app.handle(known, known.id)
                try:
                    value = await handle.result()
                except (WorkflowFailed, WorkflowCancelled) as error:
                    return _End(None, f"{type(error.__cause__ or error).__name__}: {error.__cause__ or error}"), error
                return _End(value, None), value
        raise AssertionError("unreachable")  # the block returns or raises

    expected, outcome = await play(MemoryStore("memory://", "default"), JumpingClock(start), None)
    place, reached = 1, True
    while reached:
        for before in (True, False):
            clock = JumpingClock(start)
            store = _DyingStore(Database(), place, before=before)
            try:
                await play(store, clock, store.crash)
            except Crashed:
                pass
            else:
                reached = False  # it ended before that commit
                break
            store.database.members.clear()  # others need not wait for the dead one's lease
            survivor = MemoryStore("memory://", "default", database=store.database)
            end, _ = await play(survivor, clock, None)
            if end != expected:
                raise AssertionError(_difference(workflow.name, store.last, before, end, expected))
        place += 1
    if isinstance(outcome, BaseException):
        raise outcome
    result: R = outcome
    return result


def _difference(workflow: str, units: Sequence[Unit], before: bool, end: _End, expected: _End) -> str:
    events = [f"event {row[0]}, {row[1]}{f' {row[3]!r}' if row[3] else ''}" for unit in units for row in unit.events]
    where = f"directly {'before' if before else 'after'} {' and '.join(events)} {'is' if before else 'was'} recorded"
    advice = (
        "an activity whose result was not recorded runs again: make it safe to repeat (activity_info() has an "
        "idempotency key for that)"
        if before
        else "replay does not repeat what happened: keep what is random, timed or shared out of the workflow's code"
    )
    return f"workflow {workflow!r} ends with {end} when its process dies {where}, but else with {expected}; {advice}"
