"""What the statements of the PostgreSQL store cost does not depend on how much there is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from attrs import evolve

from perdure.ports import (
    Arrival,
    Box,
    Emission,
    Holding,
    Letter,
    Mail,
    Mark,
    Outcome,
    Post,
    Projection,
    Publication,
    Taker,
    Unit,
)
from perdure.testing.contract.units import accept, birth, event, more, own
from perdure_adapters.postgresql import PostgreSQLStore
from perdure_adapters.postgresql.looking import look
from servers.postgresql import execute
from stores.postgresql_sessions import opened


def everything(count: int) -> list[str]:
    """SQL that fills the tables with what has nothing to do with anybody in particular."""
    many = f"from generate_series(1, {count}) n"
    text = "'default', 'x' || n"
    return [
        f"""insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at, channel, key, held)
            select 'default', 2 + n % 2, 'x' || n, 'event', '1', '2100-01-01', '', 'x' || n, n % 2 = 0 {many}""",
        f"""insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at, channel)
            select 'default', -1, '', 'message', '1', '2100-01-01',
              case n % 2 when 0 then 'x' else 'q101' end {many}""",
        f"insert into perdure_channels select {text}, true {many}",
        f"insert into perdure_subscriptions select 'default', 'x' || n % 2, 'x' || n, 'competing' {many}",
        f"insert into perdure_waits select 'default', 'x' || n % 2, 'x' || n, n {many}",
        f"insert into perdure_correlations select 'default', 'x', 'x' || n {many}",
        f"""insert into perdure_event_buffer (service, key, type, data, "partition", offered, at)
            select {text}, case n % 3 when 0 then 'x' else 't101' end, '1', 0, n % 2 = 0, '2100-01-01' {many}""",
        f"insert into perdure_event_keys select 'default', 'x' || n % 2, n {many}",
        f"insert into perdure_seen select {text}, 'x' || n, '2100-01-01' {many}",
        f"insert into perdure_asks select {text}, null, '2100-01-01' {many}",
        f"""insert into perdure_outbox (service, id, lane, "partition", status, data, attempts, due_at, created_at,
              settled_at)
            select {text}, case n % 2 when 0 then 'x' else 'l101' end, 0,
              case n % 3 when 0 then 'published' else 'dead' end, '1', 0, n % 2 * n,
              '2100-01-01', '2100-01-01' {many}""",
        f"""insert into perdure_letters (service, "partition", kind, key, body, at)
            select 'default', 2 + n % 2, case n % 3 when 0 then 'start' else 'send' end, 'x' || n, '1', '2100-01-01'
            {many}""",
        f"insert into perdure_runs select {text}, 1, '2100-01-01' {many}",
        f"""insert into perdure_instances (service, id, workflow, "partition", run, status, created_at, ended_at)
            select {text}, 'w', 0, 1, 'completed', '2100-01-01', '2100-01-01' {many}""",
        f"insert into perdure_events select {text}, 1, 1, 'Start', null, 'w', '2100-01-01', 1, '{{}}' {many}",
    ]


async def messages(store: PostgreSQLStore, held: Holding, n: int) -> None:
    """Everything that the port knows of messages, with few of each."""
    one, two, three, other = f"one{n}", f"two{n}", f"three{n}", evolve(held, partition=1, epoch=1)

    async def write(*units: Unit) -> None:
        assert set(await store.commit(units, n)) == {Outcome.COMMITTED}

    await write(*(birth(id, 0, held.epoch) for id in (one, two, three)))
    boxes = [
        Box(
            subscribed=[(f"c{n}", "broadcast"), (f"q{n}", "competing"), ("x0", "competing")],
            waits=[(1, f"k{n}"), (2, f"k{n}")],
        )
    ] * 2
    await write(*(more(id, held, event(2), box=box) for id, box in zip((one, two), boxes, strict=True)))
    posts = [Post(two, "message", "1", "d", f"p{m}") for m in range(4)]
    published = [Publication(f"c{n}", "1", f"p{n}"), *(Publication(f"q{n}", "1") for _ in range(3))]
    await write(more(one, held, event(3), mail=Mail(posts[:1])))
    await write(more(one, held, event(4), mail=Mail(posts, published, [], [(two, "p0")])))
    await store.ask(f"a{n}", Post(two, "message", "1", "d", f"a{n}"), 10**9)
    await store.listen(f"a{n}")
    requests = [row.id for row in await store.requests([0], 100, 0)]
    given = [row.id for row in await store.assign(f"q{n}", [Taker(two, 0, held.epoch), Taker(one, 0, held.epoch)])]
    await write(more(two, held, event(3), box=Box(held=requests[2:4], returned=given[:1])))
    await store.load([two, one])
    await store.dismiss([requests[0], given[1]], {0: held.epoch}, Mail(posts[:1], published[:1]))
    unit = more(two, held, event(4), inbox=requests[4:], mail=Mail(replies=[(f"a{n}", "1")]))
    unit.needs = requests[2:4]
    await write(unit)
    assert await store.answer(f"a{n}") == "1"
    await store.forget(f"a{n}", two)
    number = await accept(store, Arrival(f"e{n}", f"t{n}", "{}", 0))
    await store.correlate(f"t{n}", "p")
    await store.correlations(f"t{n}")
    await store.unoffered([0], 5 * 10**15, 10)
    await store.note([(number, f"l{n}")])
    await store.offer([(number, [f"k{n}"])])
    await store.look([(three, f"k{n}")], 0)
    await store.buffered(f"t{n}", 0, 0, 10)
    emitted = [Emission(f"e{n}-{m}", f"l{n}", 0, "1") for m in range(4)]
    await store.post(Mail(emissions=emitted))
    parcels = await store.parcels([0], 0, ["other"], 3)
    assert len(parcels) == 3
    await store.mark([Mark(parcels[0].number, "pending", 1, 7), Mark(parcels[1].number, "dead", 1, 7)])
    assert [parcel.number for parcel in await store.parcels([0], 7, [], 3)] == [parcels[0].number]
    await store.resend(f"e{n}-1", 8)
    await store.outbox(None, 3, None)
    await store.outbox("pending", 3, None)
    parcels = await store.outbox(None, 4, None)
    await store.mark([Mark(parcel.number, "published", 0, settled_at=9) for parcel in parcels])
    transaction = await store.begin(5.0)
    for kind in ("start", "send"):
        await store.guest(transaction).write(Letter(0, kind, f"s{n}", "{}"))
    assert await transaction.commit(more(three, held, event(2)), n) is Outcome.COMMITTED
    letters = await store.letters([0], 10, 0)
    assert await store.to_start(f"s{n}") == letters[0]
    await store.carry_out({letters[0].number: None, letters[1].number: Mail(posts[:1])}, {0: held.epoch})
    assert await store.letters([0], 10, 0) == []
    successor = (1, "RunStarted", None, "w", 9, "1")
    again = more(one, held, event(5), box=Box(unwaited=[1], unsubscribed=[f"c{n}"]))
    again.successor = successor
    await write(again, more(two, held, event(5), mail=Mail([Post(three, "cancel", "1")])))
    assert await store.move(two, held, 1)
    await store.restamp(requests)
    assert await store.move(two, other, 0)
    end = Projection("completed", None, 99, undo='[{"name": "s", "outcome": "failed", "error": null}]')
    await write(more(two, held, event(6), projection=end, inbox=requests[3:4], box=Box(closed=True)))
    await store.request_compensation(two)
    await store.expire(2 * 10**15, 2 * 10**15, 2 * 10**15, 100)
    await store.purge(100, 10)
    assert store._bridge is not None
    await store._bridge.call(store._connections.run, look, "default", [0], True, [one, f"a{n}"])


@pytest.mark.parametrize("options", ["?max_connections=3", "?max_connections=3&statement_cache_size=0"])
async def test_no_statement_grows_with_what_is_there(postgresql_url: str, options: str) -> None:
    """The statements are prepared while the tables are empty: that plan must do for full ones too."""
    counts = (
        "select (select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables)::bigint "
        "+ (select sum(idx_tup_read) from pg_stat_user_indexes)::bigint as read"
    )

    async def told(connection: Any) -> None:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select 1")

    async with opened(postgresql_url + options) as store:

        async def flush() -> None:
            """Both connections: that of the journal, and the only one of the pool."""
            assert store._bridge is not None
            await store._bridge.call(store._connections.run, told)
            await store._bridge.call(store._connections.commit, told)

        held = (await own(store, partitions=4))[0]
        wakes = Projection("waiting", 500)

        async def life(id: str, commit_id: int) -> None:
            end = more(id, held, event(3), projection=Projection("completed", None, 99))
            end.unless_cancelled = True
            await store.commit([birth(id, 0, held.epoch)], commit_id)
            await store.load([id])
            await store.commit([more(id, held, event(2), projection=wakes)], commit_id + 1)
            await store.due([0], 0, 1000, limit=100, after=None)
            await store.requests([0], 100, 0)
            await store.listen(id)
            await store.commit([end], commit_id + 2)
            await store.ending(id)
            await store.instance(id)
            store.unlisten(id)

        async def reads(work: Callable[[], Awaitable[None]]) -> int:
            await flush()
            (before,) = await anyio.to_thread.run_sync(execute, postgresql_url, counts)
            await work()
            await flush()
            (after,) = await anyio.to_thread.run_sync(execute, postgresql_url, counts)
            return int(after["read"] - before["read"])

        for n in range(5):
            await life(f"early{n}", 5)
            await messages(store, held, n)
        few = await reads(lambda: life("one", 5)), await reads(lambda: messages(store, held, 100))
        await anyio.to_thread.run_sync(execute, postgresql_url, *everything(5000))
        many = await reads(lambda: life("another", 5)), await reads(lambda: messages(store, held, 101))
        assert few[0] < 200, few
        assert many[0] <= few[0] + 500, (few, many)  # of the 5,000 that are there; some are the server's own
        assert few[1] < 1500, few
        assert many[1] <= few[1] + 500, (few, many)
