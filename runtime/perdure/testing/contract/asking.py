"""Requests and news, between processes."""

from __future__ import annotations

import pytest

from perdure.errors import InstanceNotFound, NotCancellable
from perdure.ports import Outcome, Projection
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.units import LEASE, Database, Opening, birth, event, more, own


class Asking:
    """What one process asks reaches the other."""

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

    async def test_who_loses_answers_no_request(self, opened: Opening) -> None:
        async with opened() as owner, opened() as client:
            held = (await own(owner))[1]
            await owner.commit([birth("i", 1, held.epoch)], 1)
            await client.request_cancel("i", "{}")
            (request,) = await owner.requests([1], 10, 0)
            end = more("i", held, event(2), projection=Projection("completed", None, 5))
            end.unless_cancelled = True
            start = birth("i", 1, held.epoch)
            start.projection = Projection("cancelled", None, 5)
            for loser, outcome in ((end, Outcome.CANCEL_FIRST), (start, Outcome.EXISTS)):
                loser.inbox = [request.id]
                assert list(await owner.commit([loser], 2)) == [outcome]
                assert len(await owner.requests([1], 10, 0)) == 1

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

    async def test_others_are_told_of_a_request(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as owner, opened() as client:
            await own(owner)
            await client.commit([birth("i", 3, None)], 1)
            await news.hears("requested", 3)
            (request,) = await owner.requests([3], 10, 0)
            await owner.dismiss([request.id], {3: 1})
            news.forget()
            await client.request_cancel("i", "{}")
            await news.hears("requested", 3)

    async def test_others_are_told_of_an_end_they_listen_for(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as client, opened() as owner:
            held = (await own(owner))[0]
            await owner.commit([birth("i", 0, held.epoch), birth("j", 0, held.epoch)], 1)
            await client.listen("i")
            await client.listen("no")
            news.forget()
            end = more("i", held, event(2), projection=Projection("completed", None, 99))
            end.unless_cancelled = True
            await owner.commit([end], 2)
            await news.hears("ended", "i")
            client.unlisten("i")
            client.unlisten("no")

    async def test_others_are_told_of_changing_members(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as watcher, opened() as other:
            held = await own(watcher)
            news.forget()
            await other.join("other", [], LEASE)
            await news.hears("members")
            news.forget()
            await other.claim("other", [held[0]])
            await news.hears("members")
            news.forget()
            await other.leave("other")
            await news.hears("members")
