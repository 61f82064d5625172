"""Every statement finds its rows by an index, on MySQL or MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from perdure.ports import (
    STUCK,
    Arrival,
    Box,
    Due,
    Emission,
    Filter,
    Mail,
    Mark,
    Post,
    Publication,
    Taker,
)
from perdure.testing.contract.units import accept, birth, event, more, own
from perdure_adapters.mysql import arrivals, cleaning, inbox, letters, looking, mailing, outboxes, queries
from perdure_adapters.mysql.commit import commit
from perdure_adapters.mysql.connection import Connection, Result
from servers.mysql import execute
from stores.mysql_sessions import opened


class Explaining:
    """Stands for a connection, and gives the plans of what is read with it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sql = connection.sql
        self.plans: list[tuple[Any, ...]] = []

    async def rows(self, template: str, *values: object) -> Sequence[tuple[Any, ...]]:
        await self.run(self.sql(template, *values))
        return await self._connection.rows(template, *values)

    async def run(self, *statements: str) -> list[Result]:
        for statement in statements:
            if statement.startswith("select"):
                (plan,) = await self._connection.run(f"explain {statement}")
                self.plans += plan.rows
        return await self._connection.run(*statements)


_PARCELS = {"PRIMARY", "perdure_outbox_due", "perdure_outbox_lane", None}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_questions_that_are_asked_often_use_indexes(mysql_url: str) -> None:
    async with opened(mysql_url) as store, opened(mysql_url) as client:
        held = await own(store)
        units = [birth(f"i{n:04}", n % 4, held[n % 4].epoch) for n in range(500)]
        await store.commit(units, 1)
        await client.commit([birth(f"c{n:04}", n % 4, None) for n in range(500)], 2)
        for n in range(50):
            await accept(store, Arrival(f"e{n}", "t", "{}", n % 4))
        await store.post(Mail(emissions=[Emission(f"e{n}", f"{n % 60}", n % 60 % 4, "{}") for n in range(900)]))
        parcels = await store.parcels([0, 1, 2, 3], 0, [], 1000)
        await store.mark([Mark(one.number, "published", 0, settled_at=1) for one in parcels[:600]])
        await store.mark([Mark(one.number, "pending", 1, 5) for one in parcels[600:640]])
        execute(mysql_url, "analyze table perdure_instances, perdure_events, perdure_inbox, perdure_event_buffer")
        execute(
            mysql_url,
            "insert into perdure_letters (service, `partition`, kind, `key`, body, at) select 'default', "
            "crc32(id) % 4, if(crc32(id) % 3, 'start', 'send'), concat('s', id % 50), '{}', now(6) from perdure_inbox",
            "insert into perdure_letters (service, `partition`, kind, `key`, body, at) "
            "values ('default', 0, 'start', 's1', '{}', now(6))",
        )
        execute(mysql_url, "analyze table perdure_outbox, perdure_letters")
        ids = [unit.instance_id for unit in units[:50]]
        asked: list[tuple[Callable[..., Any], tuple[Any, ...], set[str | None]]] = [
            (queries.due, ([0, 2], STUCK, 100, 10, None), {"perdure_instances_due"}),
            (queries.due, ([0, 2, 3], STUCK, 100, 10, Due("i0100", 0, 0)), {"perdure_instances_due"}),
            (queries.load, (ids,), {"PRIMARY", "perdure_inbox_held"}),
            (queries.ending, ("i0001",), {"PRIMARY"}),
            (queries.history, ("i0001", None), {"PRIMARY"}),
            (queries.find, (Filter(),), {"perdure_instances_recent"}),
            (queries.find, (Filter(status="failed"),), {"perdure_instances_ended_badly"}),
            (inbox.requests, ([0, 2], 10, 0), {"perdure_inbox_partition"}),
            (arrivals.buffered, ("t", 0, 0, 10), {"perdure_event_buffer_type"}),
            (arrivals.unoffered, ([0, 1], 10**16, 10), {"PRIMARY", "perdure_event_buffer_unoffered", None}),
            (
                looking.look,
                ([0, 1], True, ["i0001", "q"]),
                {"PRIMARY", "perdure_inbox_partition", "perdure_outbox_due", "perdure_letters_partition", None},
            ),
            (letters.read, ([0, 1], 10, 0), {"PRIMARY", "perdure_letters_partition", None}),
            (letters.to_start, ("s1",), {"perdure_letters_start"}),
            (outboxes.parcels, ([0, 1], 9, ["b"], 10, 0), _PARCELS),
            (outboxes.parcels, ([2], 9, [], 10, 1), _PARCELS),
            (outboxes.page, (None, 10, 400), {"PRIMARY", "perdure_outbox_recent", None}),
            (outboxes.page, ("published", 10, None), {"PRIMARY", "perdure_outbox_recent", None}),
        ]

        async def explain(connection: Connection, service: str) -> None:
            for work, args, keys in asked:
                explaining = Explaining(connection)
                found = await work(explaining, service, *args)
                assert found or work is queries.find
                for plan in explaining.plans:
                    named = dict(zip(("id", "select", "table", "type", "possible", "key"), plan, strict=False))
                    assert {named["key"]} == keys or named["key"] in keys, (work, plan)
                    assert named["type"] != "ALL" or named["table"].startswith("<"), (work, plan)
                    assert work is not queries.due or "filesort" not in str(plan), plan

        await store._run(explain)


