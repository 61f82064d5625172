"""Messages, events and children while worker processes are killed: nothing is lost, nothing comes twice.

PERDURE_LONG=1 kills more; PERDURE_SEED=... kills others.
"""

from __future__ import annotations

import os
import time
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import pytest

from chaos import messengers
from chaos.database import Database, Written
from chaos.feeds import SOURCE
from chaos.ledger import scheme
from chaos.letters import check
from chaos.processes import Crew, Process, crew
from perdure import App, StoreUnavailable

_SEED = int(os.environ.get("PERDURE_SEED", "20261121"))
_LONG = bool(os.environ.get("PERDURE_LONG"))
_LEASE = 1.0
#: Seconds after which what has not happened never will.
_PATIENCE = 60.0

pytestmark = [
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.one_store,
]  # that of the test's own process


@asynccontextmanager
async def besieged(url: str, place: Path, partitions: int = 64) -> AsyncGenerator[tuple[App, Crew, Database, Random]]:
    """A client, and workers to be killed. None has fallen otherwise."""
    chance = Random(f"{_SEED} {scheme(url)}")
    with crew(url, place, chance, _LEASE) as workers:
        async with App(url, workflows=[messengers], worker=False, partitions=partitions) as app:
            yield app, workers, Database(url), chance
        assert not workers.fallen()


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not await condition():
        assert time.monotonic() < deadline, f"not within {_PATIENCE:g} s: {what}"
        await anyio.sleep(0.03)


async def received(database: Database, channel: str) -> int:
    sql = f"select count(*) from perdure_events where kind = 'MessageReceived' and name = '{channel}'"
    return int((await database.query(sql))[0][0])


async def kill_along(workers: Crew, database: Database, chance: Random, channel: str, total: int, kills: int) -> None:
    """Kill a worker each time another share of the messages has been received, and start one in its place."""
    for number in range(kills):
        share = total * (number + 1) // (kills + 1)

        async def far_enough(share: int = share) -> bool:
            return len(workers.serving) > 1 and await received(database, channel) >= share

        await until(far_enough, f"{share} messages of {total} received")
        chance.choice(workers.serving).kill()
        workers.worker()


async def publish(app: App, channel: str, number: int) -> None:
    """Once, however often the database is out of reach."""
    while True:
        try:
            await app.publish(channel, number, id=f"m{number}")
        except StoreUnavailable:
            await anyio.sleep(0.05)
        else:
            return


async def test_each_message_of_a_queue_comes_to_one_consumer(durable_url: str, tmp_path: Path) -> None:
    channel, total, kills = "queue", 1000, 12 if _LONG else 3
    async with besieged(durable_url, tmp_path) as (app, workers, database, chance):
        for _ in range(3):
            workers.worker()
        for number in range(10):
            await app.start(messengers.consumer.options(id=f"c{number}"), channel, None)

        async def subscribed() -> bool:
            return await database.count("perdure_subscriptions") == 10

        async def all_received() -> bool:
            return await received(database, channel) >= total

        await until(subscribed, "all subscribe")
        left = iter(range(total))

        async def lane() -> None:
            for number in left:
                await publish(app, channel, number)

        async with anyio.create_task_group() as group:
            group.start_soon(kill_along, workers, database, chance, channel, total, kills)
            for _ in range(5):
                group.start_soon(lane)
        began = time.monotonic()
        await until(all_received, "the queue is empty, with nobody telling anybody")
        lasted = time.monotonic() - began
        rows = await database.events()
        found = [row for row in rows if row.kind == "MessageReceived"]
        print(
            f"{scheme(durable_url)}: {kills} kills, {len(found)} messages, the last one {lasted:.2f} s after the rest"
        )
        assert sorted(row.data["data"] for row in found) == list(range(total))
        assert {row.data["id"] for row in found} == {f"m{number}" for number in range(total)}
        assert await database.count("perdure_inbox") == 0


async def test_each_subscriber_hears_all_publishers_in_their_order(durable_url: str, tmp_path: Path) -> None:
    counts, subscribers, kills = [100, 100] if _LONG else [60, 60], 5, 12 if _LONG else 3
    async with besieged(durable_url, tmp_path) as (app, workers, database, chance):
        for _ in range(3):
            workers.worker()
        handle = await app.start(messengers.broadcast.options(id="b"), "news", subscribers, counts)
        await kill_along(workers, database, chance, "news", subscribers * sum(counts), kills)
        heard = await handle.result(timeout=_PATIENCE)
        assert heard == [[list(range(count)) for count in counts]] * subscribers
        letters = check(await database.events(), {})
        print(f"{scheme(durable_url)}: {kills} kills, {letters.received} messages, {letters.children} children")
        assert not letters.failures


