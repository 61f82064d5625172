"""Transactions, and what others do meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from perdure.ports import Mail, Outcome, Projection, Store
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.notes import IDLE, Notes, nothing, prepare
from perdure.testing.contract.outbox import emissions
from perdure.testing.contract.units import Database, Opening, birth, event, more, note, own, told, write


class Overlapping:
    """All get through, side by side or one after the other."""

    async def test_many_in_a_hurry(self, opened: Opening, notes: Notes) -> None:
        async with opened() as one, opened() as two:
            held = (await own(one))[0]
            ids = [f"i{number}" for number in range(20)]
            await write(one, *(birth(id, 0, held.epoch) for id in ids))

            async def work(store: Store, number: int) -> None:
                transaction = await store.begin(IDLE)
                await notes.put(transaction, number, "a")
                unit = more(ids[number], held, event(2), mail=emissions(ids[number]))
                assert await transaction.commit(unit, number) is Outcome.COMMITTED

            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(len(ids)):
                        group.start_soon(work, (one, two)[number % 2], number)
            assert await notes.committed() == dict.fromkeys(range(len(ids)), "a")
            assert sorted(parcel.id for parcel in await one.outbox(None, 100, None)) == sorted(ids)

    async def test_two_at_once(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store, opened() as other:
            units = await prepare(store)
            if store.exclusive:
                return
            first, second, third = await store.begin(IDLE), await store.begin(IDLE), await other.begin(IDLE)
            with anyio.fail_after(60):
                for id, transaction in enumerate((first, second, third), start=1):
                    await notes.put(transaction, id, "a")
                    assert await notes.count(transaction) == 1
                assert await notes.committed() == {}
                await store.post(Mail(posts=[note("i", '"meanwhile"')]))
                assert await told(other) == [("i", '"meanwhile"')]
                assert await second.commit(units["j"], 5) is Outcome.COMMITTED
                assert await notes.committed() == {2: "a"}
                await third.rollback()
                assert await first.commit(units["i"], 6) is Outcome.COMMITTED
            assert await notes.committed() == {1: "a", 2: "a"}

    async def test_one_at_a_time(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store, opened() as other:
            units = await prepare(store)
            if not store.exclusive:
                return
            ended: list[int] = []

            async def work(number: int, call: Callable[[], Awaitable[object]]) -> None:
                await call()
                ended.append(number)

            async def last() -> None:
                transaction = await store.begin(IDLE)
                await notes.put(transaction, 2, "b")
                await transaction.commit(units["j"], 6)

            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: store.post(Mail(posts=[note("j", "1")])),
                lambda: store.request_cancel("j", "2"),
                last,
                lambda: store.post(Mail(posts=[note("j", "3")])),
            ]
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            async with anyio.create_task_group() as group:
                for number, call in enumerate(calls):
                    group.start_soon(work, number, call)
                    await anyio.wait_all_tasks_blocked()
                with anyio.fail_after(60):
                    await nothing(store, notes)
                    await nothing(other, notes)
                    assert len((await store.census()).members) == 1
                group.start_soon(work, len(calls), lambda: other.post(Mail(posts=[note("i", "4")])))
                await notes.put(transaction, 3, "a")
                assert ended == []
                assert await transaction.commit(units["i"], 5) is Outcome.COMMITTED
            assert sorted(number for number in ended if number < len(calls)) == [0, 1, 2, 3]
            assert await notes.committed() == {1: "a", 2: "b", 3: "a"}
            said = [(id, data) for id, data in await told(store) if id == "j"]
            assert [data for _, data in said] == ['"post"', '"published"', "1", "2", "3"]
            assert ("i", "4") in await told(store)

    async def test_others_are_told_of_what_was_committed(
        self, opened: Opening, database: Database, notes: Notes
    ) -> None:
        news = News()
        async with watching(database(), news) as store, opened() as other:
            units = await prepare(store)
            await store.listen("i")
            unit = units["i"]
            unit.projection = Projection("completed", None, 50)
            unit.mail = emissions("e", partition=3)
            unit.mail.posts.append(note("j", '"post"'))
            news.forget()
            transaction = await other.begin(IDLE)
            await notes.put(transaction, 1, "a")
            assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            await news.hears("requested", 1)
            await news.hears("emitted", 3)
            await news.hears("ended", "i")
            store.unlisten("i")
