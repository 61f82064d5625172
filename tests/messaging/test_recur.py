"""recur: the next run has the same address and mailbox, and nothing else of the one before."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from messaging.watching import happened, kinds, rests, rows, until
from perdure import (
    App,
    InstanceNotFound,
    InvalidInput,
    UsageError,
    activity,
    activity_info,
    gather,
    info,
    race,
    receive,
    recur,
    sleep,
    subscribe,
    uuid4,
    wait_event,
    workflow,
)

begun: list[int] = []
stopped: list[int] = []


async def _all_stopped() -> bool:
    return len(stopped) == len(begun)


@activity
async def endless() -> None:
    begun.append(activity_info().run)
    try:
        await anyio.sleep_forever()
    finally:
        stopped.append(activity_info().run)


@workflow
async def counts(left: int, seen: list[Any]) -> list[Any]:
    message = await receive("count", int)
    seen = [*seen, [info().run, info().continued_from, message.data]]
    if left == 0:
        return seen
    return await recur(left - 1, seen=seen)


@workflow
async def leaves_things_behind(run: int) -> str:
    """A timer, a deadline and an activity of the first run; none may reach the second."""
    while run == 1:
        await race(a=endless(), b=sleep(0.3), c=_recur_when_told(2))
    try:
        return (await receive("never", str, timeout=0.6)).data
    except TimeoutError:
        return f"run {info().run} was left alone"


async def _recur_when_told(run: int) -> None:
    await receive("go")
    await recur(run)


@workflow
async def recurs_badly(number: int) -> list[str]:
    said = []
    for arguments in (("text",), (), (1, 2), (float("nan"),)):
        try:
            await recur(*arguments)
        except InvalidInput as error:
            said.append(str(error))
    try:
        await gather(sleep(30), _wrongly())
    except InvalidInput as error:
        said.append(str(error))
    return said


async def _wrongly() -> None:
    await recur("text")


@workflow
async def recurs_from_a_task(run: int) -> str:
    if run == 1:
        await gather(sleep(30), _at_once(), sleep(30))
    return f"run {run}"


async def _at_once() -> None:
    await sleep(0.01)
    await recur(2)


@workflow
async def has_chance(left: int, found: list[str]) -> list[str]:
    await sleep(0.001)
    found = [*found, str(uuid4())]
    if left == 0:
        return found
    return await recur(left - 1, found)


@workflow
async def is_restless(run: int) -> str:
    """Begins a new run again and again until it is told to stop."""
    try:
        await receive("stop", timeout=0.001)
    except TimeoutError:
        return await recur(run + 1)
    return "stopped"


@workflow
async def waits_for_events(found: list[str]) -> list[str]:
    event = await wait_event("tick", match={"clock": "mine"})
    found = [*found, event.id]
    if len(found) == 3:
        return found
    return await recur(found)


@workflow
async def subscribes_once(run: int, seen: list[int]) -> list[int]:
    if run == 1:
        await subscribe("news")
        await receive("go")
        await recur(2, [])
    seen = [*seen, (await receive("news", int)).data]
    return seen if len(seen) == 4 else await recur(run + 1, seen)


async def test_each_run_is_told_which_it_is_and_keeps_its_history(url: str) -> None:
    async with App(url, workflows=[counts]) as app:
        handle = await app.start(counts, 3, [])
        for number in range(4):
            await handle.send("count", number)
        seen = await handle.result(timeout=60)
        assert seen == [[n + 1, f"{handle.id}@{n}" if n else None, n] for n in range(4)]
        seen_from_outside = await handle.info()
        assert (seen_from_outside.run, seen_from_outside.continued_from) == (4, f"{handle.id}@3")
        assert seen_from_outside.status == "completed"
        for run in (1, 2, 3):
            assert await kinds(handle, run=run) == ["WorkflowStarted", "MessageReceived", "WorkflowContinued"]
        assert await kinds(handle) == await kinds(handle, run=4)
        assert (await kinds(handle))[-1] == "WorkflowCompleted"
        with pytest.raises(InstanceNotFound, match="run 5"):
            await handle.history(run=5)


async def test_timers_and_activities_end_with_their_run(url: str) -> None:
    begun.clear()
    stopped.clear()
    async with App(url, workflows=[leaves_things_behind]) as app:
        handle = await app.start(leaves_things_behind, 1)
        await handle.send("go", None)
        assert await handle.result(timeout=60) == "run 2 was left alone"
        await until(_all_stopped, "no activity goes on")
        assert stopped and set(stopped) == {1}
        assert (await kinds(handle)).count("TimerFired") == 1


async def test_bad_arguments_are_refused_at_the_call(url: str) -> None:
    async with App(url, workflows=[recurs_badly]) as app:
        handle = await app.start(recurs_badly, 1)
        said = await handle.result(timeout=60)
        assert len(said) == 5 and "number" in said[0]
        assert (await handle.info()).run == 1
    with pytest.raises(UsageError, match="perdure.recur"):
        await recur(1)


async def test_any_task_may_recur_and_all_end(url: str) -> None:
    async with App(url, workflows=[recurs_from_a_task]) as app:
        handle = await app.start(recurs_from_a_task, 1)
        assert await handle.result(timeout=60) == "run 2"


async def test_runs_follow_one_another_over_restarts_and_evictions(url: str) -> None:
    async with App(url, workflows=[has_chance, counts], max_resident=1) as app:
        handles = [await app.start(has_chance, 9, []) for _ in range(4)]
        results = [await handle.result(timeout=60) for handle in handles]
        assert len({one for result in results for one in result}) == 40
        waiting = await app.start(counts, 1, [])
        await waiting.send("count", 1)
        await happened(waiting, "WorkflowStarted")

        async def in_run_2() -> bool:
            return (await waiting.info()).run == 2

        await until(in_run_2, "the second run")
        await rests(waiting)
    async with App(url, workflows=[has_chance, counts]) as app:
        again = app.handle(counts, waiting.id)
        await again.send("count", 2)
        assert [number for _, _, number in await again.result(timeout=60)] == [1, 2]


async def test_a_message_to_one_that_keeps_recurring_arrives(url: str) -> None:
    async with App(url, workflows=[is_restless]) as app:
        handle = await app.start(is_restless, 1)

        async def running() -> bool:
            return (await handle.info()).run > 20

        await until(running, "some runs have passed")
        await handle.send("stop", None)
        assert await handle.result(timeout=60) == "stopped"
        assert await rows(app, "inbox") == 0


async def test_cancelling_one_that_keeps_recurring_ends_it(url: str) -> None:
    async with App(url, workflows=[is_restless]) as app:
        handle = await app.start(is_restless, 1)

        async def running() -> bool:
            return (await handle.info()).run > 20

        await until(running, "some runs have passed")
        await handle.cancel()

        async def cancelled() -> bool:
            return (await handle.info()).status == "cancelled"

        await until(cancelled, "it is cancelled")


async def test_events_are_given_once_over_all_runs(url: str) -> None:
    async with App(url, workflows=[waits_for_events]) as app:
        for number in range(3):
            await app.deliver({"id": f"e{number}", "source": "/clock", "type": "tick", "data": {"clock": "mine"}})
        handle = await app.start(waits_for_events, [])
        assert sorted(await handle.result(timeout=60)) == ["e0", "e1", "e2"]
        assert (await handle.info()).run == 3


async def test_unread_messages_and_subscriptions_move_along(url: str) -> None:
    async with App(url, workflows=[subscribes_once]) as app:
        handle = await app.start(subscribes_once, 1, [])
        await happened(handle, "Subscribed")
        await app.publish("news", 0)
        await app.publish("news", 1)
        await rests(handle)
    async with App(url, workflows=[subscribes_once]) as app:
        again = app.handle(subscribes_once, handle.id)
        await again.send("go", None)
        await app.publish("news", 2)
        await app.publish("news", 3)
        assert await again.result(timeout=60) == [0, 1, 2, 3]
        assert (await again.info()).run == 5
