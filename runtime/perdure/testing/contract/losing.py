"""Units that must not be written."""

from __future__ import annotations

import anyio
import pytest

from perdure.errors import StoreError
from perdure.ports import Outcome, Store
from perdure.testing.contract.units import Opening, birth, event, more, own


class Losing:
    """Only one writer wins, and only losers lose."""

    async def test_a_sequence_number_is_used_once(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await store.commit([birth("i", 0, held.epoch, events=[event(2)])], 1)
            with pytest.raises(StoreError):
                await store.commit([more("i", held, event(2, "2"))], 2)
            assert [row[5] for row in await store.history("i", 1)][1:] == ["1"]

    async def test_a_refused_batch_leaves_nothing_of_its_other_units(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await store.commit([birth("i", 0, held.epoch, events=[event(2)])], 1)
            with pytest.raises(StoreError):
                await store.commit([birth("j", 0, held.epoch), more("i", held, event(2))], 2)
            assert await store.instance("j") is None
            assert list(await store.history("j", 1)) == []

    async def test_units_of_a_lost_partition_lose_alone(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            held = await own(store)
            await store.commit([birth("i", 0, held[0].epoch), birth("j", 1, held[1].epoch)], 1)
            (stolen,) = await thief.claim("thief", [held[0]])
            assert (stolen.owner, stolen.epoch) == ("thief", held[0].epoch + 1)
            units = [more("i", held[0], event(2)), more("j", held[1], event(2)), birth("k", 0, held[0].epoch)]
            outcomes = await store.commit(units, 2)
            assert list(outcomes) == [Outcome.FENCED, Outcome.COMMITTED, Outcome.FENCED]
            assert len(await store.history("i", 1)) == 1
            assert len(await store.history("j", 1)) == 2
            assert await store.instance("k") is None

    async def test_an_id_is_given_once(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await store.commit([birth("i", 0, held.epoch, data='{"n":1}')], 1)
            again = await store.commit([birth("i", 0, held.epoch, data='{"n":2}'), birth("j", 0, held.epoch)], 2)
            assert list(again) == [Outcome.EXISTS, Outcome.COMMITTED]
            (first,) = await store.history("i", 1)
            assert '"n":1' in first[5]

    async def test_a_start_that_loses_takes_nothing_of_its_instance_along(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await store.commit([birth("i", 0, held.epoch)], 1)
            outcomes = await store.commit([birth("i", 0, held.epoch), more("i", held, event(2))], 2)
            assert list(outcomes) == [Outcome.EXISTS, Outcome.COMMITTED]
            assert [row[0] for row in await store.history("i", 1)] == [1, 2]

    async def test_fifty_starters_of_one_id(self, opened: Opening) -> None:
        outcomes: list[Outcome] = []
        async with opened() as one, opened() as two:
            await own(one)

            async def start(store: Store, number: int) -> None:
                outcomes.extend(await store.commit([birth("i", 0, None)], number))

            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(start, (one, two)[number % 2], number)
            assert sorted(outcome.name for outcome in outcomes) == ["COMMITTED"] + ["EXISTS"] * 49
            assert len(await one.requests([0], 10, 0)) == 1

    async def test_a_repeated_commit_is_recognised(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            units = [birth("i", 0, held.epoch), birth("j", 0, held.epoch)]
            await store.commit(units[:1], 7)
            assert list(await store.commit(units, 7, again=True)) == [Outcome.COMMITTED, Outcome.COMMITTED]
            assert len(await store.history("i", 1)) == 1
            assert len(await store.history("j", 1)) == 1

    async def test_linked_units_are_written_together_or_not_at_all(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            held = await own(store)
            await store.commit([birth(id, n, held[n].epoch) for n, id in enumerate("ijk")], 1)
            await thief.claim("thief", [held[0]])
            units = [more(id, held[n], event(2)) for n, id in enumerate("ijk")]
            units[0].link = units[1].link = 5
            outcomes = list(await store.commit(units, 2))
            assert outcomes == [Outcome.FENCED, Outcome.CONFLICT, Outcome.COMMITTED]
            assert [len(await store.history(id, 1)) for id in "ijk"] == [1, 1, 2]
            units = [more("j", held[1], event(2)), more("k", held[2], event(3))]
            units[0].link = units[1].link = 6
            assert list(await store.commit(units, 3)) == [Outcome.COMMITTED, Outcome.COMMITTED]
            assert list(await store.commit(units, 3, again=True)) == [Outcome.COMMITTED, Outcome.COMMITTED]
            assert [len(await store.history(id, 1)) for id in "ijk"] == [1, 2, 3]
