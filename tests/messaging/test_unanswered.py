"""Who asks somebody that ends without an answer is told so."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from messaging.watching import emptied, ended, happened, rests, rows, until
from perdure import (
    App,
    InstanceEnded,
    InstanceNotFound,
    Workflow,
    WorkflowCancelled,
    receive,
    recur,
    sleep,
    spawn,
    subscribe,
    workflow,
)
from perdure.ports import Outcome, Unit


@workflow
async def never_answers(how: str) -> str:
    """Ends when told to, with a question received, or not even that."""
    if how == "received":
        await receive("question")
    await receive("end")
    if how == "fails":
        raise LookupError("no answer")
    return how


@workflow
async def forgets_on_recur(run: int) -> None:
    if run == 1:
        await receive("question")
        await recur(2)
    await receive("end")


@pytest.mark.parametrize("how", ["unread", "received", "fails", "cancelled"])
async def test_who_ends_without_an_answer_says_so(url: str, how: str) -> None:
    async with App(url, workflows=[never_answers]) as app:
        handle = await app.start(never_answers, how)
        await rests(handle)
        said: list[BaseException] = []

        async def ask() -> None:
            try:
                await handle.ask("question", 1, timeout=60)
            except InstanceEnded as error:
                said.append(error)

        async def asked() -> bool:
            return await rows(app, "asks") == 1

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(asked, "the question is on its way")
            if how == "received":
                await happened(handle, "MessageReceived")
            if how == "cancelled":
                await handle.cancel()
            else:
                await handle.send("end", None)
        assert len(said) == 1 and handle.id in str(said[0])
        await emptied(app, "asks")
        await emptied(app, "inbox")
        await ended(handle, {"fails": "failed", "cancelled": "cancelled"}.get(how, "completed"))
        with pytest.raises(InstanceEnded):
            await handle.ask("question", 1)
        with pytest.raises(InstanceNotFound):
            await app.handle(never_answers, "nobody").ask("question", 1)


async def test_a_received_question_ends_with_its_run(url: str) -> None:
    async with App(url, workflows=[forgets_on_recur]) as app:
        handle = await app.start(forgets_on_recur, 1)
        with pytest.raises(InstanceEnded):
            await handle.ask("question", 1, timeout=60)


@workflow
async def answers_late() -> int:
    await subscribe("first")
    await subscribe("second")
    question = await receive("question", int)
    await question.reply(question.data)
    return question.data


async def test_a_question_that_is_given_up_before_it_is_kept_does_not_go_round_in_circles(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read, put off and received in one turn, and its row is gone: nothing was kept that could be missing."""
    async with App(url, workflows=[answers_late]) as app:
        resources = app._resources()
        store = resources.store
        commit, given_up = store.commit, anyio.Event()

        async def held_up(
            units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
        ) -> Sequence[Outcome]:
            if any(row[1] == "Subscribed" for unit in units for row in unit.events):
                await given_up.wait()
            return await commit(units, commit_id, again=again, wait=wait)

        monkeypatch.setattr(store, "commit", held_up)
        handle = await app.start(answers_late)

        async def read() -> bool:
            assert resources.worker is not None
            actor = resources.worker.parts.residents.get(handle.id)
            return actor is not None and actor.flight is not None and bool(actor.mailbox)

        async def ask() -> None:
            with asking:
                await handle.ask("question", 7)

        asking = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(read, "the question is read")
            asking.cancel()
        await emptied(app, "asks")
        given_up.set()
        assert await handle.result(timeout=60) == 7
        await emptied(app, "inbox")


def changing(changed: bool) -> Workflow[[], None]:
    """The same workflow, before and after a change that its instances do not survive."""

    @workflow
    async def changes() -> None:
        if changed:
            await sleep(1)
        await spawn(never_answers.options(id="attached"), "attached")
        await spawn(never_answers.options(id="detached", detached=True), "detached")
        await receive("question")
        await receive("end")

    return changes


async def test_a_stuck_instance_that_is_cancelled_leaves_nothing_behind(url: str) -> None:
    """Its code cannot run, but its stream tells of its children, and of what it was asked."""
    said: list[BaseException] = []
    before, after = changing(False), changing(True)
    async with App(url, workflows=[never_answers], worker=False) as client, anyio.create_task_group() as group:
        stuck = client.handle("changes", "stuck")

        async def ask() -> None:
            try:
                await stuck.ask("question", 1, timeout=60)
            except InstanceEnded as error:
                said.append(error)

        async with App(url, workflows=[before]) as app:
            await app.start(before.options(id="stuck"))
            group.start_soon(ask)
            await happened(stuck, "MessageReceived")
        async with App(url, workflows=[after]):
            await stuck.send("end", None)  # else nobody looks at it
            await ended(stuck, "stuck")
            await stuck.cancel(reason="enough")
            for handle in (stuck, client.handle(never_answers, "attached")):
                with pytest.raises(WorkflowCancelled):
                    await handle.result(timeout=60)
            detached = client.handle(never_answers, "detached")
            await detached.send("end", None)
            assert await detached.result(timeout=60) == "detached"
    assert len(said) == 1
