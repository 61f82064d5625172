"""An instance's own mailbox, and what it is to others: its run, its parent."""

from __future__ import annotations

from perdure.ports import Box, Filter, Mail, NewInstance, Outcome, Projection, Unit
from perdure.testing.contract.units import Opening, birth, end, event, listed, more, note, own, populate, told, write


class Mailboxes:
    """What is kept for later."""

    async def test_what_is_held_comes_with_its_instance(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            places = await populate(store, "i", "j")
            posts = [note(("i", "j")[n % 2], str(n), f"k{n}") for n in range(6)]
            await other.post(Mail(posts=posts))
            requests = await listed(store)
            mine = [one for one in requests if one.instance_id == "i"]
            box = Box(held=[mine[2].id, mine[0].id])
            await write(store, more("i", places["i"], event(2), inbox=[mine[1].id], box=box))
            assert await listed(other) == requests[1::2]
            for one in await other.load(["j", "i"]):
                assert list(one.held) == ([mine[0], mine[2]] if one.instance.id == "i" else [])
            await other.post(Mail(withdrawn=[("i", "k4")]))
            (stored,) = await other.load(["i"])
            assert list(stored.held) == [mine[0]]
            await write(store, more("i", places["i"], event(3), inbox=[mine[0].id]))
            (stored,) = await other.load(["i"])
            assert list(stored.held) == []
            await write(store, more("i", places["i"], event(4), box=Box(held=[mine[0].id])))

    async def test_a_box_without_events(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i")
            await store.post(Mail(posts=[note("i", "1")]))
            (request,) = await listed(store)
            unit = more("i", places["i"], box=Box(held=[request.id]))
            unit.head = 0
            assert list(await store.commit([unit], 1)) == [Outcome.CONFLICT]
            assert await listed(store) == [request]
            unit.head = 1
            assert list(await store.commit([unit], 2)) == [Outcome.COMMITTED]
            assert await listed(store) == []

    async def test_what_is_held_moves_along(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k", "l")
            await store.post(Mail(posts=[note("i", "1")]))
            (request,) = await listed(store)
            await write(store, more("i", places["i"], event(2), box=Box(held=[request.id])))
            assert await store.move("i", places["i"], 3)
            (stored,) = await store.load(["i"])
            assert [(one.id, one.partition) for one in stored.held] == [(request.id, 3)]
            await write(store, end("i", places["l"], 3))
            assert [(one.instance_id, one.kind) for one in await listed(store, 3)] == [("i", "message"), ("i", "load")]

    async def test_an_end_leaves_requests_to_the_owner(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            await store.post(Mail(posts=[note("i", "1"), note("i", "2"), note("j", "3")]))
            requests = await listed(store)
            for id, request in (("i", requests[0]), ("j", requests[2])):
                await write(store, more(id, places[id], event(2), box=Box(held=[request.id])))
            await store.request_cancel("i", "{}")
            await write(store, end("i", places["i"], 3))
            assert [(one.instance_id, one.data) for one in await listed(store)] == [("i", "1"), ("i", "2"), ("i", "{}")]
            (stored,) = await store.load(["j"])
            assert list(stored.held) == [requests[2]]

    async def test_the_next_run_goes_on_with_the_mailbox(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            places = await populate(store, "i")
            await store.post(Mail(posts=[note("i", "1")]))
            (request,) = await listed(store)
            first = event(1, '{"again":true}', "RunStarted")
            unit = more("i", places["i"], event(2), projection=Projection("running", 77), box=Box(held=[request.id]))
            unit.successor = first
            for again in (False, True):
                assert list(await store.commit([unit], 5, again=again)) == [Outcome.COMMITTED]
            row = await other.instance("i")
            assert row is not None
            assert (row.run, row.status, row.wake_at, row.ended_at) == (2, "running", 77, None)
            assert [tuple(one) for one in await other.history("i", None)] == [first]
            assert [one[0] for one in await other.history("i", 1)] == [1, 2]
            (stored,) = await other.load(["i"])
            assert ([tuple(one) for one in stored.events], list(stored.held)) == ([first], [request])
            found = await other.ending("i")
            assert found is not None
            assert tuple(found[1]) == first
            place = places["i"]
            await write(store, Unit("i", place.partition, place.epoch, 2, [event(2, '"second"')]))
            assert [one[5] for one in await other.history("i", None)] == [first[5], '"second"']
            last = Unit("i", place.partition, place.epoch, 2, [event(3)], successor=first)
            await write(store, last)
            row = await other.instance("i")
            assert row is not None
            assert row.run == 3

    async def test_who_loses_has_no_next_run(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await populate(store, "i", "j")
            await thief.claim("thief", [places["i"]])
            units = [more(id, place, event(2)) for id, place in places.items()]
            for unit in units:
                unit.successor = event(1, kind="RunStarted")
            assert list(await store.commit(units, 1)) == [Outcome.FENCED, Outcome.COMMITTED]
            rows = [await store.instance(id) for id in places]
            assert [row and row.run for row in rows] == [1, 2]
            assert list(await store.history("i", 2)) == []

    async def test_an_instance_remembers_its_parent(self, opened: Opening) -> None:
        parent = '{"id":"p","run":1,"command":3}'
        async with opened() as store:
            held = (await own(store))[0]
            child = birth("child", 0, held.epoch)
            child.create = NewInstance("w", None, 1_000_000, parent)
            await write(store, child, birth("orphan", 0, held.epoch))
            assert {row.id: row.parent for row in await store.find(Filter())} == {"child": parent, "orphan": None}
            assert {one.instance.id: one.instance.parent for one in await store.load(["child", "orphan"])} == {
                "child": parent,
                "orphan": None,
            }
            row, found = await store.instance("child"), await store.ending("child")
            assert row is not None
            assert found is not None
            assert (row.parent, found[0].parent) == (parent, parent)
            assert await told(store) == []
