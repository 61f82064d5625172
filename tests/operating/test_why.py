"""One sentence on why an instance does not go on, and its parts."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator

import anyio
import pytest
from attrs import evolve

from operating import orders
from operating.orders import ALL, found, settled, until
from perdure import (
    App,
    InstanceNotFound,
    Retry,
    TerminalError,
    Why,
    activity,
    receive,
    wait_event,
    workflow,
)
from perdure.testing.memory import MemoryStore


@pytest.fixture
async def app(anyio_backend: object) -> AsyncIterator[App]:
    async with App("memory://", workflows=ALL, worker_id="ab12", drain=0) as app:
        yield app


def parts(why: Why) -> list[str]:
    """The sentence, without its times."""
    said = re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", "TIME", why.sentence)
    return re.sub(r"\b\d+ (s|min|h)\b( \d+ min)?", "SPAN", said).split("; ")


OK = "owned by worker ab12 (lease ok)"


async def test_a_message_and_a_timeout(app: App) -> None:
    await app.start(orders.note.options(id="order-42"), "desk")
    await settled(app, "order-42")
    why = await app.why("order-42")
    assert parts(why) == [
        "order-42 waits since TIME for message on channel 'notes' (receive, timeout in SPAN)",
        OK,
    ]
    assert (why.problem, why.status, why.workflow) == (None, "waiting", "note")
    (wait,) = why.waiting_for
    assert (wait.kind, wait.name, wait.command, wait.subscribed) == ("message", "notes", 3, False)
    assert wait.data is not None
    assert wait.data.name == "str"
    assert wait.since == why.since
    assert wait.since is not None
    assert wait.until is not None
    assert (wait.until - wait.since).total_seconds() == 300
    assert why.owner is not None
    assert (why.owner.worker_id, why.owner.alive, why.owner.knows) == ("ab12", True, True)


async def test_an_activity_that_is_tried_again(app: App) -> None:
    handle = await app.start(orders.pay.options(id="p"), "desk")

    async def failed() -> bool:
        return len(await handle.history()) == 2

    await found(failed)
    why = await app.why("p")
    assert parts(why) == [
        "p waits since TIME for activity 'charge' (attempt 2 of 5 in SPAN, after ConnectionError: the bank does not "
        "answer)",
        OK,
    ]
    assert why.problem == "retrying"
    (wait,) = why.waiting_for
    assert (wait.kind, wait.attempt, wait.attempts) == ("activity", 2, 5)
    assert wait.error == "ConnectionError: the bank does not answer"


async def test_an_activity_under_way(app: App) -> None:
    await app.start(orders.mill.options(id="m"), "corn")
    why = await app.why("m")
    assert parts(why) == ["m waits since TIME for activity 'grind' (attempt 1 of 5, running since TIME)", OK]
    assert why.problem is None


async def test_an_event_and_a_timer_within_a_deadline(app: App) -> None:
    await app.start(orders.choose.options(id="c"), "desk")
    why = await app.why("c")
    assert parts(why) == [
        "c waits since TIME for event of type 'paid' with item = \"desk\" and n = 2 (timeout in SPAN) and its sleep "
        "until TIME (in SPAN)",
        OK,
    ]
    assert [wait.kind for wait in why.waiting_for] == ["event", "timer"]
    assert why.waiting_for[0].match == {"item": '"desk"', "n": "2"}


async def test_children(app: App) -> None:
    await app.start(orders.family.options(id="f"), "desk")
    await settled(app, "f")
    await settled(app, "pick-desk", "note-desk")
    why = await app.why("f")
    assert parts(why) == [
        "f waits since TIME for child 'pick-desk' (pick, waiting) and child 'note-desk' (note, waiting)",
        OK,
    ]
    assert [(wait.kind, wait.name) for wait in why.waiting_for] == [("child", "pick-desk"), ("child", "note-desk")]


async def test_an_answer(app: App) -> None:
    await app.start(orders.curious.options(id="q"), "desk")
    await settled(app, "q")
    assert parts(await app.why("q"))[0] == "q waits since TIME for answer of 'asked' on channel 'total' (ask)"


async def test_more_than_can_be_named(app: App) -> None:
    await app.start(orders.crowd.options(id="c"), "desk")
    why = await app.why("c")
    assert parts(why)[0].endswith("message on channel 'channel-2' (receive) and 2 more")
    assert len(why.waiting_for) == 5


async def test_what_has_ended(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    done = await app.start(orders.note.options(id="done"), "desk")
    await done.send("notes", "x")
    await until(app, "done", lambda info: info.status == "completed")
    assert parts(await app.why("done")) == ["done waits for nothing: it completed at TIME"]

    monkeypatch.setattr(orders, "down", False)
    await app.start(orders.decline.options(id="declined"), "desk")
    await until(app, "declined", lambda info: info.status == "failed")
    why = await app.why("declined")
    assert parts(why) == ["declined waits for nothing: it failed at TIME with TerminalError: the card was declined"]
    info = await (await app.lookup("declined")).info()
    assert (why.problem, why.waiting_for, why.since) == (None, (), info.ended_at)

    gone = await app.start(orders.note.options(id="gone"), "desk")
    await gone.cancel(reason="customer asked")
    await until(app, "gone", lambda info: info.status == "cancelled")
    assert parts(await app.why("gone"))[0] == "gone waits for nothing: it was cancelled at TIME (customer asked)"


async def test_a_compensation_that_failed(app: App) -> None:
    await app.start(orders.decline.options(id="d"), "desk")
    await until(app, "d", lambda info: info.status == "failed")
    why = await app.why("d")
    assert parts(why)[1:] == [
        "not all it did is undone: 'release' failed, the first with TerminalError: the warehouse is down",
        "mend that, and retry its compensations",
    ]
    assert why.problem == "compensation failed"


async def test_a_compensation_under_way() -> None:
    @activity
    async def book(city: str) -> None: ...

    @book.compensation
    async def cancel(city: str) -> None:
        await anyio.sleep(math.inf)

    @workflow
    async def travel(city: str) -> None:
        await book(city)
        raise TerminalError("no money")

    async with App("memory://", workflows=[travel], worker_id="ab12", drain=0) as app:
        await app.start(travel.options(id="t"), "Rome")
        await until(app, "t", lambda info: info.status == "compensating")
        why = await app.why("t")
        assert parts(why) == [
            "t compensates what it did, and waits since TIME for compensation 'cancel' (attempt 1 of 5, running since "
            "TIME)",
            OK,
        ]
        assert why.waiting_for[0].kind == "compensation"


async def test_nobody_runs_it(url: str) -> None:
    async with App(url, workflows=ALL, worker=False) as client:
        handle = await client.start(orders.pay.options(id="p"), "desk")
        why = await client.why("p")
        assert parts(why) == [
            "p waits since TIME for activity 'charge' (attempt 1 of 5, not running)",
            "no worker is alive",
            "start one with `perdure run`",
        ]
        assert (why.problem, why.owner) == ("no worker", None)
        await handle.cancel(reason="no more")
        why = await client.why("p")
        assert "its cancellation (no more) is recorded, and not seen yet" in parts(why)


async def test_a_dead_worker(anyio_backend: object) -> None:
    async with App("memory://", workflows=ALL, worker_id="ab12", lease=1000) as app:
        await app.start(orders.note.options(id="n"), "desk")
        await settled(app, "n")
        store = app._resources().store
        assert isinstance(store, MemoryStore)
        (member,) = store.database.members.values()
        now = (await store.census()).now
        store.database.members["ab12"] = evolve(member, expires_at=now - 200_000_000)
        why = await app.why("n")
        assert parts(why)[1:] == ["no worker is alive: the last lease ended SPAN ago", "start one with `perdure run`"]
        store.database.members["other"] = evolve(member, id="other", expires_at=now + 1_000_000_000)
        why = await app.why("n")
        assert parts(why)[1:] == ["the lease of its owner, worker ab12, has expired", "another one takes over"]
        assert why.problem == "lease expired"
        store.database.members["ab12"] = evolve(member, workflows=("pay",))
        why = await app.why("n")
        assert parts(why)[1:] == ["owned by worker ab12, which passes it on to other, who knows it"]
        store.database.members["other"] = evolve(member, id="other", workflows=())
        why = await app.why("n")
        assert parts(why)[1] == "no live worker knows workflow 'note', but pay"
        assert why.problem == "unknown workflow"
        store.database.members["ab12"] = member


async def test_a_workflow_that_this_app_does_not_know(app: App) -> None:
    store = app._resources().store
    assert isinstance(store, MemoryStore)
    handle = await app.start(orders.pay.options(id="p"), "desk")
    await app.start(orders.family.options(id="f"), "desk")
    await app.start(orders.note.options(id="n"), "desk")

    async def failed() -> bool:
        return len(await handle.history()) == 2

    await found(failed)
    await settled(app, "f", "n")
    known = app._workflows
    app._workflows = {}
    try:
        why = await app.why("p")
        assert parts(why)[:2] == [
            "p waits since TIME for activity 'charge' (attempt 2 in SPAN, after ConnectionError: the bank does not "
            "answer)",
            "there may be more to it: this app does not know workflow 'pay'",
        ]
        why = await app.why("f")
        assert [wait.name for wait in why.waiting_for] == ["pick-desk", "note-desk"]
        why = await app.why("n")
        assert parts(why)[:2] == [
            "n waits since TIME, after event 2, StepCompleted 'reserve'",
            "its next deadline is in SPAN",
        ]
    finally:
        app._workflows = known


async def test_code_and_history_disagree(url: str) -> None:
    @workflow(name="note")
    async def other(item: str) -> str:
        await wait_event("something else")
        return (await receive("notes", str)).data

    async with App(url, workflows=ALL) as app:
        await app.start(orders.note.options(id="n"), "desk")
        await settled(app, "n")
        async with App(url, workflows=[other], worker=False) as newer:
            why = await newer.why("n")
            assert why.problem == "disagrees"
            said = "today's code does not fit it: history holds #1 activity 'reserve', the code #1 event"
            assert said in why.sentence
    async with App(url, workflows=[other], worker_id="new", drain=0) as newer:
        await (await newer.lookup("n")).send("notes", "wake up")
        await until(newer, "n", lambda info: info.status == "stuck")
        why = await newer.why("n")
        assert why.problem == "stuck"
        assert why.sentence.startswith("n is stuck after event 2 of ")
        assert "history holds #1 activity 'reserve'" in why.sentence
        async with App(url, workflows=ALL, worker=False) as older:
            why = await older.why("n")
            assert why.problem == "stuck"
            assert "the code here fits it: it goes on once a worker runs that" in why.sentence


async def test_code_that_would_fail_at_once(app: App) -> None:
    @workflow(name="note")
    async def broken(item: str) -> str:
        await orders.reserve(item)
        raise ZeroDivisionError("oops")

    await app.start(orders.note.options(id="n"), "desk")
    await settled(app, "n")
    known, app._workflows = app._workflows, {"note": broken}
    try:
        why = await app.why("n")
    finally:
        app._workflows = known
    assert why.problem == "disagrees"
    assert "today's code would fail it with ZeroDivisionError: oops" in why.sentence


async def test_the_apps_own_retry_policy_counts(anyio_backend: object) -> None:
    async with App("memory://", workflows=ALL, retry=Retry(attempts=9), drain=0) as app:
        await app.start(orders.mill.options(id="m"), "corn")
        assert (await app.why("m")).waiting_for[0].attempts == 9


async def test_unknown(app: App) -> None:
    with pytest.raises(InstanceNotFound, match="there is no instance 'x'"):
        await app.why("x")
