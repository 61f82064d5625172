"""Posts, questions and answers."""

from __future__ import annotations

import anyio

from perdure.ports import Box, Mail, Outcome, Post, Publication, Request, Store
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.units import (
    LEASE,
    MINUTE,
    Database,
    Opening,
    birth,
    end,
    event,
    listed,
    more,
    note,
    own,
    populate,
    read,
    told,
    write,
)


class Mailing:
    """What is sent arrives, once and in order."""

    async def test_posts_reach_the_partition_of_their_target_in_order(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            await populate(store, "i", "j", "k")
            posts = [note(("i", "k")[n % 2], f'"{n}"') for n in range(20)]
            await client.post(Mail(posts=[*posts, Post("j", "reply", '{"é":1.50}', key="key")]))
            found = await listed(store)
            assert [(one.instance_id, one.data) for one in found[:-1]] == [(one.target, one.data) for one in posts]
            assert {(one.partition, one.kind, one.channel, one.queued) for one in found[:-1]} == {
                (0, "message", "c", False),
                (2, "message", "c", False),
            }
            assert found[-1] == Request(found[-1].id, 1, "j", "reply", '{"é":1.50}')
            assert [one.id for one in found] == sorted(one.id for one in found)

    async def test_nothing_reaches_who_is_not_there_or_has_ended(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            await write(store, end("i", places["i"], 2))
            await store.post(Mail(posts=[note("i", "1"), note("no", "2", "key"), Post("i", "cancel", "{}")]))
            assert await listed(store) == []
            row = await store.instance("i")
            assert row is not None
            assert row.cancel_requested is None
            await store.post(Mail())

    async def test_a_key_counts_once_for_each_target(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            await populate(store, "i", "j")
            await client.post(Mail(posts=[note("i", "1", "a"), note("i", "2", "a"), note("i", "3", "b")]))
            await client.post(Mail(posts=[note("i", "4", "b"), note("j", "5", "a"), note("i", "6"), note("i", "6")]))
            assert await read(store) == [("i", "1"), ("i", "3"), ("j", "5"), ("i", "6"), ("i", "6")]
            await store.post(Mail(posts=[note("i", "7", "a"), note("j", "8", "a")]))
            assert await listed(store) == [], "they have been made, though they are read by now"

    async def test_a_key_of_a_channel_is_none_of_an_instance_s(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "c", "#c", " c")
            held = places["c"]
            await write(store, more("c", held, event(2), box=Box(subscribed=[("c", "broadcast")])))
            for _ in range(2):
                await store.post(Mail(publications=[Publication("c", '"published"', "k")]))
                await store.post(Mail(posts=[note(id, f'"{id}"', "k") for id in places]))
            assert sorted(await read(store)) == [(" c", '" c"'), ("#c", '"#c"'), ("c", '"c"'), ("c", '"published"')]

    async def test_a_key_may_be_a_mere_name(self, opened: Opening) -> None:
        async with opened() as store:
            await populate(store, "i")
            post = Post("i", "message", "1", "c", "key", once=False)
            await store.post(Mail(posts=[post]))
            await store.post(Mail(posts=[post]))
            assert len(await listed(store)) == 2
            await store.post(Mail(withdrawn=[("i", "key")]))
            assert await listed(store) == []

    async def test_a_unit_that_needs_what_was_taken_back_loses(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            await store.post(Mail(posts=[Post("i", "message", "1", "c", "a"), Post("i", "message", "2", "c", "b")]))
            first, second = [request.id for request in await listed(store)]
            await write(store, more("i", places["i"], event(2), box=Box(held=[first, second])))
            await store.post(Mail(withdrawn=[("i", "a")]))
            loser = more("i", places["i"], event(3))
            loser.needs = loser.inbox = [first, second]
            other = more("j", places["j"], event(2))
            assert list(await store.commit([loser, other], 77)) == [Outcome.CONFLICT, Outcome.COMMITTED]
            assert len(await store.history("i", 1)) == 2
            winner = more("i", places["i"], event(3))
            winner.needs = winner.inbox = [second]
            assert list(await store.commit([winner], 78)) == [Outcome.COMMITTED]
            assert list(await store.commit([winner], 78, again=True)) == [Outcome.COMMITTED]

    async def test_one_key_from_all_sides_at_once(self, opened: Opening) -> None:
        async with opened() as one, opened() as two:
            await populate(one, "i", "j")

            async def send(store: Store, number: int) -> None:
                targets = ("i", "j") if number % 4 < 2 else ("j", "i")
                await store.post(Mail(posts=[note(target, "1", f"k{n}") for n in range(5) for target in targets]))

            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(send, (one, two)[number % 2], number)
            assert sorted(await told(one)) == [("i", "1")] * 5 + [("j", "1")] * 5

    async def test_a_cancel_post_counts_once(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            places = await populate(store, "i", "j")
            await client.post(Mail(posts=[Post("i", "cancel", '"a"', key="x"), Post("i", "cancel", '"b"', key="y")]))
            await client.post(Mail(posts=[Post("i", "cancel", '"c"'), Post("j", "cancel", '"d"')]))
            await client.request_cancel("i", '"e"')
            rows = [await store.instance(id) for id in ("i", "j")]
            assert [row and row.cancel_requested for row in rows] == ['"a"', '"d"']
            assert [(one.kind, one.instance_id, one.data) for one in await listed(store)] == [
                ("cancel", "i", '"a"'),
                ("cancel", "j", '"d"'),
            ]
            ending = end("i", places["i"], 2)
            ending.unless_cancelled = True
            assert list(await store.commit([ending], 1)) == [Outcome.CANCEL_FIRST]

    async def test_what_is_withdrawn_is_not_read(self, opened: Opening) -> None:
        async with opened() as store:
            await populate(store, "i", "j")
            await store.post(Mail(posts=[note("i", "1", "a"), note("i", "2", "b"), note("j", "3", "a")]))
            await store.post(Mail(withdrawn=[("i", "a"), ("i", "no"), ("no", "a")]))
            assert await told(store) == [("i", "2"), ("j", "3")]
            await store.post(Mail(posts=[note("i", "4", "a"), note("i", "5", "c")], withdrawn=[("i", "c")]))
            assert await told(store) == [("i", "2"), ("j", "3")]

    async def test_units_send_in_their_order(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, *(f"i{n}" for n in range(300)))
            units = [
                more(id, place, event(2), mail=Mail(posts=[note("i7", f'"{id}-{n}"', f"{id}-{n}") for n in range(3)]))
                for id, place in places.items()
            ]
            await write(store, *units)
            assert await told(store) == [("i7", f'"i{m}-{n}"') for m in range(300) for n in range(3)]

    async def test_what_a_commit_makes_can_be_sent_to(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i")
            child = birth("child", 0, places["i"].epoch)
            child.mail = Mail(posts=[note("i", "1")])
            await write(store, child, more("i", places["i"], event(2), mail=Mail(posts=[note("child", "2", "a")])))
            assert sorted(await told(store)) == [("child", "2"), ("i", "1")]

    async def test_who_loses_sends_nothing(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await populate(store, "i", "j")
            await thief.claim("thief", [places["i"]])
            units = [
                more("i", places["i"], event(2), mail=Mail(posts=[note("i", "1", "a")])),
                more("j", places["j"], event(2), mail=Mail(posts=[note("i", "2")])),
                birth("j", 1, places["j"].epoch),
            ]
            units[2].mail = Mail(posts=[note("i", "3", "b")])
            assert list(await store.commit(units, 1)) == [Outcome.FENCED, Outcome.COMMITTED, Outcome.EXISTS]
            assert await told(store) == [("i", "2")]
            await store.post(Mail(posts=[note("i", "4", "a"), note("i", "5", "b")]))
            assert len(await listed(store)) == 3, "the losers' keys are free"

    async def test_a_repeated_commit_sends_once(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            units = [
                more("i", places["i"], event(2), mail=Mail(posts=[note("j", "1")])),
                more("j", places["j"], event(2), mail=Mail(posts=[note("i", "2")])),
            ]
            assert list(await store.commit(units[:1], 7)) == [Outcome.COMMITTED]
            assert list(await store.commit(units, 7, again=True)) == [Outcome.COMMITTED] * 2
            assert list(await store.commit(units, 7, again=True)) == [Outcome.COMMITTED] * 2
            assert await told(store) == [("j", "1"), ("i", "2")]

    async def test_mail_goes_out_with_what_is_dismissed(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await populate(store, "i", "j")
            epochs = {place.partition: place.epoch for place in places.values()}
            await store.post(Mail(posts=[note("i", "1"), note("j", "2")]))
            one, two = await listed(store)
            await store.dismiss([one.id], epochs, Mail(posts=[note("j", "3")]))
            assert await told(store) == [("j", "2"), ("j", "3")]
            await thief.claim("thief", [places["j"]])
            await store.dismiss([two.id], epochs, Mail(posts=[note("i", "4")]))
            assert await told(store) == [("j", "2"), ("j", "3"), ("i", "4")]
            await store.dismiss([], {}, Mail(posts=[note("i", "5")]))
            await store.dismiss([], {})
            assert len(await listed(store)) == 4

    async def test_posts_follow_an_instance_that_moves(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            held = await own(store)
            await write(store, birth("i", 0, held[0].epoch))

            async def send(number: int) -> None:
                await client.post(Mail(posts=[note("i", str(number))]))

            async with anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(send, number)
                for number in range(3):
                    assert await store.move("i", held[number], number + 1)
            await store.restamp([one.id for one in await listed(store)] + [10**12])
            found = await listed(store)
            assert {one.partition for one in found} == {3}
            assert sorted(int(one.data) for one in found if one.kind == "message") == list(range(12))

    async def test_a_question_and_its_answer(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            places = await populate(store, "i")
            for _ in range(2):
                await client.ask("q", Post("i", "message", "1", "c", "q"), LEASE)
            assert [await client.answer(id) for id in ("q", "no")] == [None, None]
            (request,) = await listed(store)
            assert (request.instance_id, request.kind, request.data) == ("i", "message", "1")
            replies = Mail(replies=[("q", '{"b":1,"a":2.50}'), ("no", "2")])
            await write(store, more("i", places["i"], event(2), inbox=[request.id], mail=replies))
            assert await client.answer("q") == '{"b":1,"a":2.50}'
            await store.post(Mail(replies=[("q", "3")]))
            await client.ask("q", Post("i", "message", "1", "c", "q"), LEASE)
            assert await client.answer("q") == '{"b":1,"a":2.50}', "the first one counts"
            assert await listed(store) == []
            await client.forget("q", "i")
            assert await client.answer("q") is None

    async def test_a_question_asked_again(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i")
            post = Post("i", "message", "1", "c", "q")
            await store.ask("q", post, MINUTE)
            await store.forget("q", "i", again=True)
            assert await listed(store) == []
            await store.ask("q", post, MINUTE)
            (request,) = await listed(store)
            await write(store, more("i", places["i"], event(2), inbox=[request.id]))
            await store.forget("q", "i", again=True)
            await store.ask("q", post, MINUTE)
            assert await listed(store) == [], "it was received: the answer is on its way"
            await store.post(Mail(replies=[("q", '"a"')]))
            assert await store.answer("q") == '"a"'
            await store.forget("q", "i")
            assert await store.answer("q") is None

    async def test_a_question_that_nobody_waits_for(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            await populate(store, "i")
            await client.ask("q", Post("i", "message", "1", key="q"), LEASE)
            await client.ask("r", Post("i", "message", "2", key="r"), LEASE)
            for _ in range(2):
                await client.forget("q", "i")
            assert await told(store) == [("i", "2")]
            await store.post(Mail(replies=[("q", "3")]))
            assert await client.answer("q") is None

    async def test_others_are_told_of_posts_and_answers(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as store, opened() as other:
            places = await populate(store, "i", "j")
            news.forget()
            await other.post(Mail(posts=[note("j", "1")]))
            await news.hears("requested", 1)
            await store.listen("q")
            await store.ask("q", note("i", "2", "q"), LEASE)
            await other.listen("q")
            other.unlisten("q")
            await read(store)
            news.forget()
            await other.commit([more("i", places["i"], event(2), mail=Mail(replies=[("q", "3")]))], 1)
            await news.hears("ended", "q")
            store.unlisten("q")
            news.forget()
            await other.commit([more("j", places["j"], event(2), mail=Mail(posts=[note("i", "4")]))], 2)
            await news.hears("requested", 0)
