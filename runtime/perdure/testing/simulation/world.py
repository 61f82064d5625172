"""One simulated world: a database, workers on it, an adversary, and a clock that jumps.

Everything happens in one trio run, in virtual time, and in an order that the seed decides: trio's
scheduler shuffles its ready tasks with a generator of its own, which is seeded here (the same switch
that Hypothesis uses for reproducible runs).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from random import Random
from typing import Any

import anyio
import trio
from trio._core import _run
from trio.testing import MockClock

from perdure.app import App
from perdure.definitions.ambient import ActivityInfo
from perdure.definitions.workflow import Workflow
from perdure.errors import StoreUnavailable
from perdure.identity import replaced, settled
from perdure.machine.commands import RunActivity
from perdure.ports import Mail
from perdure.registry import collect
from perdure.testing.simulation.activities import Attempt, pool
from perdure.testing.simulation.database import SimulatedStore
from perdure.testing.simulation.faults import CALLS, LOCKED, MOMENTS, TORN, Fault
from perdure.testing.simulation.hastening import hasten
from perdure.testing.simulation.ledger import Violation
from perdure.testing.simulation.log import WatchedDatabase
from perdure.testing.simulation.processes import Process
from perdure.testing.simulation.publishing import Broker, SimulatedPublisher
from perdure.worker.settings import Parts

LEASE = 2.0
WORKERS = 3
PARTITIONS = 4
#: Microseconds since 1970 at which every simulation begins.
_BEGINNING = 1_800_000_000_000_000
#: Virtual seconds after which something must have gone wrong.
_LIMIT = 300.0
#: As many calls to the database mean the same.
_CALLS_LIMIT = 50_000


class World:
    """`scenario` gets the world, and says with its end that all is done."""

    def __init__(
        self,
        seed: int,
        faults: Iterable[Fault],
        workflows: Sequence[Workflow[..., Any]],
        *,
        same_start: bool = False,
        free_interruptions: int = 2,
        event_buffer: float = 300.0,
        publishing: bool = False,
    ) -> None:
        self.seed = seed
        self.chance = Random(f"world:{seed}")
        faults = list(faults)
        self.moments = sorted((fault for fault in faults if fault.kind in MOMENTS), key=lambda fault: fault.at)
        self.call_faults = {int(fault.at): fault for fault in faults if fault.kind in CALLS}
        self._strangers = sorted((fault for fault in faults if fault.kind == LOCKED), key=lambda fault: fault.at)
        self._tears = sorted((fault for fault in faults if fault.kind == TORN), key=lambda fault: fault.at)
        self.calm = not faults
        self.workflows = list(collect(workflows).values())  # with their children
        self.database = WatchedDatabase()
        self.log = self.database.log
        self.trace: list[str] = []
        self.attempts: list[Attempt] = []
        self.writers: dict[tuple[str, int, int], dict[int, tuple[int, int | None]]] = {}
        self.accepted: set[str] = set()
        self.instances = 1  # how many are to be started
        self.errands = 0  # what the application has yet to do
        self.outgoing: dict[tuple[str, int, int, int], list[Mail]] = {}  # of each attempt at an activity
        self.promised: list[tuple[int, str, str | None]] = []
        self.delivered: set[tuple[str, str]] = set()  # sources and ids of CloudEvents that were accepted
        self.replies: dict[str, bool] = {}  # whether a question of the application was answered with a value
        self.taken: dict[int, float] = {}  # when each partition was last claimed
        self.locks: dict[str, float] = {}  # instances that a stranger has locked, and until when
        self.publishing = publishing
        self.broker = Broker()
        self.over = False
        self._error: Exception | None = None
        self._same_start = same_start
        self._free_interruptions = free_interruptions
        self.event_buffer = int(event_buffer * 1e6)
        self._offset = 0
        self._calls = 0
        self._births = 0
        self._apps: dict[int, tuple[Process, App]] = {}
        self._processes: list[Process] = []
        self._buried: list[App] = []

    # What the simulated parts ask and tell.

    def database_now(self) -> int:
        return _BEGINNING + self._offset + int(anyio.current_time() * 1e6)

    def note(self, what: str) -> None:
        self.trace.append(f"{anyio.current_time():.6f} {what}")

    def next_call(self) -> int:
        self._calls += 1
        if self._calls == _CALLS_LIMIT:
            self.fail(Violation("the world goes round in circles: there is no end to its calls to the database"))
        return self._calls

    def fail(self, error: Exception) -> None:
        """It is over, at once."""
        self._error = error
        self._end()
        self._group.cancel_scope.cancel()

    def spawn(self, fn: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._group.start_soon(fn, *args)

    def lock(self, call: int, instance_ids: Sequence[str]) -> None:
        """The call is about to write these: for each lock that is due a stranger takes some of them."""
        while self._strangers and self._strangers[0].at <= call:
            until = anyio.current_time() + self._strangers.pop(0).size
            self.locks.update((id, until) for id in instance_ids if self.chance.random() < 0.5)

    def torn(self, call: int) -> tuple[str, float]:
        """What befalls this commit of an activity's transaction, and for how long."""
        if not self._tears or self._tears[0].at > call:
            return "", 0.0
        return self.chance.choice(("late", "late", "slow", "unknown")), self._tears.pop(0).size

    def locked(self, instance_id: str) -> bool:
        return not self.calm and self.locks.get(instance_id, 0.0) > anyio.current_time()

    def tell(self, process: Process, changed: Callable[[], None]) -> None:
        """A notification: it comes at once, later, twice, or not at all."""
        if process.dead:
            return
        how = self.chance.random()
        if how < 0.7:
            changed()
        elif how < 0.95:
            self.spawn(self._tell_later, process, changed)
            if how > 0.9:
                changed()

    async def _tell_later(self, process: Process, changed: Callable[[], None]) -> None:
        await anyio.sleep(self.chance.random() * 0.1)
        if not process.dead and not self.over:
            changed()

    def begins(self, process: Process, info: ActivityInfo, command: RunActivity) -> Attempt:
        """An activity begins."""
        row = self.database.instances.get(info.instance_id)
        head = len(self.database.events.get((info.instance_id, info.run), ()))
        owner = None if row is None else self.database.holdings[row.partition].owner
        zombie = owner != process.name
        aware = zombie and row is not None and process.informed > self.taken.get(row.partition, 0.0)
        attempt = Attempt(info.instance_id, info.run, command.id, command.attempt, head, zombie, aware)
        self.attempts.append(attempt)
        self.note(f"{process.name} begins {info.instance_id} {command.id} {command.name} attempt {command.attempt}")
        return attempt

    def sends(self, step: Any, info: ActivityInfo, command: RunActivity) -> None:
        """An attempt has ended well, and this is to go out with its result."""
        place = info.instance_id, info.run, command.id, command.attempt
        self.outgoing.setdefault(place, []).append(step.mail or Mail())

    def promise(self, message: str, target: str | None) -> None:
        """The application was told that a message to this instance, or to a channel's subscribers, was accepted."""
        self.promised.append((self.log.tick(), message, target))

    def apps(self) -> list[App]:
        """Those that are open and alive, as far as a client can tell."""
        return [app for process, app in self._apps.values() if not process.dead and not process.leaving.is_set()]

    def advance(self, microseconds: int) -> None:
        """Put the database's clock forward."""
        self._offset += microseconds

    # Running.

    def run(self, scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        """Raises what goes wrong; TimeoutError when it never ends. In virtual time, with its own event loop."""
        chance = replaced(self.chance.getrandbits, lambda: _BEGINNING)
        with _deterministic(self.seed), _quiet(), chance, settled() if self._same_start else nullcontext():
            trio.run(self._main, scenario, clock=MockClock(autojump_threshold=0))

    async def _main(self, scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            for number in range(WORKERS):
                self._bear(number)
            group.start_soon(self._misfortunes)
            group.start_soon(hasten, self)
            try:
                with anyio.fail_after(_LIMIT):
                    await scenario(self)
            except Exception as caught:
                self._error = caught
            self._end()
            group.cancel_scope.cancel()
        if self._error is not None:
            raise self._error

    def _end(self) -> None:
        self.over = True
        for process in self._processes:
            process.resume()
        for app in [*self._buried, *(app for _, app in self._apps.values())]:
            if app._open is not None and app._open.worker is not None:
                app._open.worker.die()

    def _bear(self, number: int) -> None:
        self._births += 1
        process = Process(f"w{number}.{self._births}")
        self._processes.append(process)
        self.note(f"{process.name} is born")

        async def live() -> None:
            await process.frozen(self._live(number, process))

        self._group.start_soon(live)

    async def _live(self, number: int, process: Process) -> None:
        app = App(
            "memory://",
            workflows=self.workflows,
            partitions=PARTITIONS,
            lease=LEASE,
            drain=LEASE / 2,
            worker_id=process.name,
            max_resident=self.chance.choice((1, 2, 100)),
            event_buffer=self.event_buffer / 1e6,
            publisher=SimulatedPublisher(self, process) if self.publishing else None,
        )
        app._make_store = lambda url, service: SimulatedStore(self, process)
        app._parts = Parts(pool=pool(self, process), group=process.group, free_interruptions=self._free_interruptions)
        while not self.over:
            try:
                async with app:
                    self._apps[number] = process, app
                    await process.leaving.wait()
                    self._apps.pop(number, None)
                break
            except StoreUnavailable:
                await anyio.sleep(0.1)
        process.gone.set()

    # The adversary.

    async def _misfortunes(self) -> None:
        for fault in self.moments:
            await anyio.sleep(max(0.0, fault.at - anyio.current_time()))
            self.note(str(fault))
            await self._strike(fault)

    async def _strike(self, fault: Fault) -> None:
        if fault.kind == "clock":
            self.advance(int(fault.size * 1e6))
        elif fault.kind == "wake":
            for app in self.apps():
                resources = app._open
                if resources is not None and resources.worker is not None:
                    resources.worker.requested(None)
                    resources.worker.members_changed()
        elif fault.worker in self._apps:
            process, app = self._apps[fault.worker]
            if fault.kind == "pause":
                process.stop()
                self._group.start_soon(self._resume, process, fault.size)
            elif fault.kind == "restart":
                process.leaving.set()
                self._group.start_soon(self._replace, fault.worker, process, fault.size)
            else:
                del self._apps[fault.worker]
                process.dead = True
                process.stop()
                self._buried.append(app)
                self._group.start_soon(self._reborn, fault.worker, fault.size)

    async def _resume(self, process: Process, after: float) -> None:
        await anyio.sleep(after)
        if not process.dead:
            self.note(f"{process.name} goes on")
            process.resume()

    async def _replace(self, number: int, process: Process, after: float) -> None:
        with anyio.move_on_after(after):
            await process.gone.wait()
        if number not in self._apps or self._apps[number][0] is process:
            self._bear(number)

    async def _reborn(self, number: int, after: float) -> None:
        await anyio.sleep(after)
        self._bear(number)


@contextmanager
def _deterministic(seed: int) -> Generator[None]:
    scheduler: Any = _run
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        scheduler._r.setstate(before[1])


@contextmanager
def _quiet() -> Generator[None]:
    """The adversary's doings are no news for the log."""
    logger = logging.getLogger("perdure")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
