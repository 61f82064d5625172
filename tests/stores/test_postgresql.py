"""The contract of stores, kept on PostgreSQL, and what is special to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import anyio
import pytest

from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.ports import Box, Holding, Mail, Outcome, Post, Projection, Publication
from perdure.testing.contract import Database, Notes, StoreContract
from perdure.testing.contract.units import birth, event, more, own
from perdure_adapters.postgresql import PostgreSQLStore
from servers.postgresql import execute
from stores.postgresql_sessions import Session, opened, racing, waiting_for_a_lock
from stores.tables import postgresql_notes


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def database(self, lasting_postgresql_url: str) -> Database:
        apart = uuid.uuid4().hex
        return lambda service="default": PostgreSQLStore(lasting_postgresql_url, f"{service}-{apart}")

    @pytest.fixture
    def notes(self, lasting_postgresql_url: str) -> Iterator[Notes]:
        with postgresql_notes(lasting_postgresql_url) as notes:
            yield notes


class TestThroughAPooler(StoreContract):
    """Nothing prepared, no settings of sessions, nobody listens: what is left behind a PgBouncer."""

    @pytest.fixture
    def database(self, lasting_postgresql_url: str) -> Database:
        url, apart = f"{lasting_postgresql_url}?statement_cache_size=0", uuid.uuid4().hex
        return lambda service="default": PostgreSQLStore(url, f"{service}-{apart}")

    @pytest.fixture
    def notes(self, lasting_postgresql_url: str) -> Iterator[Notes]:
        with postgresql_notes(lasting_postgresql_url) as notes:
            yield notes


THEFT = """update perdure_partitions set owner = 'thief', epoch = epoch + 1 where "partition" = 0"""


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("again", [False, True], ids=["first try", "repeat"])
async def test_a_commit_waits_for_a_thief_and_loses(postgresql_url: str, again: bool) -> None:
    async with opened(postgresql_url) as store:
        held = await own(store)
        await store.commit([birth("i", 0, held[0].epoch), birth("j", 1, held[1].epoch)], 1)
        async with Session(store).open() as thief:
            await thief.do("""select 1 from perdure_partitions where "partition" = 0 for update""")
            await thief.do(THEFT)

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await thief.do("commit")

            units = [more("i", held[0], event(2)), more("j", held[1], event(2))]
            outcomes = await racing(lambda: store.commit(units, 2, again=again), finish)
        assert list(outcomes) == [Outcome.FENCED, Outcome.COMMITTED]
        assert len(await store.history("i", 1)) == 1


@pytest.mark.usefixtures("patient")
async def test_a_thief_waits_for_a_commit(postgresql_url: str) -> None:
    """So the streams that it reads afterwards hold all that was written under the old epoch."""
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        async with Session(store).open() as commit:
            await commit.do("""select 1 from perdure_partitions where "partition" = 0 for key share""")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await commit.do("commit")

            store._patience = 60
            (gained,) = await racing(lambda: store.claim("thief", [held]), finish)
        assert gained == Holding(0, "thief", held.epoch + 1)


async def test_a_thief_takes_what_it_can_get(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = await own(store)
        async with Session(store).open() as zombie:
            await zombie.do("""select 1 from perdure_partitions where "partition" = 0 for key share""")
            gained = await store.claim("thief", [held[0], held[1]])
        assert [holding.partition for holding in gained] == [1]


@pytest.mark.usefixtures("patient")
async def test_an_end_waits_for_a_cancellation_and_lets_it_go_first(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch), birth("j", 0, held.epoch)], 1)
        async with Session(store).open() as other:
            await other.do("update perdure_instances set cancel_requested = '{}' where id = 'i'")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await other.do("commit")

            ends = [more(id, held, event(2), projection=Projection("completed", None, 9)) for id in ("i", "j")]
            for end in ends:
                end.unless_cancelled = True
            outcomes = await racing(lambda: store.commit(ends, 2), finish)
        assert list(outcomes) == [Outcome.CANCEL_FIRST, Outcome.COMMITTED]
        assert len(await store.history("i", 1)) == 1
        assert len(await store.history("j", 1)) == 2


@pytest.mark.parametrize("options", ["", "?statement_cache_size=0"], ids=["direct", "pooler"])
async def test_a_strangers_lock_holds_up_its_own_instance_only(postgresql_url: str, options: str) -> None:
    async with opened(postgresql_url) as plain, opened(postgresql_url + options) as store:
        held = await own(store)
        await store.commit([birth("i", 0, held[0].epoch), birth("j", 0, held[0].epoch), birth("k", 1, 1)], 1)
        waits = Projection("waiting", None)
        async with Session(plain).open() as stranger:
            await stranger.do("select 1 from perdure_instances where id = 'i' for update")
            await stranger.do("""select 1 from perdure_partitions where "partition" = 1 for update""")
            units = [more(id, held[0], event(2), projection=waits) for id in ("i", "j")]
            units.append(more("k", held[1], event(2)))
            outcomes = await store.commit(units, 2)
        assert list(outcomes) == [Outcome.BUSY, Outcome.COMMITTED, Outcome.BUSY]
        again = [unit for unit, outcome in zip(units, outcomes, strict=True) if outcome is Outcome.BUSY]
        assert set(await store.commit(again, 2)) == {Outcome.COMMITTED}
        assert [len(await store.history(id, 1)) for id in ("i", "j", "k")] == [2, 2, 2]


@pytest.mark.usefixtures("patient")
async def test_a_commit_waits_for_who_takes_back_what_it_needs_and_loses(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch), birth("j", 0, held.epoch)], 1)
        await store.post(Mail([Post("i", "message", "1", key="k")]))
        (request,) = await store.requests([0], 10, 0)
        units = [more("i", held, event(2), inbox=[request.id]), more("j", held, event(2))]
        units[0].needs = [request.id]
        async with Session(store).open() as other:
            await other.do("delete from perdure_inbox")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await other.do("commit")

            outcomes = await racing(lambda: store.commit(units, 2), finish)
        assert list(outcomes) == [Outcome.CONFLICT, Outcome.COMMITTED]


@pytest.mark.usefixtures("patient")
async def test_a_publication_waits_for_a_subscriber_and_reaches_him(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch), birth("j", 0, held.epoch)], 1)
        await store.commit([more("j", held, event(2), box=Box(subscribed=[("c", "broadcast")]))], 2)
        async with Session(store).open() as other:
            await other.do("select 1 from perdure_channels where channel = 'c' for no key update")
            await other.do("insert into perdure_subscriptions values ('default', 'c', 'i', 'broadcast')")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await other.do("commit")

            unit = more("j", held, event(3), mail=Mail(publications=[Publication("c", "1")]))
            outcomes = await racing(lambda: store.commit([unit], 3), finish)
        assert list(outcomes) == [Outcome.COMMITTED]
        assert [row.instance_id for row in await store.requests([0], 10, 0)] == ["i", "j"]


@pytest.mark.usefixtures("patient")
async def test_a_subscriber_waits_for_one_of_the_other_mode_and_loses(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch), birth("j", 0, held.epoch)], 1)
        async with Session(store).open() as other:
            await other.do("insert into perdure_channels values ('default', 'c', true)")
            await other.do("insert into perdure_subscriptions values ('default', 'c', 'other', 'competing')")

            async def finish() -> None:
                await waiting_for_a_lock(postgresql_url)
                await other.do("commit")

            units = [more("i", held, event(2), box=Box(subscribed=[("c", "broadcast")])), more("j", held, event(2))]
            outcomes = await racing(lambda: store.commit(units, 2), finish)
        assert list(outcomes) == [Outcome.MODE_CONFLICT, Outcome.COMMITTED]
        assert len(await store.history("i", 1)) == 1


@pytest.mark.parametrize("options", ["", "?statement_cache_size=0"], ids=["direct", "pooler"])
async def test_a_strangers_lock_holds_up_what_is_sent_there_only(postgresql_url: str, options: str) -> None:
    async with opened(postgresql_url) as plain, opened(postgresql_url + options) as store:
        held = (await own(store))[0]
        ids = ["h", "i", "j", "k", "target"]
        await store.commit([birth(id, 0, held.epoch, events=[event(2)]) for id in ids], 1)
        box = Box(subscribed=[("c", "broadcast")])
        assert list(await store.commit([more("target", held, event(3), box=box)], 2)) == [Outcome.COMMITTED]
        mails = [
            Mail(publications=[Publication("c", '"h"')]),
            Mail([Post("target", "cancel", "{}")]),
            Mail([Post("target", "message", '"j"')]),
            Mail(publications=[Publication("d", '"k"')]),
        ]
        units = [more(id, held, event(3), mail=mail) for id, mail in zip(ids, mails, strict=False)]
        units.append(more("target", held, event(4), box=Box(subscribed=[("c", "broadcast")])))
        async with Session(plain).open() as stranger:
            await stranger.do("select 1 from perdure_instances where id = 'target' for update")
            await stranger.do("select 1 from perdure_channels where channel = 'c' for update")
            outcomes = await store.commit(units, 3)
        busy, done = Outcome.BUSY, Outcome.COMMITTED
        assert list(outcomes) == [busy, busy, done, done, busy]
        again = [unit for unit, outcome in zip(units, outcomes, strict=True) if outcome is busy]
        assert set(await store.commit(again, 3)) == {done}
        assert [row.data for row in await store.requests([0], 10, 0)] == ['"j"', "{}", '"h"']


async def test_a_repeat_finds_what_was_written_before_the_partition_was_lost(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch)], 1)
        await store.commit([more("i", held, event(2))], 7)
        await store.claim("thief", [held])
        assert list(await store.commit([more("i", held, event(2))], 7, again=True)) == [Outcome.COMMITTED]
        assert list(await store.commit([more("i", held, event(3))], 8, again=True)) == [Outcome.FENCED]


async def test_it_goes_on_after_all_its_connections_were_cut(postgresql_url: str) -> None:
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
    async with opened(postgresql_url) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch)], 1)
        await anyio.to_thread.run_sync(execute, postgresql_url, f"{cut} pg_backend_pid()")
        seq = 2
        with anyio.fail_after(60):
            while True:
                try:
                    await store.commit([more("i", held, event(seq))], seq, again=True)
                    break
                except StoreUnavailable:
                    await anyio.sleep(0.01)
        assert len(await store.history("i", 1)) == 2


async def test_ten_at_once_on_an_empty_database(postgresql_url: str) -> None:
    counts: list[int] = []

    async def start() -> None:
        async with opened(postgresql_url) as store:
            counts.append(await store.partitions(8))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(start)
    assert counts == [8] * 10


async def test_what_is_wrong_with_a_url_is_said_at_once(postgresql_url: str) -> None:
    for bad in ("?max_connections=many", "?statement_cache_size=-1"):
        with pytest.raises(UsageError, match="whole number"):
            PostgreSQLStore(postgresql_url + bad, "default")
    for url, says in ((postgresql_url.rsplit("/", 1)[0] + "/no_such_database", "create database"),):
        store = PostgreSQLStore(url, "default")
        with pytest.raises(StoreError, match=says):
            await store.open(migrate=True)
    nobody = PostgreSQLStore("postgresql://me:secret@127.0.0.1:1/db", "default")
    with pytest.raises(StoreUnavailable) as caught:
        await nobody.open(migrate=True)
    assert "secret" not in str(caught.value)
