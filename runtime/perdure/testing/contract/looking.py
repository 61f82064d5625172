"""What is found."""

from __future__ import annotations

from perdure.ports import STUCK, Due, Filter, NewInstance, Projection
from perdure.testing.contract.units import Opening, birth, own


class Looking:
    """By what is known of them."""

    async def test_due_instances_by_partition_time_and_page(self, opened: Opening) -> None:
        async with opened() as store:
            held = await own(store)
            for number, wake in enumerate([0, 50, 100, None, 150]):
                unit = birth(f"i{number}", number % 2, held[number % 2].epoch)
                unit.projection = Projection("waiting", wake)
                await store.commit([unit], number)
            stuck = birth("stuck", 0, held[0].epoch)
            stuck.projection = Projection("stuck", STUCK, None, "{}")
            await store.commit([stuck], 9)

            async def due(partitions: list[int], since: int, until: int) -> list[str]:
                """Page by page, of every size."""
                found = list(await store.due(partitions, since, until, limit=100, after=None))
                for limit in (1, 2, 3):
                    paged: list[Due] = []
                    while page := await store.due(
                        partitions, since, until, limit=limit, after=paged[-1] if paged else None
                    ):
                        assert len(page) <= limit
                        paged += page
                    assert paged == found
                return [one.instance_id for one in found]

            assert await due([1, 0], 0, 150) == ["i0", "i2", "i1"]
            assert await due([0], 0, 1000) == ["i0", "i2", "i4"]
            assert await due([0, 1], 50, 101) == ["i2", "i1"]
            assert await due([0], STUCK, 60) == ["stuck", "i0"]
            assert await due([1], STUCK, 60) == ["i1"]
            twins = [birth(id, 1, held[1].epoch) for id in ("c", "a", "b")]
            await store.commit(twins, 10)
            assert await due([1], STUCK, 60) == ["a", "b", "c", "i1"]

    async def test_ids_are_any_text(self, opened: Opening) -> None:
        ids = sorted(
            ["50%", "%s", "%(x)s", "it's", 'say "hi"', "back\\slash", "$1 ?1 :a", "a b", "ü😀"], key=str.encode
        )
        async with opened() as store:
            held = (await own(store))[0]
            for id in ids:
                await store.commit([birth(id, 0, held.epoch)], 1)
                await store.listen(id)
                store.unlisten(id)
            found: list[Due] = []
            while page := await store.due([0], 0, 10, limit=1, after=found[-1] if found else None):
                found += page
            assert [due.instance_id for due in found] == ids
            assert sorted(stored.instance.id for stored in await store.load(ids)) == sorted(ids)
            for number, id in enumerate(ids):
                await store.request_cancel(id, "{}")
                assert len(await store.history(id, None)) == 1
                row = await store.ending(id)
                assert row is not None
                assert row[0].id == id
                assert await store.move(id, held, 1 + number % 3)
            asked = {request.instance_id for request in await store.requests([1, 2, 3], 100, 0)}
            assert asked == set(ids)
            assert {row.id for row in await store.find(Filter(workflow="w"))} == set(ids)

    async def test_find_by_what_is_known(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            for number in range(5):
                unit = birth(f"i{number}", 0, held.epoch, data=f'{{"order":{{"id":"{number}","lines":[1,{number}]}}}}')
                assert unit.create is not None
                unit.create = NewInstance("odd" if number % 2 else "even", None, 100 + number)
                unit.projection = Projection("failed" if number == 3 else "running", 0)
                await store.commit([unit], number)

            async def ids(filter: Filter) -> list[str]:
                return [row.id for row in await store.find(filter)]

            assert await ids(Filter()) == ["i4", "i3", "i2", "i1", "i0"]
            assert await ids(Filter(workflow="even")) == ["i4", "i2", "i0"]
            assert await ids(Filter(status="failed")) == ["i3"]
            assert await ids(Filter(limit=2)) == ["i4", "i3"]
            assert await ids(Filter(limit=2, after=(103, "i3"))) == ["i2", "i1"]
            assert await ids(Filter(input={"order.id": '"2"'})) == ["i2"]
            assert await ids(Filter(input={"order.id": "2"})) == []
            assert await ids(Filter(input={"order.lines.1": "4", "order.id": '"4"'})) == ["i4"]
            assert await ids(Filter(input={"order.nothing": "4"})) == []
