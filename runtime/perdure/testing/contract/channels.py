"""Channels that everybody hears."""

from __future__ import annotations

import anyio

from perdure.ports import Box, Mail, Outcome, Publication, Store
from perdure.testing.contract.units import (
    Opening,
    birth,
    end,
    event,
    listed,
    more,
    populate,
    publications,
    read,
    told,
    write,
)

_BROADCAST = Box(subscribed=[("c", "broadcast")])
_COMPETING = Box(subscribed=[("c", "competing")])


class Channels:
    """What is published reaches whoever has subscribed."""

    async def test_every_subscriber_hears_everything_in_order(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            places = await populate(store, "i", "j", "k")
            await client.post(publications("c", "0"))
            await write(
                store,
                more("j", places["j"], event(2), box=_BROADCAST),
                more("i", places["i"], event(2), box=Box(subscribed=[("c", "broadcast"), ("d", "broadcast")])),
            )
            await client.post(publications("c", "1", "2"))
            await client.post(Mail(publications=[Publication("d", "3"), Publication("c", "4"), Publication("no", "5")]))
            found = await listed(store)
            assert {one.instance_id for one in found} == {"i", "j"}
            for id, partition, texts in (("i", 0, "1 2 3 4"), ("j", 1, "1 2 4")):
                mine = [one for one in found if one.instance_id == id]
                assert " ".join(one.data for one in mine) == texts
                assert {(one.partition, one.kind, one.queued) for one in mine} == {(partition, "message", False)}
                assert [one.channel for one in mine] == ["d" if one.data == "3" else "c" for one in mine]

    async def test_who_has_unsubscribed_or_ended_hears_no_more(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k")
            await write(store, *(more(id, place, event(2), box=_BROADCAST) for id, place in places.items()))
            await write(store, more("i", places["i"], event(3), box=Box(unsubscribed=["c", "no"])))
            await write(store, end("k", places["k"], 3))
            await store.post(publications("c", "1"))
            assert await told(store) == [("j", "1")]

    async def test_units_publish_in_their_order(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, *(f"i{n}" for n in range(100)))
            await write(store, *(more(id, places[id], event(2), box=_BROADCAST) for id in ("i3", "i4")))
            units = [
                more(id, place, event(3), mail=publications("c", *(f'"{id}-{n}"' for n in range(3))))
                for id, place in places.items()
            ]
            await write(store, *units)
            for id in ("i3", "i4"):
                mine = [data for heard, data in await told(store) if heard == id]
                assert mine == [f'"i{m}-{n}"' for m in range(100) for n in range(3)]

    async def test_who_loses_publishes_nothing(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await populate(store, "i", "j")
            await write(store, more("j", places["j"], event(2), box=_BROADCAST))
            await thief.claim("thief", [places["i"]])
            publication = Mail(publications=[Publication("c", "1", "key")])
            assert list(await store.commit([more("i", places["i"], event(2), mail=publication)], 1)) == [Outcome.FENCED]
            assert await listed(store) == []
            unit = more("j", places["j"], event(3), mail=publication)
            for again in (False, True):
                assert list(await store.commit([unit], 2, again=again)) == [Outcome.COMMITTED]
            assert await told(store) == [("j", "1")]

    async def test_a_key_counts_once_for_each_channel(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            places = await populate(store, "i", "j")
            both = Box(subscribed=[("c", "broadcast"), ("d", "broadcast")])
            await write(store, *(more(id, place, event(2), box=both) for id, place in places.items()))
            await client.post(Mail(publications=[Publication("c", "1", "a"), Publication("c", "2", "a")]))
            await client.post(Mail(publications=[Publication("c", "3", "a"), Publication("d", "4", "a")]))
            assert sorted(await read(store)) == [("i", "1"), ("i", "4"), ("j", "1"), ("j", "4")]
            await client.post(Mail(publications=[Publication("c", "5", "a")]))
            assert await listed(store) == []

    async def test_a_channel_has_one_mode_at_a_time(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            await write(store, more("i", places["i"], event(2), box=_BROADCAST))
            loser = more("j", places["j"], event(2), box=_COMPETING, mail=publications("c", "1"))
            unborn = birth("k", 1, places["j"].epoch)
            unborn.box = _COMPETING
            assert list(await store.commit([loser, unborn], 1)) == [Outcome.MODE_CONFLICT] * 2
            assert len(await store.history("j", None)) == 1
            assert await store.instance("k") is None
            assert await listed(store) == []
            await write(store, more("i", places["i"], event(3), box=_COMPETING))  # it may change its own mind
            await write(store, more("j", places["j"], event(2), box=_COMPETING))
            back = more("j", places["j"], event(3), box=_BROADCAST)
            assert list(await store.commit([back], 2)) == [Outcome.MODE_CONFLICT]
            await write(store, more("i", places["i"], event(4), box=Box(unsubscribed=["c"])))
            await write(store, back)

    async def test_of_two_modes_in_one_commit_one_loses(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k", "l")
            boxes = (_COMPETING, _BROADCAST, _COMPETING, Box(subscribed=[("d", "broadcast"), ("c", "broadcast")]))
            units = [more(id, places[id], event(2), box=box) for id, box in zip("ijkl", boxes, strict=True)]
            expected = [Outcome.COMMITTED, Outcome.MODE_CONFLICT] * 2
            assert list(await store.commit(units, 1)) == expected
            assert [len(await store.history(id, None)) for id in "ijkl"] == [2, 1, 2, 1]
            await store.post(publications("d", "1"))
            assert await listed(store) == []
            repeated = [expected[0], Outcome.MODE_CONFLICT, expected[2], Outcome.MODE_CONFLICT]
            assert list(await store.commit(units, 1, again=True)) == repeated

    async def test_of_two_racing_modes_one_loses(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            places = await populate(one, "i", "j")
            outcomes: dict[tuple[str, str], Outcome] = {}

            async def subscribe(store: Store, id: str, mode: str) -> None:
                for number in range(15):
                    box = Box(subscribed=[(f"c{number}", mode)])
                    unit = more(id, places[id], event(2 + number), box=box)
                    outcome = Outcome.BUSY
                    while outcome is Outcome.BUSY:
                        (outcome,) = await store.commit([unit], number)
                    outcomes[id, f"c{number}"] = outcome
                    if outcome is Outcome.MODE_CONFLICT:  # the number is free: somebody else's event is to take it
                        await write(store, more(id, places[id], unit.events[0]))

            async with anyio.create_task_group() as group:
                group.start_soon(subscribe, one, "i", "broadcast")
                group.start_soon(subscribe, two, "j", "competing")
            for number in range(15):
                both = {outcomes[id, f"c{number}"] for id in "ij"}
                assert both == {Outcome.COMMITTED, Outcome.MODE_CONFLICT}, number

    async def test_services_do_not_hear_each_other(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                places = await populate(one, "i")
                await write(one, more("i", places["i"], event(2), box=_BROADCAST if one is store else _COMPETING))
            await store.post(Mail(publications=[Publication("c", "1", "key")]))
            await other.post(Mail(publications=[Publication("c", "2", "key")]))
            assert await told(store) == [("i", "1")]
            assert await told(other) == []
