"""What MySQL locks for those who send, publish and receive."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from perdure.ports import Arrival, Box, Mail, Outcome, Post, Projection, Publication, Taker
from perdure.testing.contract.units import accept, event, more, populate
from servers.mysql import execute
from stores.mysql_sessions import opened, stranger, waiting_for_locks

CHANNEL = "select * from perdure_channels where service = 'default' and channel = 'c'"
SENT = "insert into perdure_seen values ('default', 'j', 'a', now())"
INBOX = "perdure_inbox (service, `partition`, instance_id, kind, data, created_at, channel)"


@pytest.fixture
def mysql_url(swept_mysql_url: str) -> str:
    return swept_mysql_url


@pytest.mark.parametrize("wait", [True, False])
async def test_what_somebody_sends_stops_who_sends_the_same(mysql_url: str, wait: bool) -> None:
    async with opened(mysql_url) as store:
        places = await populate(store, "i", "j", "k")
        await store.post(Mail(publications=[Publication("c", "0", "a")]))
        mails = [Mail(posts=[Post("j", "message", "1", key="a")]), Mail(posts=[Post("j", "message", "2", key="b")])]
        units = [more(id, places[id], event(2), mail=mail) for id, mail in zip("ik", mails, strict=True)]
        with stranger(mysql_url, SENT) as other:
            assert list(await store.commit(units, 1, wait=wait)) == [Outcome.BUSY, Outcome.COMMITTED]
            other.commit()
        assert list(await store.commit(units[:1], 1, wait=wait)) == [Outcome.COMMITTED]
        assert [one.data for one in await store.requests([1], 10, 0)] == ["2"]


async def test_a_channel_that_somebody_changes_stops_who_publishes(mysql_url: str) -> None:
    async with opened(mysql_url) as store:
        places = await populate(store, "i", "j", "k")
        box = Box(subscribed=[("c", "broadcast")])
        await store.commit([more("k", places["k"], event(2), box=box)], 1)
        mail = Mail(publications=[Publication("c", "1")])
        units = [more("i", places["i"], event(2), mail=mail), more("j", places["j"], event(2))]
        with stranger(mysql_url, f"{CHANNEL} lock in share mode"):
            assert list(await store.commit(units[:1], 2)) == [Outcome.COMMITTED], "others publish as well"
            units[0] = more("i", places["i"], event(3), mail=mail)
        with stranger(mysql_url, f"{CHANNEL} for update"):
            assert list(await store.commit(units, 3)) == [Outcome.BUSY, Outcome.COMMITTED]
        assert [one.data for one in await store.requests([2], 10, 0)] == ["1"]


async def test_a_message_goes_where_the_channel_s_mode_sends_it(mysql_url: str) -> None:
    """Who publishes while somebody subscribes waits for him."""
    subscribing = [
        "insert into perdure_channels values ('default', 'c', 1)",
        "insert into perdure_subscriptions values ('default', 'c', 'i', 'competing')",
    ]
    async with opened(mysql_url, patient=True) as store:
        places = await populate(store, "i", "j")
        unit = more("j", places["j"], event(2), box=Box(subscribed=[("c", "broadcast")]))
        outcomes: list[Outcome] = []

        async def subscribe() -> None:
            outcomes.extend(await store.commit([unit], 1))

        with stranger(mysql_url, *subscribing) as other:
            async with anyio.create_task_group() as group:
                group.start_soon(subscribe)
                await waiting_for_locks(mysql_url)
                assert outcomes == []
                other.commit()
        assert outcomes == [Outcome.MODE_CONFLICT]
        with stranger(mysql_url, "update perdure_channels set competing = 0") as other:
            async with anyio.create_task_group() as group:
                group.start_soon(store.post, Mail(publications=[Publication("c", "1")]))
                await waiting_for_locks(mysql_url)
                assert await store.requests([0], 10, 0) == []
                other.rollback()
        assert len(await store.assign("c", [Taker("i", 0, places["i"].epoch)])) == 1


async def test_two_of_a_batch_want_a_channel_in_different_modes(mysql_url: str) -> None:
    async with opened(mysql_url) as store:
        places = await populate(store, "i", "j", "k")
        modes = {"i": "competing", "j": "broadcast", "k": "competing"}
        units = [more(id, places[id], event(2), box=Box(subscribed=[("c", mode)])) for id, mode in modes.items()]
        outcomes = [Outcome.COMMITTED, Outcome.MODE_CONFLICT, Outcome.COMMITTED]
        assert list(await store.commit(units, 1)) == outcomes


async def test_a_queue_is_read_past_what_others_hold(mysql_url: str) -> None:
    async with opened(mysql_url, patient=True) as store:
        places = await populate(store, "i", "j", "k")
        box = Box(subscribed=[("c", "competing")])
        await store.commit([more(id, places[id], event(2), box=box) for id in "ijk"], 1)
        await store.post(Mail(publications=[Publication("c", str(n)) for n in range(3)]))
        takers = [Taker(id, place.partition, place.epoch) for id, place in places.items()]
        ((oldest,),) = execute(mysql_url, "select min(id) from perdure_inbox")
        first = f"select id from perdure_inbox where id = {oldest} for update"
        coming = f"insert into {INBOX} values ('default', -1, '', 'message', '9', now(), 'c')"
        with stranger(mysql_url, coming, first) as other:
            with anyio.fail_after(30):  # a wait for a lock takes 60 s
                assert [one.data for one in await store.assign("c", takers[:1])] == ["1"]
                assert [one.data for one in await store.assign("c", takers[1:])] == ["2"]
            other.commit()
        assert [one.data for one in await store.assign("c", takers)] == ["0", "9"]


async def test_who_waits_and_what_comes_see_each_other(mysql_url: str) -> None:
    """While an event is offered, its keys are there before the waits are looked for."""
    async with opened(mysql_url, patient=True) as store, opened(mysql_url, patient=True) as other:
        places = await populate(store, "i")
        number = await accept(store, Arrival("a", "t", "{}", 0, None))
        with stranger(mysql_url, "insert into perdure_seen values ('default', 'i', 'a', now())") as late:
            async with anyio.create_task_group() as group:
                await store.commit([more("i", places["i"], event(2), box=Box(waits=[(1, "x")]))], 1)
                group.start_soon(store.offer, [(number, ["x"])])
                await waiting_for_locks(mysql_url)
                group.start_soon(other.look, [("i", "x")], 0)
                await waiting_for_locks(mysql_url, 2)
                late.rollback()
        assert [one.data for one in await store.requests([0], 10, 0)] == ["{}"]


async def test_those_who_cancel_each_other_all_get_through(mysql_url: str) -> None:
    async with opened(mysql_url) as one, opened(mysql_url) as two:
        ids = [f"i{n}" for n in range(8)]
        places = await populate(one, *ids)

        async def commit(n: int) -> None:
            mail = Mail(
                posts=[Post(ids[(n + step) % 8], "cancel", f'"{n}"', key=f"k{n}") for step in range(1, 8)],
                publications=[Publication("c", str(n), f"k{n}")],
            )
            unit = more(ids[n], places[ids[n]], event(2), projection=Projection("waiting", n), mail=mail)
            store = (one, two)[n % 2]
            with anyio.fail_after(60):
                while list(await store.commit([unit], n, again=True)) != [Outcome.COMMITTED]:
                    pass

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(commit, n)
        requests = await one.requests(range(4), 100, 0)
        assert sorted(request.instance_id for request in requests) == ids


async def test_who_is_busy_can_be_written_to(mysql_url: str) -> None:
    async with opened(mysql_url, patient=True) as store:
        places = await populate(store, "i", "j", "k")
        await store.commit([more("k", places["k"], event(2), box=Box(subscribed=[("c", "broadcast")]))], 1)
        rows = "select * from perdure_instances where id in ('j', 'k') for update"
        with stranger(mysql_url, rows), anyio.fail_after(30):  # a wait for a lock takes 60 s
            mail = Mail([Post("j", "message", "1", key="a")], [Publication("c", "2", "a")])
            assert list(await store.commit([more("i", places["i"], event(2), mail=mail)], 2)) == [Outcome.COMMITTED]
            await store.post(Mail([Post("j", "message", "3", key="b")]))
            await store.post(Mail([Post("j", "message", "4", key=None), Post("j", "message", "5", key="c")]))
        assert [one.data for one in await store.requests([1, 2], 10, 0)] == ["1", "2", "3", "4", "5"]


async def test_a_request_that_is_being_taken_back(mysql_url: str) -> None:
    async with opened(mysql_url) as store, opened(mysql_url, patient=True) as patient:
        places = await populate(store, "i")
        await store.post(Mail([Post("i", "message", "1")]))
        (request,) = await store.requests([0], 10, 0)
        unit = more("i", places["i"], event(2), inbox=[request.id])
        unit.needs = [request.id]
        outcomes: list[Outcome] = []

        async def commit() -> None:
            outcomes.extend(await patient.commit([unit], 1))

        with stranger(mysql_url, f"delete from perdure_inbox where id = {request.id}") as other:
            assert list(await store.commit([unit], 1)) == [Outcome.BUSY]
            async with anyio.create_task_group() as group:
                group.start_soon(commit)
                await waiting_for_locks(mysql_url)
                other.commit()
        assert outcomes == [Outcome.CONFLICT]


async def test_cleaning_lets_the_oldest_message_of_a_queue_go_first(mysql_url: str) -> None:
    async with opened(mysql_url) as store, opened(mysql_url) as cleaner:
        place = (await populate(store, "i"))["i"]
        await store.commit([more("i", place, event(2), box=Box(subscribed=[("c", "competing")]))], 1)
        taker = Taker("i", place.partition, place.epoch)

        async def clean() -> None:
            while True:
                await cleaner.expire(0, 0, 0, 100)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(clean)
            for _ in range(25):
                await store.post(Mail(publications=[Publication("c", "1"), Publication("c", "2")]))
                first, second = [await store.assign("c", [taker]) for _ in range(2)]
                assert [one.data for one in (*first, *second)] == ["1", "2"]
                execute(mysql_url, f"delete from perdure_inbox where `partition` = {place.partition}")
            group.cancel_scope.cancel()
