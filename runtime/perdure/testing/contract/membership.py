"""Workers, leases and partitions."""

from __future__ import annotations

from perdure.ports import Filter, Outcome
from perdure.testing.contract.units import LEASE, Opening, birth, own


class Membership:
    """Who is there, and who owns what."""

    async def test_the_first_settles_the_number_of_partitions(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            assert await one.partitions(8) == 8
            assert await two.partitions(64) == 8

    async def test_workers_join_renew_and_leave(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            held = await own(one, "a")
            census = await two.join("b", ["v", "w"], LEASE)
            assert [(m.id, tuple(m.workflows)) for m in census.members] == [("a", ("w",)), ("b", ("v", "w"))]
            assert {holding.owner for holding in census.holdings} == {"a"}
            renewed = await one.renew("a", LEASE)
            assert renewed is not None
            first = renewed.members[0]
            assert first.beats > census.members[0].beats
            assert renewed.now <= first.expires_at <= renewed.now + LEASE
            await one.release("a", [held[0]])
            assert (await two.census()).holdings[0].owner is None
            await one.leave("a")
            after = await two.census()
            assert [member.id for member in after.members] == ["b"]
            assert {holding.owner for holding in after.holdings} == {None}
            assert await one.renew("a", LEASE) is None

    async def test_a_partition_is_claimed_by_one(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            await one.partitions(4)
            await two.join("b", [], LEASE)
            census = await one.join("a", [], LEASE)
            gained = [*await one.claim("a", census.holdings[:3]), *await two.claim("b", census.holdings)]
            assert sorted(holding.partition for holding in gained) == [0, 1, 2, 3]
            assert [holding.owner for holding in (await one.census()).holdings] == ["a", "a", "a", "b"]

    async def test_release_of_what_was_lost_changes_nothing(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            held = await own(one, "a")
            (stolen,) = await two.claim("b", [held[0]])
            await one.release("a", [held[0]])
            assert (await one.census()).holdings[0] == stolen

    async def test_the_dead_are_buried_unless_they_have_beaten(self, opened: Opening) -> None:
        async with opened() as one:
            await one.partitions(4)
            await one.join("a", [], LEASE)
            census = await one.join("b", [], LEASE)
            await one.renew("b", LEASE)
            await one.bury(census.members)
            assert [member.id for member in (await one.census()).members] == ["b"]

    async def test_services_know_nothing_of_each_other(self, opened: Opening) -> None:
        async with opened("one") as one, opened("two") as two:
            held = (await own(one, partitions=4))[0]
            other = (await own(two, partitions=8))[0]
            await one.commit([birth("i", 0, held.epoch)], 1)
            assert await two.instance("i") is None
            assert list(await two.commit([birth("i", 0, other.epoch, data='{"n":2}')], 2)) == [Outcome.COMMITTED]
            assert [row.id for row in await two.find(Filter())] == ["i"]
            assert len((await two.census()).members) == 1
            assert len(await two.due([0], 0, 10, limit=10, after=None)) == 1
