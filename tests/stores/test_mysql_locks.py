"""Others' locks, and connections that break, on MySQL or MariaDB."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest

from perdure.errors import Conflict, StoreUnavailable
from perdure.ports import Arrival, Box, Mail, Outcome, Post, Projection, Publication, Taker
from perdure.testing.contract.units import accept, birth, event, more, own, populate
from servers.mysql import execute
from stores.mysql_sessions import opened, sessions, stranger, until, waiting_for_locks


@pytest.fixture
def mysql_url(swept_mysql_url: str) -> str:
    return swept_mysql_url


@pytest.mark.parametrize("lock", ["for update", "lock in share mode"])
async def test_a_lock_of_somebody_else_stops_its_own_unit_only(mysql_url: str, lock: str) -> None:
    async with opened(mysql_url) as store:
        held = await own(store)
        await store.commit([birth(id, n, held[n].epoch) for n, id in enumerate("ijkl")], 1)
        stop = Projection("waiting", 5)
        units = [more(id, held[n], event(2), projection=stop) for n, id in enumerate("ijkl")]
        epoch = "select * from perdure_partitions where service = 'default' and `partition` = 1 for update"
        row = f"select * from perdure_instances where service = 'default' and id = 'k' {lock}"
        with stranger(mysql_url, epoch, row):
            outcomes = list(await store.commit(units, 2))
        assert outcomes == [Outcome.COMMITTED, Outcome.BUSY, Outcome.BUSY, Outcome.COMMITTED]
        assert list(await store.commit(units[1:3], 2)) == [Outcome.COMMITTED] * 2


async def test_an_id_that_somebody_is_about_to_take(mysql_url: str) -> None:
    async with opened(mysql_url) as store:
        held = (await own(store))[0]
        taking = (
            "insert into perdure_instances (service, id, workflow, `partition`, run, status, created_at) "
            "values ('default', 'i', 'w', 0, 1, 'running', now())"
        )
        units = [birth("i", 0, held.epoch), birth("j", 0, held.epoch)]
        with stranger(mysql_url, taking) as other:
            assert list(await store.commit(units, 1)) == [Outcome.BUSY, Outcome.COMMITTED]
            other.commit()
        assert list(await store.commit(units[:1], 1)) == [Outcome.EXISTS]


async def test_a_thief_waits_for_the_commit_in_flight(mysql_url: str) -> None:
    async with opened(mysql_url) as store, opened(mysql_url, patient=True) as thief:
        held = await own(store)
        fence = "select epoch from perdure_partitions where service = 'default' and `partition` = 0 lock in share mode"
        gained: list[int] = []

        async def claim() -> None:
            gained.extend(one.partition for one in await thief.claim("thief", [held[0], held[1]]))

        with stranger(mysql_url, fence) as commit:
            async with anyio.create_task_group() as group:
                group.start_soon(claim)
                await waiting_for_locks(mysql_url)
                assert gained == []
                commit.commit()
        assert gained == [0, 1]
        assert list(await store.commit([birth("i", 0, held[0].epoch)], 1)) == [Outcome.FENCED]


async def test_partitions_that_somebody_sits_on_are_left_to_him(mysql_url: str) -> None:
    async with opened(mysql_url) as store, opened(mysql_url) as thief:
        held = await own(store)
        fence = "select epoch from perdure_partitions where service = 'default' and `partition` = 0 lock in share mode"
        with stranger(mysql_url, fence):
            assert [one.partition for one in await thief.claim("thief", [held[0], held[1]])] == [1]
        assert [one.partition for one in await thief.claim("thief", [held[0]])] == [0]


@pytest.mark.parametrize("again", [True, False])
async def test_an_abandoned_commit_that_arrives_after_all(mysql_url: str, again: bool) -> None:
    async with opened(mysql_url, patient=True) as store:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch)], 1)
        late = "insert into perdure_events values ('default', 'i', 1, 2, 'StepCompleted', 2, 'step', now(), 7, '1')"
        results: list[object] = []

        async def commit() -> None:
            try:
                results.extend(await store.commit([more("i", held, event(2))], 7, again=again))
            except Conflict as error:
                results.append(type(error))

        with stranger(mysql_url, late) as other:
            async with anyio.create_task_group() as group:
                group.start_soon(commit)
                await waiting_for_locks(mysql_url)
                other.commit()
        assert results == [Outcome.COMMITTED if again else Conflict]
        assert len(await store.history("i", 1)) == 2


async def test_a_commit_whose_connection_is_killed(mysql_url: str) -> None:
    async with opened(mysql_url, patient=True) as store:
        held = (await own(store))[0]
        await store.commit([birth("first", 1, 1)], 1)  # so that the connection is there
        failures: list[StoreUnavailable] = []

        async def commit() -> None:
            with pytest.raises(StoreUnavailable) as caught:
                await store.commit([birth("i", 0, held.epoch)], 1)
            failures.append(caught.value)

        fence = "select epoch from perdure_partitions where service = 'default' and `partition` = 0 for update"
        ours = sessions(mysql_url)
        with stranger(mysql_url, fence):
            async with anyio.create_task_group() as group:
                group.start_soon(commit)
                await waiting_for_locks(mysql_url)
                execute(mysql_url, *(f"kill connection {id}" for id in ours))
        assert len(failures) == 1
        assert await store.instance("i") is None
        assert list(await store.commit([birth("i", 0, held.epoch)], 1, again=True)) == [Outcome.COMMITTED]


async def test_a_connection_that_was_killed_while_idle_is_not_used(mysql_url: str) -> None:
    async with opened(mysql_url) as store:
        await store.census()
        execute(mysql_url, *(f"kill connection {id}" for id in sessions(mysql_url)))
        pools = [pool for pool in (store._pool, store._journal, store._leases) if pool is not None]
        await until(lambda: not any(connection.usable for pool in pools for _, connection in pool._idle))
        await store.census()


class Frozen:
    """A way to the server that lets requests through, and once `closed` is set no answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 3306)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.closed = threading.Event()
        port = self._listener.getsockname()[1]
        self.url = parts._replace(netloc=f"{parts.username}:{parts.password or ''}@127.0.0.1:{port}").geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far, None), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, self.closed), daemon=True).start()
        except OSError:
            return

    def _pass(self, source: socket.socket, target: socket.socket, closed: threading.Event | None) -> None:
        try:
            while data := source.recv(65536):
                if closed is None or not closed.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        for one in self._sockets:
            one.close()


