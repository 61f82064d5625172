"""What every store keeps, as tests. Subclass `StoreContract` and give it a `database` fixture.

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def database(self, tmp_path):
            yield lambda service="default": MyStore(f"my://{tmp_path}", service)

`database` makes stores that see one fresh database, each as another process would. The tests run
under every backend that the `anyio_backend` fixture offers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import anyio
import pytest

from perdure.errors import InstanceNotFound, NotCancellable, StoreError, StoreUnavailable
from perdure.ports import STUCK, Due, EventRow, Filter, Holding, NewInstance, Outcome, Projection, Store, Unit

Database: TypeAlias = Callable[..., Store]
Opening: TypeAlias = Callable[..., AbstractAsyncContextManager[Store]]

LEASE = 10_000_000


def event(seq: int, data: str = "1", kind: str = "StepCompleted") -> EventRow:
    return (seq, kind, seq, "step", 1_000_000 * seq, data)


def birth(id: str, partition: int, epoch: int | None, *, events: Sequence[EventRow] = (), data: str = "{}") -> Unit:
    """A unit that makes an instance, with its first event."""
    first = (1, "WorkflowStarted", None, "w", 1_000_000, f'{{"input":{data},"incarnation":"00","version":null}}')
    return Unit(id, partition, epoch, 1, [first, *events], create=NewInstance("w", None, 1_000_000))


def more(id: str, held: Holding, *events: EventRow, projection: Projection | None = None) -> Unit:
    return Unit(id, held.partition, held.epoch, 1, list(events), projection=projection)


async def own(store: Store, worker: str = "me", partitions: int = 4) -> dict[int, Holding]:
    """Join and claim everything; the holdings by partition."""
    await store.partitions(partitions)
    census = await store.join(worker, ["w"], LEASE)
    return {holding.partition: holding for holding in await store.claim(worker, census.holdings)}


class StoreContract:
    """Subclass it; see the module's docstring."""

    @pytest.fixture
    def opened(self, database: Database) -> Opening:
        @asynccontextmanager
        async def opened(service: str = "default") -> AsyncIterator[Store]:
            store = database(service)
            await store.open(migrate=True)
            try:
                yield store
            finally:
                await store.close()

        return opened

    # The stream.

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

    # Losing.

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

    # Requests.

    async def test_a_client_s_start_reaches_the_owner(self, opened: Opening) -> None:
        async with opened() as owner, opened() as client:
            held = await own(owner)
            assert list(await client.commit([birth("i", 3, None)], 1)) == [Outcome.COMMITTED]
            (request,) = await owner.requests(list(held), 10, 0)
            assert (request.kind, request.instance_id, request.partition) == ("load", "i", 3)
            assert list(await owner.requests([0, 1, 2], 10, 0)) == []
            await owner.dismiss([request.id], {request.partition: 0})
            assert len(await owner.requests([0, 1, 2, 3], 10, 0)) == 1, "who has another epoch has lost the partition"
            await owner.dismiss([request.id], {n: holding.epoch for n, holding in held.items()})
            assert list(await owner.requests(list(held), 10, 0)) == []

    async def test_a_cancellation_is_recorded_once_and_precedes_the_end(self, opened: Opening) -> None:
        async with opened() as owner, opened() as client:
            held = (await own(owner))[1]
            await owner.commit([birth("i", 1, held.epoch)], 1)
            await client.request_cancel("i", '{"reason":"a"}')
            await client.request_cancel("i", '{"reason":"b"}')
            row = await owner.instance("i")
            assert row is not None
            assert row.cancel_requested == '{"reason":"a"}'
            (request,) = await owner.requests([1], 10, 0)
            end = more("i", held, event(2), projection=Projection("completed", None, 5))
            end.unless_cancelled = True
            assert list(await owner.commit([end], 2)) == [Outcome.CANCEL_FIRST]
            assert len(await owner.history("i", 1)) == 1
            end.unless_cancelled = False
            end.inbox = [request.id]
            assert list(await owner.commit([end], 3)) == [Outcome.COMMITTED]
            assert list(await owner.requests([1], 10, 0)) == []
            with pytest.raises(NotCancellable):
                await client.request_cancel("i", "{}")
            with pytest.raises(InstanceNotFound):
                await client.request_cancel("no", "{}")

    async def test_an_instance_moves_with_its_requests(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            held = await own(store)
            await store.commit([birth("i", 0, held[0].epoch), birth("j", 0, held[0].epoch)], 1)
            await client.request_cancel("i", "{}")
            assert await store.move("i", held[0], 3)
            row = await store.instance("i")
            assert row is not None
            assert row.partition == 3
            assert list(await store.requests([0], 10, 0)) == []
            assert [request.kind for request in await store.requests([3], 10, 0)] == ["cancel", "load"]
            assert not await store.move("i", held[0], 2), "it is not there any more"
            await client.claim("thief", [held[0]])
            assert not await store.move("j", held[0], 3), "the partition is somebody else's"
            assert not await store.move("no", held[1], 3)

    async def test_others_are_told_of_a_change(self, opened: Opening, database: Database) -> None:
        told = anyio.Event()
        watching = database()
        watching.watch(told.set)
        await watching.open(migrate=True)
        try:
            async with opened() as other:
                held = (await own(other))[0]
                told = anyio.Event()
                watching.watch(lambda: told.set())
                await other.commit([birth("i", 0, held.epoch)], 1)
                with anyio.fail_after(10):
                    await told.wait()
        finally:
            await watching.close()

    # Looking.

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

    # Membership.

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