class Planning(Explaining):
    """As `Explaining`, of everything."""

    async def run(self, *statements: str) -> list[Result]:
        results: list[Result] = []
        for statement in statements:
            text = statement
            if statement.startswith("set @"):
                text = statement[statement.index("(select") + 1 : -1]
            text = text.split(" into @")[0]
            if "perdure_" in text and " values " not in text:
                (plan,) = await self._connection.run(f"explain {text}")
                self.plans += [(text, *row) for row in plan.rows]
            results += await self._connection.run(statement)
        return results

    async def commit(self, *statements: str) -> list[Result]:
        return await self.run(*statements, "commit")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_written_is_found_by_indexes(mysql_url: str) -> None:
    """Whatever else is there."""
    async with opened(mysql_url) as store:
        held = await own(store)
        ids = [f"i{n:04}" for n in range(400)]
        await store.commit([birth(id, n % 4, held[n % 4].epoch) for n, id in enumerate(ids)], 1)
        box = Box(subscribed=[("c", "broadcast")], waits=[(7, "x")])
        several = Box(subscribed=[("d", "competing")], waits=[(7, "y")])
        units = [more(id, held[n % 4], event(2), box=several if n % 9 else box) for n, id in enumerate(ids)]
        await store.commit(units, 2)
        everywhere = [Post(id, "message", str(n), "e", f"k{n}") for n, id in enumerate(ids)]
        queue = [Publication("d", str(n), f"k{n}") for n in range(300)]
        emissions = [Emission(f"e{n}", f"{n % 60}", n % 4, "{}") for n in range(900)]
        await store.post(Mail(posts=everywhere, publications=queue, emissions=emissions))
        parcels = await store.parcels([0, 1, 2, 3], 0, [], 1000)
        await store.mark([Mark(one.number, "published", 0, settled_at=1) for one in parcels[100:400]])
        await store.mark([Mark(one.number, "dead", 1, settled_at=1) for one in parcels[400:420]])
        for n in range(100):
            number = await accept(store, Arrival(f"e{n}", "t", "{}", n % 4, ids[n]))
            await store.offer([(number, [f"key{n}", "x"])])
            await store.ask(f"q{n}", Post(ids[n], "message", "1"), 10**9)
        number = await accept(store, Arrival("new", "t", "{}", 0))
        tables = execute(mysql_url, "show tables")
        execute(mysql_url, f"analyze table {', '.join(table for (table,) in tables)}")
        requests = [one.id for one in await store.requests([0], 10, 0)]
        mail = Mail(
            [Post("i0001", "message", "1", "e", "new"), Post("i0002", "cancel", "2", key="new")],
            [Publication("c", "1", "new"), Publication("d", "2")],
            [("q1", "1"), ("q2", "2")],
            [("i0003", "k3"), ("i0004", "k4")],
            [Emission("new", "a", 0, "{}")],
        )
        last = [
            more(ids[0], held[0], event(3), inbox=requests[:2], mail=mail, box=Box(held=requests[3:5], closed=True)),
            more(ids[4], held[0], event(3), box=Box(subscribed=[("c", "broadcast")], unwaited=[7, 8])),
            more(ids[8], held[0], event(3), box=Box(unsubscribed=["c"], returned=requests[2:3], waits=[(8, "z")])),
        ]
        last[2].successor = (1, "RunStarted", None, "w", 1, "{}")
        works: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            (commit, (last[:1], 3, False, True)),
            (commit, (last[1:], 4, True, True)),
            (mailing.post, (mail,)),
            (outboxes.mark, ([Mark(number, "dead", 1) for number in range(10, 20)],)),
            (outboxes.resend, ("e10", 1)),
            (mailing.forget, ("q1", "i0001", False)),
            (inbox.dismiss, (requests[5:], {0: held[0].epoch}, None)),
            (inbox.restamp, (requests[3:5],)),
            (inbox.assign, ("d", [Taker("i0001", 1, held[1].epoch)])),
            (inbox.move, ("i0001", held[1], 2)),
            (arrivals.offer, ([(number, ["x"])],)),
            (arrivals.look, ([("i0005", "x"), ("i0006", "x")], 0)),
            (cleaning.expire, (10**17, 10**17, 10**17, 5)),
            (cleaning.purge, (10**17, 5)),
        ]

        async def explain(connection: Connection, service: str) -> None:
            for work, args in works:
                planning = Planning(connection)
                await work(planning, service, *args)
                for text, *plan in planning.plans:
                    named = dict(zip(("id", "select", "table", "type", "possible", "key"), plan, strict=False))
                    if named["table"] and named["table"][0] != "<" and named["type"] is not None:
                        assert named["type"] not in ("ALL", "index"), (work, text, plan)

        await store._run(explain)