async def test_a_server_that_does_not_answer(mysql_url: str) -> None:
    with closing(Frozen(mysql_url)) as way:
        async with opened(way.url) as store:
            held = (await own(store))[0]
            await store.commit([birth("first", 1, 1)], 1)  # so that the connection is there
            assert store._journal is not None
            store._journal.limit = 0.3
            way.closed.set()
            with pytest.raises(StoreUnavailable, match="no answer") as caught:
                await store.commit([birth("i", 0, held.epoch)], 7)
            assert caught.value.unknown
            with pytest.raises(StoreUnavailable) as caught:
                await store.census()
            assert not caught.value.unknown
            way.closed.clear()
            store._journal.limit = 60
            assert list(await store.commit([birth("i", 0, held.epoch)], 7, again=True)) == [Outcome.COMMITTED]
            assert len(await store.history("i", 1)) == 1


async def test_a_commit_that_is_held_up_keeps_its_partition(mysql_url: str) -> None:
    """The guards of the short way lock what they have looked at."""
    async with opened(mysql_url, patient=True) as store, opened(mysql_url, patient=True) as thief:
        held = (await own(store))[0]
        await store.commit([birth("i", 0, held.epoch)], 1)
        happened: list[object] = []

        async def commit() -> None:
            happened.extend(await store.commit([more("i", held, event(2))], 2))

        async def claim() -> None:
            happened.extend(one.owner for one in await thief.claim("thief", [held]))

        in_its_way = "insert into perdure_events values ('default', 'i', 1, 2, 'k', 2, 'n', now(), 9, '1')"
        with stranger(mysql_url, in_its_way) as other:
            async with anyio.create_task_group() as group:
                group.start_soon(commit)
                await waiting_for_locks(mysql_url)
                group.start_soon(claim)
                await waiting_for_locks(mysql_url, 2)
                assert happened == []
                other.rollback()
        assert set(happened) == {Outcome.COMMITTED, "thief"}


CHANNEL = "select * from perdure_channels where service = 'default' and channel = 'c'"
SENT = "insert into perdure_seen values ('default', 'j', 'a', now())"
INBOX = "perdure_inbox (service, `partition`, instance_id, kind, data, created_at, channel)"


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
