"""Channels whose messages are for one of many."""

from __future__ import annotations

import anyio

from perdure.ports import Box, Holding, Mail, Outcome, Publication, Request, Store, Taker
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.units import (
    Database,
    Opening,
    end,
    event,
    listed,
    more,
    populate,
    publications,
    taker,
    told,
    write,
)

_COMPETING = Box(subscribed=[("c", "competing")])


async def _compete(store: Store, *ids: str) -> dict[str, Holding]:
    places = await populate(store, *ids)
    await write(store, *(more(id, place, event(2), box=_COMPETING) for id, place in places.items()))
    return places


def _texts(requests: object) -> list[tuple[str, str]]:
    assert isinstance(requests, list | tuple)
    return [(one.instance_id, one.data) for one in requests]


class Queues:
    """Each message is taken once."""

    async def test_messages_wait_for_takers_in_order(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            places = await _compete(store, "i", "j", "k")
            await client.post(publications("c", "1", "2"))
            await write(store, more("k", places["k"], event(3), mail=publications("c", "3")))
            await client.post(publications("d", "0"))
            assert await listed(store) == []
            takers = [taker(id, places[id]) for id in ("k", "i")]
            given = list(await store.assign("c", takers))
            assert _texts(given) == [("k", "1"), ("i", "2")]
            assert given == [
                Request(one.id, place, one.instance_id, "message", one.data, "c", queued=True)
                for one, place in zip(given, (2, 0), strict=True)
            ]
            assert await listed(store) == given
            assert _texts(list(await store.assign("c", [taker("j", places["j"]), *takers]))) == [("j", "3")]
            assert list(await store.assign("c", takers)) == []
            assert list(await store.assign("no", takers)) == []
            assert list(await store.assign("c", [])) == []

    async def test_who_cannot_take_gets_nothing(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await _compete(store, "i", "j", "k", "l")
            await store.post(publications("c", "1", "2"))
            await write(store, end("j", places["j"], 3))
            await thief.claim("thief", [places["i"]])
            assert await store.move("k", places["k"], 3)
            takers = [taker(id, places[id]) for id in ("i", "j", "k", "l")]
            takers += [Taker("no", 3, places["l"].epoch), Taker("k", 3, places["l"].epoch)]
            assert _texts(list(await store.assign("c", takers))) == [("l", "1"), ("k", "2")]

    async def test_what_is_taken_is_consumed_by_a_unit(self, opened: Opening) -> None:
        async with opened() as store:
            places = await _compete(store, "i", "j")
            await store.post(publications("c", "1", "2"))
            (given,) = await store.assign("c", [taker("i", places["i"])])
            await write(store, more("i", places["i"], event(3), inbox=[given.id]))
            assert await listed(store) == []
            assert _texts(list(await store.assign("c", [taker(id, places[id]) for id in "ij"]))) == [("i", "2")]

    async def test_what_is_returned_goes_to_its_old_place(self, opened: Opening) -> None:
        async with opened() as store:
            places = await _compete(store, "i", "j")
            await store.post(publications("c", "1", "2", "3"))
            one, two = await store.assign("c", [taker("i", places["i"]), taker("i", places["i"])])
            unit = more("i", places["i"], event(3), box=Box(held=[two.id], returned=[one.id]))
            for again in (False, True):
                assert list(await store.commit([unit], 5, again=again)) == [Outcome.COMMITTED]
            assert await listed(store) == []
            await write(store, more("i", places["i"], event(4), box=Box(returned=[two.id])))
            (stored,) = await store.load(["i"])
            assert list(stored.held) == []
            takers = [taker("j", places["j"])] * 4
            assert _texts(list(await store.assign("c", takers))) == [("j", "1"), ("j", "2"), ("j", "3")]

    async def test_what_is_dismissed_goes_to_its_old_place(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await _compete(store, "i", "j")
            epochs = {place.partition: place.epoch for place in places.values()}
            await store.post(publications("c", "1", "2", "3"))
            one, two, three = await store.assign("c", [taker("i", places["i"])] * 2 + [taker("j", places["j"])])
            await write(store, more("i", places["i"], event(3), box=Box(held=[two.id])))
            await thief.claim("thief", [places["j"]])
            for _ in range(2):
                await store.dismiss([one.id, two.id, three.id], epochs)
            assert await listed(store) == [three], "who has lost a partition gives nothing back"
            assert _texts(list(await store.assign("c", [taker("i", places["i"])] * 3))) == [("i", "1"), ("i", "2")]

    async def test_what_the_end_leaves_is_for_others(self, opened: Opening) -> None:
        async with opened() as store:
            places = await _compete(store, "i", "j")
            epochs = {place.partition: place.epoch for place in places.values()}
            await store.post(publications("c", "1", "2"))
            one, two = await store.assign("c", [taker("i", places["i"])] * 2)
            await write(store, more("i", places["i"], event(3), box=Box(held=[one.id])))
            await write(store, end("i", places["i"], 4))
            assert await listed(store) == [one, two]
            await store.dismiss([one.id, two.id], epochs)
            assert _texts(list(await store.assign("c", [taker("j", places["j"])] * 3))) == [("j", "1"), ("j", "2")]

    async def test_a_queue_outlives_its_subscribers(self, opened: Opening) -> None:
        async with opened() as store:
            places = await _compete(store, "i", "j")
            await store.post(publications("c", "1"))
            for id, place in places.items():
                await write(store, more(id, place, event(3), box=Box(unsubscribed=["c"])))
            await store.post(publications("c", "2"))
            await write(store, more("j", places["j"], event(4), box=Box(subscribed=[("c", "broadcast")])))
            await store.post(publications("c", "3"))
            assert await told(store) == [("j", "3")]
            assert _texts(list(await store.assign("c", [taker("i", places["i"])] * 3))) == [("i", "1"), ("i", "2")]

    async def test_a_key_counts_once_in_a_queue(self, opened: Opening) -> None:
        async with opened() as store:
            places = await _compete(store, "i")
            for _ in range(2):
                await store.post(Mail(publications=[Publication("c", "1", "a"), Publication("c", "2", "a")]))
            assert _texts(list(await store.assign("c", [taker("i", places["i"])] * 3))) == [("i", "1")]
            await store.post(Mail(publications=[Publication("c", "3", "a")]))
            assert list(await store.assign("c", [taker("i", places["i"])])) == []

    async def test_two_who_assign_at_once_share(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            places = await _compete(one, "i", "j")
            await one.post(publications("c", *(f"{n}" for n in range(60))))
            given: list[Request] = []

            async def take(store: Store, id: str, many: int) -> None:
                while got := await store.assign("c", [taker(id, places[id])] * many):
                    assert [one.id for one in got] == sorted(one.id for one in got)
                    assert {(one.instance_id, one.partition) for one in got} == {(id, places[id].partition)}
                    given.extend(got)

            async with anyio.create_task_group() as group:
                for store, id in ((one, "i"), (two, "j"), (two, "i"), (one, "j")):
                    group.start_soon(take, store, id, 3)
            # One may see nothing free while the other's transaction is open: what is left is there for the next.
            await take(one, "i", 7)
            assert sorted(int(one.data) for one in given) == list(range(60))
            assert len(await listed(one)) == 60

    async def test_others_are_told_of_queues(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as store, opened() as other:
            places = await _compete(store, "i")
            await store.census()
            news.forget()
            await other.post(publications("c", "1"))
            await news.hears("queued", "c")
            (given,) = await store.assign("c", [taker("i", places["i"])])
            news.forget()
            await other.dismiss([given.id], {0: places["i"].epoch})
            await news.hears("queued", "c")
            (given,) = await store.assign("c", [taker("i", places["i"])])
            news.forget()
            await other.commit([more("i", places["i"], event(3), box=Box(returned=[given.id]))], 1)
            await news.hears("queued", "c")
            (given,) = await store.assign("c", [taker("i", places["i"])])
            news.forget()
            await other.commit([more("i", places["i"], event(4), mail=publications("c", "2"))], 2)
            await news.hears("queued", "c")
