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
from perdure.ports import Outcome, Projection
from perdure.testing.contract.units import birth, event, more, own
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
