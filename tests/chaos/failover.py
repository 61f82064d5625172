"""How long work rests when a worker dies, when it leaves, and until another process hears of an end."""

from __future__ import annotations

import statistics
import time
import zlib
from pathlib import Path
from random import Random

import anyio
from attrs import define

from chaos import effects, workflows
from chaos.database import Database
from chaos.processes import Crew, Process, crew
from perdure import App, WorkflowCancelled
from simulation import programs

LEASE = 2.0
_INSTANCES = 100
_CANCELS = 100
_PATIENCE = 60.0


@define
class Measured:
    """Seconds. `first`, `last`: from a kill -9 until another worker began a step of the first, and of the last
    of 100 instances; `handed_over`: from SIGTERM until it began any; `all_handed_over`: a step of each;
    `cancel_*`: from `cancel()` in one process to the end seen there, while another one runs the instance.
    """

    lease: float
    first: float = 0.0
    last: float = 0.0
    handed_over: float = 0.0
    all_handed_over: float = 0.0
    cancel_p50: float = 0.0
    cancel_p95: float = 0.0
    cancel_after_idleness: float | None = None

    def __str__(self) -> str:
        late = self.cancel_after_idleness
        idle = "" if late is None else f", after idleness {late * 1e3:.1f} ms"
        return (
            f"failover (lease {self.lease:g} s): after kill -9 first {self.first:.2f} s, last of {_INSTANCES} "
            f"{self.last:.2f} s; after SIGTERM first {self.handed_over:.2f} s, last {self.all_handed_over:.2f} s; "
            f"cancel across processes p50 {self.cancel_p50 * 1e3:.1f} ms, p95 {self.cancel_p95 * 1e3:.1f} ms{idle}"
        )


async def measure(url: str, place: Path, idleness: float = 0.0, lease: float = LEASE) -> Measured:
    """With `idleness`, also after so many seconds in which nothing happens."""
    measured = Measured(lease)
    database = Database(url)
    client = App(url, workflows=[workflows, programs], worker=False)
    with crew(url, place, Random(0), lease) as workers:
        async with client:
            victim, heir = await _pair(workers, database)
            await _flying(client, database, victim, "k")
            began = time.monotonic()
            victim.kill()
            measured.first, measured.last = await _progress(workers, heir, "k", began)
            await _cancel_all(client, database)
            victim = workers.worker()
            await _sharing(workers, database, victim, heir)
            await _flying(client, database, victim, "t")
            began = time.monotonic()
            victim.terminate()
            measured.handed_over, measured.all_handed_over = await _progress(workers, heir, "t", began)
            assert await victim.ended() == 0, victim.said
            await _cancel_all(client, database)
            await _cancels(client, database, measured)
            if idleness:
                await _idle(client, database, measured, idleness)
            await workers.finish()
        assert not workers.fallen(), workers.fallen()
    return measured


async def _pair(workers: Crew, database: Database) -> tuple[Process, Process]:
    victim, heir = workers.worker(), workers.worker()
    await _sharing(workers, database, victim, heir)
    return victim, heir


async def _sharing(workers: Crew, database: Database, *pair: Process) -> None:
    for worker in pair:
        await workers.ready(worker)
    deadline = time.monotonic() + _PATIENCE
    while await database.owners() != {worker.name: 32 for worker in pair}:
        assert time.monotonic() < deadline, f"no equal shares: {await database.owners()}"
        await anyio.sleep(0.05)


async def _flying(client: App, database: Database, victim: Process, prefix: str) -> None:
    """100 instances, all on that worker: a client's choice of partition follows from the id."""
    sql = f"select {_column(database)} from perdure_partitions where owner = '{victim.name}'"
    owned = {int(row[0]) for row in await database.query(sql)}
    ids = [id for id in (f"{prefix}{n}" for n in range(1000)) if zlib.crc32(id.encode()) % 64 in owned][:_INSTANCES]
    async with anyio.create_task_group() as group:
        for id in ids:
            group.start_soon(client.start, workflows.steady.options(id=id), 1000, 0.02, 0.4)
    log = _log(victim)
    deadline = time.monotonic() + _PATIENCE
    while not {one.instance_id for one in effects.read(log) if one.pid == victim.pid} >= set(ids):
        assert time.monotonic() < deadline, f"not all are under way; see {victim.log}"
        await anyio.sleep(0.05)


def _log(worker: Process) -> Path:
    return worker.log.parent / "effects"


def _column(database: Database) -> str:
    return "`partition`" if database.scheme == "mysql" else '"partition"'


async def _progress(workers: Crew, heir: Process, prefix: str, began: float) -> tuple[float, float]:
    """Seconds until the heir began a step of the first and of the last instance."""
    deadline = began + _PATIENCE
    while True:
        firsts: dict[str, float] = {}
        for effect in effects.read(_log(heir)):
            if effect.pid == heir.pid and effect.at > began and effect.instance_id.startswith(prefix):
                firsts.setdefault(effect.instance_id, effect.at - began)
        if len(firsts) == _INSTANCES:
            return min(firsts.values()), max(firsts.values())
        assert time.monotonic() < deadline, f"only {len(firsts)} of {_INSTANCES} go on; see {heir.log}"
        await anyio.sleep(0.05)


async def _cancel_all(client: App, database: Database) -> None:
    running = [id for id, status in (await database.statuses()).items() if status in ("running", "waiting")]
    for id in running:
        await client.handle(workflows.steady, id).cancel()
    for id in running:
        try:
            await client.handle(workflows.steady, id).result(timeout=_PATIENCE)
        except WorkflowCancelled:
            continue


async def _cancels(client: App, database: Database, measured: Measured) -> None:
    """One after the other; all are waiting before the first is cancelled."""
    ids = [f"c{number}" for number in range(_CANCELS)]
    async with anyio.create_task_group() as group:
        for id in ids:
            group.start_soon(client.start, workflows.idle.options(id=id))
    await _waiting(database, ids)
    taken = [await _cancel(client, id) for id in ids]
    measured.cancel_p50 = statistics.median(taken)
    measured.cancel_p95 = statistics.quantiles(taken, n=20)[-1]


async def _idle(client: App, database: Database, measured: Measured, idleness: float) -> None:
    await client.start(workflows.idle.options(id="late"))
    await _waiting(database, ["late"])
    await anyio.sleep(idleness)
    measured.cancel_after_idleness = await _cancel(client, "late")


async def _waiting(database: Database, ids: list[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while {(await database.statuses()).get(id) for id in ids} != {"waiting"}:
        assert time.monotonic() < deadline, "not all are taken up"
        await anyio.sleep(0.05)


async def _cancel(client: App, id: str) -> float:
    handle = client.handle(workflows.idle, id)
    began = time.monotonic()
    await handle.cancel()
    try:
        await handle.result(timeout=_PATIENCE)
    except WorkflowCancelled:
        return time.monotonic() - began
    raise AssertionError(f"{id} was cancelled, and returned")
