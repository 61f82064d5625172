"""Deleting what is of no more use."""

from __future__ import annotations

from perdure.ports import Box, Filter, Mail, Post, Projection, Publication, Store, Unit
from perdure.testing.contract.units import (
    LEASE,
    MINUTE,
    Opening,
    accept,
    arrival,
    birth,
    event,
    listed,
    more,
    note,
    own,
    populate,
    read,
    told,
    write,
)


async def _later(store: Store) -> int:
    """A time that has not come yet."""
    return (await store.census()).now + MINUTE


class Cleaning:
    """What is old goes, and nothing else."""

    async def test_events_are_kept_for_a_time(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k")
            await write(store, more("i", places["i"], event(2), box=Box(waits=[(1, "x")])))
            numbers = [await accept(store, arrival(name)) for name in ("a", "b", "late")]
            for number in numbers[:2]:
                await store.offer([(number, ["x"])])
            await store.post(Mail(posts=[note("i", '"message"')]))
            requests = await listed(store)
            await write(store, more("i", places["i"], event(3), box=Box(held=[one.id for one in requests[:2]])))
            assert await store.expire(0, 0, 0, 10) == 0
            assert [one.number for one in await store.buffered("t", 0, 0, 10)] == numbers
            assert await store.expire(await _later(store), 0, 0, 10) == 4
            assert [one.number for one in await store.buffered("t", 0, 0, 10)] == numbers[2:]
            assert await told(store) == [("i", '"message"')]
            (stored,) = await store.load(["i"])
            assert list(stored.held) == []
            await store.look([("j", "x")], 0)
            await store.offer([(numbers[0], ["x"])])
            await store.note([(numbers[1], "x")])
            await store.look([("j", "x")], 0)
            assert len(await listed(store)) == 1
            assert list(await store.accept([arrival("a")])) == [None], "it is known for longer"
            await store.offer([(numbers[2], ["x"])])
            await store.look([("k", "x")], 0)
            assert {id for id, _ in await told(store)} == {"i", "k"}

    async def test_an_event_that_its_instance_has_not_seen_yet_is_kept(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i")
            await write(store, more("i", places["i"], event(2), box=Box(waits=[(1, "x")])))
            await store.offer([(await accept(store, arrival("a")), ["x"])])
            assert await store.expire(await _later(store), 0, 0, 10) == 1
            assert [id for id, _ in await told(store)] == ["i"]

    async def test_keys_are_remembered_for_a_time(self, opened: Opening) -> None:
        async with opened() as store:
            await populate(store, "i")
            mail = Mail(posts=[note("i", "1", "a")], publications=[Publication("c", "2", "a")])
            await store.post(mail)
            await store.accept([arrival("a")])
            assert await store.expire(0, (await store.census()).now - MINUTE, 0, 10) == 0
            await store.post(mail)
            assert list(await store.accept([arrival("a")])) == [None]
            assert await read(store) == [("i", "1")]
            assert await store.expire(0, await _later(store), 0, 10) == 3
            await store.post(mail)
            assert list(await store.accept([arrival("a")])) != [None]
            assert await told(store) == [("i", "1")]

    async def test_questions_have_their_time(self, opened: Opening) -> None:
        async with opened() as store:
            await populate(store, "i")
            await store.ask("old", Post("i", "message", "1"), 1)
            await store.ask("new", Post("i", "message", "1"), LEASE)
            await store.post(Mail(replies=[("old", "1"), ("new", "2")]))
            assert await store.expire(0, 0, 0, 10) == 1
            assert [await store.answer(id) for id in ("old", "new")] == [None, "2"]

    async def test_a_little_at_a_time(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                await populate(one, "i")
                await one.post(Mail(posts=[note("i", "1", f"k{n}") for n in range(10)]))
                for n in range(10):
                    await one.offer([(await accept(one, arrival(f"e{n}", target="i")), ["x"])])
                    await one.ask(f"q{n}", Post("i", "message", "1"), 1)
            later = await _later(store)
            counts = []
            while count := await store.expire(later, later, 0, 3):
                counts.append(count)
            assert sum(counts) == 10 + 10 + 30
            assert max(counts) <= 12
            assert list(await store.buffered("t", 0, 0, 100)) == []
            assert len(await other.buffered("t", 0, 0, 100)) == 10
            assert len(await listed(store)) == 30
            assert len(await listed(other)) == 30

    async def test_instances_are_kept_for_a_time(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                held = (await own(one))[0]
                for number, ended_at in enumerate([10, 20, 30, 40, None]):
                    unit = birth(f"i{number}", 0, held.epoch, events=[event(2)])
                    unit.projection = Projection("completed", None, ended_at) if ended_at else None
                    await write(one, unit)
            assert [await store.purgeable(before) for before in (10, 11, 40, 10**15)] == [0, 1, 3, 4]
            assert [row.id for row in await store.find(Filter(live=True))] == ["i4"]
            assert await store.purge(10, 10) == 0
            assert await store.purge(40, 2) == 2
            assert await store.purge(40, 2) == 1
            assert await store.purge(40, 2) == 0
            left = [id for id in ("i0", "i1", "i2", "i3", "i4") if await store.instance(id) is not None]
            assert left == ["i3", "i4"]
            assert [len(await store.history(f"i{n}", 1)) for n in range(5)] == [0, 0, 0, 2, 2]
            assert len(await other.history("i0", 1)) == 2
            await write(store, birth("i0", 0, 1))
            assert len(await store.history("i0", 1)) == 1

    async def test_earlier_runs_are_kept_for_a_time(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await write(store, birth("i", 0, held.epoch), birth("j", 0, held.epoch))
            for id in ("i", "j"):
                for run in (1, 2, 3):
                    unit = Unit(id, 0, held.epoch, run, [event(2)])
                    unit.successor = (1, "RunStarted", None, "w", run * 10, '"first"')
                    await write(store, unit)
            assert await store.purge(10, 10) == 0
            assert await store.purge(30, 3) == 3
            assert await store.purge(30, 3) == 1
            assert await store.purge(30, 3) == 0
            assert [len(await store.history("i", run)) for run in (1, 2, 3, 4)] == [0, 0, 2, 1]
            last = Unit("i", 0, held.epoch, 4, [event(2)], projection=Projection("completed", None, 30))
            await write(store, last)
            assert await store.purge(31, 10) == 2, "an instance with all its runs, and one run"
            assert await store.instance("i") is None
            assert [len(await store.history("i", run)) for run in (3, 4)] == [0, 0]
            assert [len(await store.history("j", run)) for run in (3, 4)] == [0, 1]
            assert await store.purge(10**15, 10) == 0
            row = await store.instance("j")
            assert row is not None
            assert row.run == 4

    async def test_a_service_can_be_erased(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                places = await populate(one, "i", "j", "k")
                await write(
                    one, more("i", places["i"], event(2), box=Box(waits=[(1, "x")], subscribed=[("c", "broadcast")]))
                )
                await one.post(Mail(posts=[note("j", "1", "a")], publications=[Publication("c", "2", "b")]))
                await one.ask("q", Post("i", "message", "1"), LEASE)
            counts = [await store.erase(2)]
            while counts[-1]:
                counts.append(await store.erase(2))
            assert sum(counts) > 0
            assert list(await store.find(Filter())) == []
            assert len(await store.history("i", 1)) == 0
            assert list((await store.census()).holdings) == []
            assert len(await other.find(Filter())) == 3
            assert len(await other.history("i", 1)) == 2
            assert await told(other)
            await populate(store, "i")
            assert len(await store.history("i", 1)) == 1