async def test_an_event_that_was_accepted_comes_through(durable_url: str, tmp_path: Path) -> None:
    """Whoever accepted it dies before it has told anybody; and so does the worker that would have taken it."""
    rounds = 4 if _LONG else 1
    async with besieged(durable_url, tmp_path) as (app, workers, database, _):
        worker = workers.worker()
        handle = await app.start(messengers.payee.options(id="p"), "k", 4 * rounds)

        async def waiting() -> bool:
            return await database.count("perdure_waits") > 0

        await until(waiting, "it waits")
        for number in range(0, 4 * rounds, 4):
            await workers.ready(worker)
            courier = workers.courier(f"c{number}", "--key", "k", "--first", str(number), "--count", "2")
            event = {"source": SOURCE, "type": "chaos.paid"}
            await app.deliver({**event, "id": f"k-{number + 2}", "data": {"key": "k", "number": number + 2}})
            assert await courier.ended() == -9, courier.said
            courier.killed = True
            await app.deliver({**event, "id": f"k-{number + 3}", "data": {"key": "k", "number": number + 3}})
            worker.kill()
            worker = workers.worker()
        assert await handle.result(timeout=_PATIENCE) == list(range(4 * rounds))
        events = Counter(row.data["id"] for row in await database.events() if row.kind == "EventReceived")
        assert set(events.values()) == {1}


class Pair:
    """A parent and its child, each in a partition of its own, which has a worker of its own."""

    id = next(id for id in (f"parent-{number}" for number in range(9)) if zlib.crc32(id.encode()) % 2 == 0)

    def __init__(self, workers: Crew, database: Database, gate: Path) -> None:
        self.workers = workers
        self.database = database
        self.gate = gate
        self.open(1)

    def open(self, seq: int) -> None:
        new = self.gate.with_suffix(".new")
        new.write_text(str(seq))
        new.replace(self.gate)

    def worker(self) -> Process:
        return self.workers.worker(extra=("--partitions", "2", "--gate", str(self.gate), "--gated", self.id))

    async def stream(self) -> list[Written]:
        return [row for row in await self.database.events() if row.instance_id == self.id]

    async def owners(self) -> list[Process]:
        """Of the parent and of the child; or fewer, while they have none, or one for both."""
        column = "`partition`" if self.database.scheme == "mysql" else '"partition"'
        found = await self.database.query(
            f"select i.workflow, p.owner from perdure_instances i join perdure_partitions p on p.{column} = i.{column} "
            "where i.workflow in ('correspondence', 'correspondent') order by i.workflow"
        )
        alive = {process.name: process for process in self.workers.serving}
        owners = [alive[name] for _, name in found if name in alive]
        return list(dict.fromkeys(owners))

    async def apart(self, when: str) -> list[Process]:
        """Wait until each has an owner of its own."""
        found: list[Process] = []

        async def seen() -> bool:
            found[:] = await self.owners()
            return len(found) == 2

        await until(seen, f"parent and child are apart, {when}")
        return found


_EVENTS = [
    "WorkflowStarted",
    "ChildStarted",
    "MessageReceived",
    "MessageSent",
    "ChildStarted",
    "ChildEnded",
    "QuestionAsked",
    "QuestionAnswered",
    "ChildEnded",
    "WorkflowCompleted",
]


@pytest.mark.parametrize("first", [0, 1])
async def test_a_parent_and_its_child_are_killed_at_every_event(first: int, durable_url: str, tmp_path: Path) -> None:
    """In turn: the worker of the parent, and that of the child, which is another one."""
    async with besieged(durable_url, tmp_path, partitions=2) as (app, workers, database, _):
        pair = Pair(workers, database, tmp_path / "gate")
        await workers.ready(pair.worker())
        handle = await app.start(messengers.correspondence.options(id=pair.id))

        async def child_exists() -> bool:
            return "correspondent" in {row.name for row in await database.events() if row.seq == 1}

        await until(child_exists, "the child exists")
        pair.worker()
        kills, length = first, 1
        while True:
            (await pair.apart(f"at event {length}"))[kills % 2].kill()
            kills += 1
            pair.worker()
            await pair.apart(f"again, after event {length}")
            pair.open(length + 1)

            async def goes_on(length: int = length) -> bool:
                return len(await pair.stream()) > length

            await until(goes_on, f"event {length + 1}")
            stream = await pair.stream()
            length = len(stream)
            if stream[-1].kind == "WorkflowCompleted":
                break
        print(f"{scheme(durable_url)}: {kills - first} kills at {length} events")
        assert await handle.result(timeout=_PATIENCE) == [1, 20, 40, [2, 20]]
        assert [row.kind for row in stream] == _EVENTS
        assert not check(await database.events(), {}).failures
