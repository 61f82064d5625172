"""One run: workers, a load, faults, and what came of it."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
from attrs import frozen

from chaos import effects, ledger
from chaos.adversary import Adversary
from chaos.checker import Findings, Observation, check
from chaos.database import Database
from chaos.jobs import Job
from chaos.load import Load
from chaos.processes import Crew, crew
from chaos.workflows import counter


@frozen
class Scenario:
    """`faults` are methods of the adversary, which go on side by side for some seconds.

    `most`: workers that `rolling` goes up to. `orderly`: nothing happens that excuses a repeated step.
    """

    name: str
    faults: Sequence[str]
    workers: int = 3
    lease: float = 2.0
    width: int = 16
    most: int = 4
    orderly: bool = False


#: Seconds in which all that was started by other instances has ended, too.
_PATIENCE = 60.0

#: A pause of a machine that carries so many processes is no fault here: the lease outlasts it.
_LONG = 60.0

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("kills", ("kills", "pairs", "replacing")),
        Scenario("stops", ("stops", "newcomers", "replacing")),
        Scenario("cuts", ("cuts", "newcomers", "pairs", "replacing")),
        Scenario("rolling", ("rolling",), workers=1, lease=_LONG, orderly=True),
        Scenario("everything", ("kills", "stops", "cuts", "newcomers", "pairs", "replacing")),
        Scenario("restarts", ("restarts", "kills", "replacing")),
    )
}


class ChaosFailed(AssertionError):
    pass


@contextmanager
def logged(place: Path) -> Generator[None]:
    """What the client in this process has to say goes where the workers' logs are."""
    handler = logging.FileHandler(place / "client.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


async def run(scenario: Scenario, url: str, seed: int, seconds: float, place: Path) -> str:
    """The summary. Raises ChaosFailed with all that was wrong; the workers' logs stay in `place`."""
    began = time.monotonic()
    chance = Random(f"{seed} {scenario.name} {ledger.scheme(url)}")
    database = Database(url)
    await anyio.to_thread.run_sync(ledger.create, url)
    load = Load(url, chance, scenario.width)
    with logged(place), crew(url, place, chance, scenario.lease) as workers:
        adversary = Adversary(workers, database, chance)
        try:
            observed = await _play(scenario, workers, database, load, adversary, seconds)
            twins = await _twins(adversary, database)
            log = effects.read(place / "effects")
            jobs = {**load.accepted, **twins}
            outages = adversary.done["restarts"]
            if database.scheme == "sqlite":  # who is stopped while he writes holds the only lock: all lose their leases
                outages += adversary.done["stops"]
            findings = await check(database, log, workers.processes, jobs, observed, workers.place, outages)
        except Exception as error:
            (place / "failure").write_text("".join(traceback.format_exception(error)))
            raise ChaosFailed(f"seed {seed}, {scenario.name}, logs in {place}: {error!r}") from error
        names = "".join(f"{process.pid} {process.name} {process.stops}\n" for process in workers.processes)
        (place / "processes").write_text(names)
        findings.failures += [*load.wrong, *adversary.failures, *workers.fallen()]
        if scenario.orderly and findings.twice:
            findings.failures.append(f"{findings.twice} steps began twice, in an orderly world")
    said = _summary(scenario, database, seed, adversary, len(workers.workers), findings, time.monotonic() - began)
    if findings.failures:
        raise ChaosFailed("\n".join([said, f"logs in {place}", *findings.failures[:20]]))
    return said


async def _play(
    scenario: Scenario, workers: Crew, database: Database, load: Load, adversary: Adversary, seconds: float
) -> list[Observation]:
    observed: list[Observation] = []
    first = [workers.worker() for _ in range(scenario.workers)]
    async with load.app, anyio.create_task_group() as group:
        group.start_soon(_observe, database, observed)
        for process in first:
            await workers.ready(process)
        async with anyio.create_task_group() as burden:
            burden.start_soon(load.run)
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as faults:
                    for name in scenario.faults:
                        faults.start_soon(_fault(adversary, scenario, name))
                    await anyio.sleep_forever()
            load.stop()
            group.start_soon(adversary.replacing, 1)
        await adversary.recovered()
        await _settled(database, adversary)
        for twin in adversary.twins:
            await twin.ended()
        group.cancel_scope.cancel()
    await workers.finish()
    return observed


async def _settled(database: Database, adversary: Adversary) -> None:
    """Nobody waits for those who were started by others, or who are none of their parents' business."""
    deadline = time.monotonic() + _PATIENCE
    while going := [id for id, status in (await database.statuses()).items() if status in ("running", "waiting")]:
        if time.monotonic() > deadline:
            adversary.failures.append(f"{len(going)} instances do not end, {going[:5]} among them")
            return
        await anyio.sleep(0.2)


def _fault(adversary: Adversary, scenario: Scenario, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
    if name == "rolling":
        return lambda: adversary.rolling(scenario.most)
    if name == "replacing":
        return lambda: adversary.replacing(scenario.workers)
    fault: Callable[[], Coroutine[Any, Any, None]] = getattr(adversary, name)
    return fault


async def _observe(database: Database, observed: list[Observation]) -> None:
    """See what is recorded first, and then what time it is: the order makes it a proof."""
    known: set[tuple[str, int]] = set()
    while True:
        recorded = await database.answers()
        observed.append((recorded - known, time.monotonic()))
        known |= recorded
        await anyio.sleep(0.4)


async def _twins(adversary: Adversary, database: Database) -> dict[str, Job]:
    """The instances that two processes started at once. Whose arguments counted is in the stream."""
    rows = await database.events()
    inputs = {row.instance_id: row.data["input"]["count"] for row in rows if row.seq == 1 and row.name == "counter"}
    found: dict[str, Job] = {}
    for twin in adversary.twins:
        for line in twin.said.splitlines():
            match line.split():
                case ["accepted", id]:
                    found[id] = Job(counter, id, (inputs[id],), ("result", inputs[id]))
                case ["result", id, value] if int(value) != inputs[id]:
                    adversary.failures.append(f"{twin.name} has {value} from {id}, whose input is {inputs[id]}")
    return found


def _summary(
    scenario: Scenario,
    database: Database,
    seed: int,
    adversary: Adversary,
    started: int,
    findings: Findings,
    seconds: float,
) -> str:
    done, letters = adversary.done, findings.letters
    return (
        f"chaos {scenario.name}: seed {seed}, {database.scheme}, {done['kills']} kills, {done['stops']} stops, "
        f"{done['cuts']} connections cut, {done['restarts']} restarts, {done['removed']} removed, "
        f"{started} workers started, {findings.instances} instances, {findings.steps} steps recorded, "
        f"{findings.twice} run twice (in flight), {findings.zombies} by a waking zombie, "
        f"{findings.repeated} recorded steps repeated, {findings.lost} instances lost, "
        f"{letters.received} messages, {letters.events} events, {letters.answers} answers, "
        f"{letters.children} children, {letters.lost} of them lost, {letters.twice} twice, {seconds:.1f} s"
    )
