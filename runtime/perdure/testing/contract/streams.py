"""Streams, and the rows written with them."""

from __future__ import annotations

import pytest

from perdure.errors import StoreError, StoreUnavailable
from perdure.ports import Outcome, Projection, Unit
from perdure.testing.contract.units import Opening, birth, event, more, own


class Streams:
    """What is written is there, whole."""

    async def test_events_come_back_byte_for_byte(self, opened: Opening) -> None:
        texts = ['{"b":1, "a":1.50,"b":2}', '"\\u00e9\\ud83d\\ude00 \\"\'%s$1?"', "[1e400,-0.0]", '""', "9" * 100_000]
        async with opened() as store:
            held = (await own(store))[0]
            rows = [event(seq, text) for seq, text in enumerate(texts, 2)]
            assert list(await store.commit([birth("i", 0, held.epoch, events=rows)], 1)) == [Outcome.COMMITTED]
            assert [tuple(row) for row in (await store.history("i", None))[1:]] == rows
            (stored,) = await store.load(["i"])
            assert [tuple(row) for row in stored.events[1:]] == rows

    async def test_what_is_committed_is_seen_by_others(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            held = (await own(one))[2]
            await one.commit([birth("i", 2, held.epoch)], 1)
            row = await two.instance("i")
            assert row is not None
            assert (row.workflow, row.status, row.wake_at, row.run, row.partition) == ("w", "running", 0, 1, 2)

    async def test_a_batch_of_many_instances_is_one_commit(self, opened: Opening) -> None:
        async with opened() as store:
            held = await own(store)
            births = [birth(f"i{n:04}", n % 4, held[n % 4].epoch) for n in range(500)]
            assert set(await store.commit(births, 1)) == {Outcome.COMMITTED}
            steps = [more(f"i{n:04}", held[n % 4], *(event(s) for s in range(2, 5))) for n in range(500)]
            assert set(await store.commit(steps, 2)) == {Outcome.COMMITTED}
            assert len(await store.history("i0499", 1)) == 4
            assert len(await store.load([unit.instance_id for unit in births])) == 500

    async def test_the_projection_is_written_with_its_events(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await store.commit([birth("i", 0, held.epoch)], 1)
            await store.commit([more("i", held, event(2), projection=Projection("waiting", 77))], 2)
            row = await store.instance("i")
            assert row is not None
            assert (row.status, row.wake_at, row.ended_at) == ("waiting", 77, None)
            end = Projection("failed", None, 99, '{"message":"no"}')
            await store.commit([more("i", held, event(3), projection=end)], 3)
            found = await store.ending("i")
            assert found is not None
            assert (found[0].status, found[0].ended_at, found[0].error) == ("failed", 99, '{"message":"no"}')
            assert found[1][0] == 3

    async def test_nothing_is_found_where_nothing_is(self, opened: Opening) -> None:
        async with opened() as store:
            assert await store.instance("no") is None
            assert await store.ending("no") is None
            assert list(await store.history("no", None)) == []
            assert list(await store.load(["no"])) == []

    async def test_a_state_without_events_that_arrives_late_is_refused(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await store.commit([birth("i", 0, held.epoch)], 1)
            early = Unit("i", 0, held.epoch, 1, [], projection=Projection("waiting", 5), head=1)
            assert list(await store.commit([early], 2)) == [Outcome.COMMITTED]
            end = Projection("completed", None, 99)
            await store.commit([more("i", held, event(2), projection=end)], 3)
            assert list(await store.commit([early], 2, again=True)) == [Outcome.CONFLICT]
            row = await store.instance("i")
            assert row is not None
            assert (row.status, row.ended_at) == ("completed", 99)

    async def test_what_can_never_be_written_is_told_from_what_may_pass(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            lone, huge = birth("lone", 0, held.epoch), birth("huge", 0, held.epoch)
            lone.events.append((2, "StepCompleted", 1, "\ud800", 1, "1"))
            huge.events.append((2, "StepCompleted", 2**70, "step", 1, "1"))
            for bad in (lone, huge):
                with pytest.raises(StoreError) as caught:
                    await store.commit([birth("good", 0, held.epoch), bad], 1)
                assert not isinstance(caught.value, StoreUnavailable)
                assert await store.instance("good") is None, "all or nothing"
            assert list(await store.commit([birth("good", 0, held.epoch)], 2)) == [Outcome.COMMITTED]
