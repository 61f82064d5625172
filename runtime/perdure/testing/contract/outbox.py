"""Events for the world outside."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import Emission, Mail, Mark, Outcome, Parcel, Store
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.units import (
    MINUTE,
    Database,
    Opening,
    birth,
    event,
    listed,
    more,
    note,
    own,
    populate,
    told,
)


def emissions(*texts: str, lane: str = "a", partition: int = 0) -> Mail:
    """Each text is the event's id, and its data."""
    return Mail(emissions=[Emission(text, lane, partition, f'"{text}"') for text in texts])


async def _parcels(store: Store, now: int = 0, *, without: Sequence[str] = (), limit: int = 100) -> list[Parcel]:
    """What is to be sent, of all four partitions."""
    return list(await store.parcels([0, 1, 2, 3], now, without, limit))


async def _ids(store: Store, now: int = 0, *, without: Sequence[str] = (), limit: int = 100) -> list[str]:
    return [parcel.id for parcel in await _parcels(store, now, without=without, limit=limit)]


def _failed(parcel: Parcel, due_at: int) -> Mark:
    return Mark(parcel.number, "pending", parcel.attempts + 1, due_at, '{"type":"é"}')


def _published(parcel: Parcel, at: int = 1) -> Mark:
    return Mark(parcel.number, "published", parcel.attempts, settled_at=at)


def _dead(parcel: Parcel, at: int = 1) -> Mark:
    return Mark(parcel.number, "dead", parcel.attempts + 1, error="{}", settled_at=at)


