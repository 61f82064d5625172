"""CloudEvents, and who waits for them."""

from __future__ import annotations

import anyio

from perdure.ports import Arrival, Box, Holding, Store
from perdure.testing.contract.units import (
    MINUTE,
    Opening,
    accept,
    arrival,
    end,
    event,
    listed,
    more,
    populate,
    read,
    told,
    write,
)


async def _wait(store: Store, id: str, held: Holding, *keys: str) -> None:
    """From command 1 on."""
    await write(store, more(id, held, event(2), box=Box(waits=list(enumerate(keys, 1)))))


async def _offer(store: Store, number: int, *keys: str) -> list[str]:
    """To whom."""
    (found,) = await store.offer([(number, keys)])
    return list(found)


class Arrivals:
    """Each is kept once, and reaches whoever waits for it once."""

    async def test_an_event_is_accepted_once(self, opened: Opening) -> None:
        async with opened() as one, opened() as two, opened("other") as other:
            first, second = await accept(one, arrival("a")), await accept(two, arrival("b"))
            assert first < second
            assert [await store.accept([arrival("a", '"again"')]) for store in (one, two)] == [[None], [None]]
            await accept(other, arrival("a"))
            numbers: list[int | None] = []

            async def again(store: Store) -> None:
                numbers.extend(await store.accept([arrival("c")]))

            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(again, (one, two)[number % 2])
            assert len([number for number in numbers if number is not None]) == 1
            assert [one.arrival.key for one in await two.buffered("t", 0, 0, 100)] == ["a", "b", "c"]

    async def test_several_are_accepted_together(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            old = await accept(other, arrival("old"))
            given = [arrival(name, f'"{n}"') for n, name in enumerate(("b", "old", "a", "b"))]
            first, known, second, again = await store.accept(given)
            assert (known, again) == (None, None), "the first one of a list counts"
            assert old < (first or 0) < (second or 0)
            assert [(one.number, one.arrival) for one in await store.buffered("t", 0, 0, 9)][1:] == [
                (first, given[0]),
                (second, given[2]),
            ]
            assert list(await store.accept(given)) == [None] * 4
            assert list(await store.accept([])) == []
            many = [arrival(f"m{n}", '"' + "x" * 2000 + '"') for n in range(700)]
            numbers = [number or 0 for number in await store.accept([*many, *many[::-1]])]
            assert numbers[:700] == sorted(set(numbers[:700]))
            assert numbers[700:] == [0] * 700
            assert [one.number for one in await other.buffered("t", 0, second or 0, 1000)] == numbers[:700]

    async def test_lists_that_meet_are_accepted_once(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            found: list[int | None] = []

            async def give(store: Store, names: range) -> None:
                found.extend(await store.accept([arrival(f"e{n}") for n in names]))

            async with anyio.create_task_group() as group:
                for turn in range(6):
                    names = range(30) if turn % 3 else range(29, -1, -1)
                    group.start_soon(give, (one, two)[turn % 2], names)
            assert len([number for number in found if number is not None]) == 30
            assert len(await one.buffered("t", 0, 0, 100)) == 30

    async def test_several_are_offered_together(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k")
            await _wait(store, "i", places["i"], "x", "y")
            await _wait(store, "j", places["j"], "y", "z")
            await write(store, end("k", places["k"], 2))
            numbers = [number or 0 for number in await store.accept([arrival(name, f'"{name}"') for name in "abcd"])]
            (one,) = await store.accept([arrival("e", '"e"', target="j")])
            (gone,) = await store.accept([arrival("f", '"f"', target="k")])
            a, b, c, d = numbers
            offers = [(c, ["z", "y"]), (a, ["x"]), (b, ["w"]), (d, ["y"]), (one or 0, []), (gone or 0, ["x"])]
            wanted = [["i", "j"], ["i"], [], ["i", "j"], ["j"], []]
            for _ in range(2):  # who has it is told of as well
                assert [sorted(found) for found in await store.offer(offers)] == wanted
                posted = sorted((one.instance_id, one.data) for one in await listed(store))
                assert posted == [("i", '"a"'), ("i", '"c"'), ("i", '"d"'), ("j", '"c"'), ("j", '"d"'), ("j", '"e"')]
            assert list(await store.unoffered(range(64), (await store.census()).now + MINUTE, 10)) == []
            assert list(await store.offer([])) == []

    async def test_an_event_is_kept_whole(self, opened: Opening) -> None:
        async with opened() as store:
            before = (await store.census()).now
            full = Arrival("ü/1", "t", '{"é":1.50, "a":[1e400]}', 3, "i", '[{"workflow":"w"}]')
            numbers = [await accept(store, full), await accept(store, arrival("b"))]
            kept = list(await store.buffered("t", 0, 0, 10))
            assert [one.number for one in kept] == numbers
            assert [one.arrival for one in kept] == [full, arrival("b")]
            assert all(before <= one.at <= before + MINUTE for one in kept)

    async def test_sets_of_paths_are_remembered(self, opened: Opening) -> None:
        async with opened() as one, opened() as two, opened("other") as other:
            assert list(await one.correlations("t")) == []
            assert [await store.correlate("t", '["b"]') for store in (one, two, one)] == [True, False, False]
            assert await two.correlate("t", '["a","b.c"]')
            assert await two.correlate("u", '["b"]')
            assert list(await one.correlations("t")) == ['["a","b.c"]', '["b"]']
            assert list(await other.correlations("t")) == []

    async def test_an_event_reaches_who_waits_for_its_key(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            places = await populate(store, "i", "j", "k")
            await _wait(store, "i", places["i"], "x", "y", "x")
            await _wait(store, "j", places["j"], "y")
            await _wait(store, "k", places["k"], "z")
            for keys in (["x", "y", "w"], ["x", "y", "w"], ["z"]):
                (number,) = await other.accept([arrival(",".join(keys), f'"{keys[-1]}"')])
                await _offer(other, number or 1, *keys)
            found = await listed(store)
            assert sorted((one.instance_id, one.data) for one in found[:2]) == [("i", '"w"'), ("j", '"w"')]
            assert [(one.instance_id, one.data) for one in found[2:]] == [("k", '"z"')]
            assert {(one.kind, one.channel, one.queued) for one in found} == {("event", "", False)}
            await _offer(other, 10**12, "x")
            await _offer(other, await accept(other, arrival("none")))
            assert len(await listed(store)) == 3

    async def test_an_event_reaches_one_who_waits_twice_once(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i")
            await _wait(store, "i", places["i"], "x", "y")
            number = await accept(store, arrival("a", "1"))
            await _offer(store, number, "x")
            assert await read(store) == [("i", "1")]
            await _offer(store, number, "y")
            await store.look([("i", "x"), ("i", "y")], 0)
            assert await listed(store) == [], "it had it, though it is read by now"

    async def test_an_event_with_a_target_is_for_nobody_else(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k")
            await _wait(store, "i", places["i"], "x")
            await _wait(store, "k", places["k"], "x")
            await _offer(store, await accept(store, arrival("a", "1", target="j")))
            await _offer(store, await accept(store, arrival("b", "2", target="i")), "x")
            await _offer(store, await accept(store, arrival("c", "3", target="no")), "x")
            assert await told(store) == [("j", "1"), ("i", "2")]
            await store.look([("k", "x")], 0)
            assert len(await listed(store)) == 2

    async def test_who_no_longer_waits_is_left_alone(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j", "k")
            for id, place in places.items():
                await _wait(store, id, place, "x", "y")
            await write(store, more("i", places["i"], event(3), box=Box(unwaited=[1, 7], waits=[(3, "z")])))
            await write(store, end("j", places["j"], 3))
            await _offer(store, await accept(store, arrival("a", "1")), "x")
            assert await read(store) == [("k", "1")]
            await _offer(store, await accept(store, arrival("b", "2")), "y")
            assert sorted(await read(store)) == [("i", "2"), ("k", "2")]
            await _offer(store, await accept(store, arrival("c", "3")), "z")
            assert await read(store) == [("i", "3")]

    async def test_who_waits_finds_what_came_before(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            await populate(store, "i", "j")
            for name in ("a", "b", "c"):
                await _offer(other, await accept(other, arrival(name, f'"{name}"')), "x", name)
            kept = await store.buffered("t", 0, 0, 10)
            assert await listed(store) == []
            since = kept[1].at
            wanted = [f'"{one.arrival.key}"' for one in kept if one.at >= since]
            await store.look([("i", "x"), ("no", "x")], since)
            assert await told(store) == [("i", text) for text in wanted]
            await store.look([("j", "a"), ("i", "a"), ("j", "nothing")], 0)
            assert (await told(store))[len(wanted) :] == [("j", '"a"'), ("i", '"a"')]
            await store.look([], 0)
            await store.look([("i", "x"), ("j", "a")], 0)
            assert len(await listed(store)) == len(wanted) + 2

    async def test_who_waits_and_what_comes_meet_in_any_case(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            places = await populate(one, *(f"i{n}" for n in range(15)))

            async def wait(id: str) -> None:
                await _wait(one, id, places[id], id)
                await one.look([(id, id)], 0)

            async def arrive(id: str) -> None:
                await _offer(two, await accept(two, arrival(id, f'"{id}"')), id)

            async with anyio.create_task_group() as group:
                for id in places:
                    group.start_soon(wait, id)
                    group.start_soon(arrive, id)
            assert sorted(await told(one)) == sorted((id, f'"{id}"') for id in places)

    async def test_a_new_key_for_what_is_kept(self, opened: Opening) -> None:
        async with opened() as store:
            await populate(store, "i")
            numbers = [await accept(store, arrival(f"e{n}", f'"{n}"')) for n in range(5)]
            await accept(store, Arrival("other", "u", "{}", 0))
            found: list[int] = []
            while page := await store.buffered("t", 0, found[-1] if found else 0, 2):
                assert len(page) <= 2
                found += [one.number for one in page]
            assert found == numbers
            assert list(await store.buffered("t", (await store.census()).now + MINUTE, 0, 10)) == []
            for _ in range(2):
                await store.note([(numbers[1], "x"), (numbers[3], "x"), (numbers[3], "y"), (numbers[3], "x")])
            await store.note([])
            await store.look([("i", "y"), ("i", "x")], 0)
            assert await told(store) == [("i", '"3"'), ("i", '"1"')]

    async def test_what_is_not_offered_yet_is_found_by_its_owner(self, opened: Opening) -> None:
        async with opened() as store, opened() as owner:
            numbers = [await accept(store, arrival(f"e{n}", f'"{n}"', partition=n % 3)) for n in range(6)]
            later = (await store.census()).now + MINUTE
            await _offer(store, numbers[1])
            found = await owner.unoffered([0, 1], later, 10)
            assert [one.number for one in found] == [numbers[0], numbers[3], numbers[4]]
            assert found[0].arrival == arrival("e0", '"0"', partition=0)
            assert [one.number for one in await owner.unoffered([1, 0], later, 2)] == [numbers[0], numbers[3]]
            assert list(await owner.unoffered([], later, 10)) == []
            assert list(await owner.unoffered([0, 1, 2], found[0].at, 10)) == []

    async def test_services_have_events_of_their_own(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            for one in (store, other):
                places = await populate(one, "i")
                await _wait(one, "i", places["i"], "x")
            await _offer(store, await accept(store, arrival("a", "1")), "x")
            assert await told(store) == [("i", "1")]
            await other.look([("i", "x")], 0)
            assert await told(other) == []