class Outbox:
    """What is emitted is sent, in the order of its lane."""

    async def test_what_is_emitted_is_kept_byte_for_byte(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            before = (await store.census()).now
            data = ['{"b":1.50, "é":"\\u0041😀",  "a":1E2}', f'"{"x" * 200_000}"', "{}"]
            lanes = ["/orders/%s 'a' \"b\" \\ $1", "ü😀", ""]
            mine = [Emission(f"ü{n} ", lane, n, text) for n, (lane, text) in enumerate(zip(lanes, data, strict=True))]
            await client.post(Mail(emissions=mine))
            found = await _parcels(store)
            assert [Emission(one.id, one.lane, n, one.data) for n, one in enumerate(found)] == mine
            assert [one.number for one in found] == sorted({one.number for one in found})
            assert {(one.status, one.attempts, one.due_at, one.error) for one in found} == {("pending", 0, 0, None)}
            assert all(before - MINUTE <= one.created_at <= before + MINUTE for one in found)

    async def test_emissions_come_with_the_rest_of_the_mail(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await populate(store, "i", "j", "k")
            mail = emissions("1", "2")
            mail.posts.append(note("k", '"post"'))
            units = [more("i", places["i"], event(2), mail=mail), more("j", places["j"], event(2), mail=emissions("3"))]
            assert list(await store.commit(units, 7)) == [Outcome.COMMITTED] * 2
            assert list(await store.commit(units, 7, again=True)) == [Outcome.COMMITTED] * 2
            await store.post(emissions("4"))
            (request,) = await listed(store)
            assert request.data == '"post"'
            await store.dismiss([request.id], {2: places["k"].epoch}, emissions("5"))
            await store.dismiss([], {}, emissions("6"))
            assert await told(store) == []
            assert await _ids(store) == ["1", "2", "3", "4", "5", "6"]
            await thief.claim("thief", [places["i"]])
            units = [more("i", places["i"], event(3), mail=emissions("7")), birth("l", 1, 1)]
            units[1].mail = emissions("8")
            assert list(await store.commit(units, 8)) == [Outcome.FENCED, Outcome.COMMITTED]
            assert (await _ids(store))[6:] == ["8"], "who loses emits nothing"

    async def test_the_parcels_of_a_partition_in_order(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            await own(store)
            await own(other)
            for n in range(12):
                await store.post(emissions(f"e{n}", lane=f"l{n % 4}", partition=n % 4))
            await other.post(emissions("no", lane="l1", partition=1))
            assert await _ids(store) == [f"e{n}" for n in range(12)]
            assert [one.id for one in await store.parcels([1, 3], 0, [], 4)] == ["e1", "e3", "e5", "e7"]
            assert list(await store.parcels([], 0, [], 4)) == []
            assert await _ids(store, without=["l0", "no", "l2"], limit=3) == ["e1", "e3", "e5"]
            assert await _ids(other) == ["no"]

    async def test_a_lane_is_its_very_name(self, opened: Opening) -> None:
        async with opened() as store:
            await own(store)
            lanes = ["a", "A", "a ", "á", "a\u0301", "%", "it's", 'a\\"', "ü😀", "x" * 255]
            for lane in lanes:
                await store.post(emissions(lane[:20], lane=lane))
            for lane in lanes:
                assert await _ids(store, without=[lane]) == [other[:20] for other in lanes if other != lane]
            first = (await _parcels(store))[0]
            await store.mark([_failed(first, 100)])
            assert await _ids(store, 50) == [other[:20] for other in lanes[1:]]

    async def test_what_failed_goes_before_the_rest_of_its_lane(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                await own(one)
                await one.post(emissions("a1", "a2"))
                await one.post(emissions("b1", lane="b", partition=1))
                await one.post(emissions("a3"))
            a1, a2, b1, _ = await _parcels(store)
            await store.mark([_failed(a1, 100)])
            assert await _ids(store, 99) == ["b1"]
            assert await _ids(store, 100) == ["b1", "a1"]
            assert [one.id for one in await store.parcels([0], 200, [], 10)] == ["a1"]
            assert [one.id for one in await store.parcels([0, 1], 200, [], 10, 1)] == ["a1"]
            assert [one.id for one in await store.parcels([0, 1], 0, [], 10)] == ["b1"]
            assert await _ids(store, 100, without=["a"]) == ["b1"]
            late = (await _parcels(store, 100))[1]
            assert late == Parcel(a1.number, "a1", "a", "pending", '"a1"', 1, 100, '{"type":"é"}', a1.created_at)
            await store.mark([_failed(late, 300), _failed(b1, 200)])
            assert await _ids(store, 250) == ["b1"]
            assert await _ids(store, 300) == ["b1", "a1"]
            await store.mark([_published(late)])
            assert await _ids(store, 0) == ["a2", "a3"]
            await store.mark([_failed(a2, 400)])
            assert await _ids(store, 300) == ["b1"]
            await store.mark([_dead(a2)])
            assert await _ids(store, 300) == ["a3", "b1"], "the dead are passed over"
            assert await _ids(other, 0) == ["a1", "a2", "b1", "a3"]

    async def test_what_is_published_stays_so(self, opened: Opening) -> None:
        """However late the mark of somebody comes who has tried it before."""
        async with opened() as store:
            await own(store)
            await store.post(emissions("1", "2"))
            one, two = await _parcels(store)
            await store.mark([_dead(two)])
            await store.mark([_published(one), _published(two)])
            await store.mark([_failed(one, 100), _dead(two)])
            assert [row.status for row in await store.outbox(None, 10, None)] == ["published", "published"]

    async def test_several_of_a_lane_that_failed_go_one_after_the_other(self, opened: Opening) -> None:
        async with opened() as store:
            await own(store)
            await store.post(emissions("1", "2", "3", "4"))
            parcels = await _parcels(store)
            await store.mark([_failed(parcels[1], 100), _failed(parcels[2], 50)])
            assert await _ids(store, 200) == ["1", "2"]
            await store.mark([_published(parcels[0])])
            assert await _ids(store, 60) == []
            await store.mark([_published(parcels[1])])
            assert await _ids(store, 60) == ["3"]
            await store.mark([_published(parcels[2])])
            assert await _ids(store, 0) == ["4"]

    async def test_marks(self, opened: Opening) -> None:
        async with opened() as store:
            await own(store)
            await store.post(emissions(*(str(n) for n in range(5))))
            first, second, third, *_ = await _parcels(store)
            await store.mark([])
            await store.mark([_published(first), _dead(second), _failed(third, 5), Mark(10**15, "dead", 1)])
            assert [
                (one.id, one.status, one.attempts, one.due_at, one.error) for one in await store.outbox(None, 10, None)
            ] == [
                ("4", "pending", 0, 0, None),
                ("3", "pending", 0, 0, None),
                ("2", "pending", 1, 5, '{"type":"é"}'),
                ("1", "dead", 1, 0, "{}"),
                ("0", "published", 0, 0, None),
            ]

    async def test_the_outbox_page_by_page(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            await own(store)
            await own(other)
            for n in range(9):
                await store.post(emissions(f"e{n}"))
                await other.post(emissions("no"))
            parcels = await _parcels(store)
            await store.mark([_published(one) for one in parcels[::3]] + [_dead(one) for one in parcels[1::3]])
            wanted = {None: "876543210", "published": "630", "dead": "741", "pending": "852", "odd": ""}
            for status, numbers in wanted.items():
                for size in (1, 2, 100):
                    found: list[Parcel] = []
                    while page := await store.outbox(status, size, found[-1].number if found else None):
                        assert len(page) <= size
                        found += page
                        assert len(found) <= 9
                    assert [one.id for one in found] == [f"e{number}" for number in numbers]
            assert {one.data for one in await other.outbox(None, 100, None)} == {'"no"'}

    async def test_the_dead_are_sent_again(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                await own(one)
                await one.post(emissions("x", "X", "x", "x", "x ", "y"))
                found = await _parcels(one)
                await one.mark([_dead(parcel) for parcel in found[:3]] + [_published(found[3]), _dead(found[4])])
            first, upper, third, *_ = await _all(store)
            assert not await store.resend("no", 70)
            assert not await store.resend("y", 70), "it waits already"
            assert await store.resend("x", 70)
            assert not await store.resend("x", 80), "none is dead any more"
            again = {one.number: one for one in await store.outbox("pending", 10, None)}
            for number in (first.number, third.number):
                row = again[number]
                assert (row.attempts, row.due_at, row.created_at) == (0, 70, 70)
            assert [one.number for one in await _parcels(store, 69)] == []
            assert [one.number for one in await _parcels(store, 70)] == [first.number]
            assert [one.id for one in await store.outbox("dead", 10, None)] == ["x ", "X"]
            assert [one.id for one in await other.outbox("dead", 10, None)] == ["x ", "x", "X", "x"]
            assert upper.number not in again
            assert await store.expire(0, 0, (await store.census()).now + MINUTE, 10) == 1
            assert sorted(again) == sorted(one.number for one in await store.outbox("pending", 10, None))

    async def test_only_what_is_published_is_forgotten(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                await own(one)
                await one.post(emissions(*(f"e{n}" for n in range(10))))
                found = await _parcels(one)
                settled = [_published(parcel, at) for at, parcel in enumerate(found[:7], start=10)]
                await one.mark([*settled, _dead(found[7], 10), _failed(found[8], 5)])
            assert await store.expire(0, 0, 10, 100) == 0
            assert await store.expire(0, 0, 12, 100) == 2
            counts = []
            while count := await store.expire(0, 0, 16, 3):
                counts.append(count)
            assert counts == [3, 1]
            assert [one.id for one in await store.outbox(None, 100, None)] == ["e9", "e8", "e7", "e6"]
            assert len(await other.outbox(None, 100, None)) == 10

    async def test_others_are_told_ofemissions(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as store, opened() as client:
            place = (await populate(store, "i"))["i"]
            news.forget()
            await client.post(emissions("1", partition=2))
            await news.hears("emitted", 2)
            news.forget()
            await client.commit([more("i", place, event(2), mail=emissions("2", partition=3))], 1)
            await news.hears("emitted", 3)
            assert await _ids(store) == ["1", "2"]


async def _all(store: Store) -> list[Parcel]:
    """All there are, the oldest first."""
    return list(reversed(await store.outbox(None, 1000, None)))
