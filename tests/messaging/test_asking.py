"""A question is answered once, or its asker is told that it will not be; and nothing of it stays behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from messaging.test_unanswered import never_answers
from messaging.watching import emptied, happened, rests, rows, until
from perdure import (
    App,
    InstanceEnded,
    InvalidInput,
    Message,
    UsageError,
    WorkflowCancelled,
    messages,
    receive,
    recur,
    workflow,
)


@dataclass
class Total:
    count: int
    sum: int


@workflow
async def sums() -> int:
    """Answers with the total so far, until it is asked with None."""
    total = Total(0, 0)
    async for message in messages("add", int | None):
        if message.data is None:
            await message.reply(total)
            break
        total = Total(total.count + 1, total.sum + message.data)
        await message.reply(total)
    return total.count


@workflow
async def answers_when_told() -> None:
    question = await receive("question")
    await receive("go")
    await question.reply(f"about {question.data}")


@workflow
async def answers_in_the_next_run(run: int) -> str:
    if run == 1:
        await receive("go")
        await recur(2)
    question = await receive("question")
    await question.reply("at last")
    return "answered"


@workflow
async def answers_twice() -> list[str]:
    said: list[str] = []
    plain = await receive("plain")
    question = await receive("question")
    for message in (plain, question, question):
        try:
            await message.reply(1)
        except UsageError as error:
            said.append(str(error))
    return said


@workflow
async def answers_badly() -> str:
    question: Message[Any] = await receive("question")
    try:
        await question.reply(object())
    except InvalidInput as error:
        await question.reply("better")
        return str(error)
    return "taken"


async def test_answers_are_typed_and_each_question_gets_its_own(url: str) -> None:
    async with App(url, workflows=[sums]) as app:
        handle = await app.start(sums)
        found: list[Total] = []

        async def ask(number: int) -> None:
            found.append(await handle.ask("add", number, Total, timeout=60))

        async with anyio.create_task_group() as group:
            for number in range(1, 11):
                group.start_soon(ask, number)
        assert sorted(one.count for one in found) == list(range(1, 11))
        assert max(one.sum for one in found) == 55
        with pytest.raises(InvalidInput):
            await handle.ask("add", 1, str, timeout=60)
        assert await handle.ask("add", timeout=60) == {"count": 11, "sum": 56}
        assert await handle.result(timeout=60) == 11
        await emptied(app, "asks")
        await emptied(app, "inbox")


async def test_a_client_asks_a_worker_elsewhere(url: str) -> None:
    async with App(url, workflows=[sums]) as app, App(url, workflows=[], worker=False) as client:
        id = (await app.start(sums)).id
        asking = client.handle("sums", id)
        for number in (1, 2):
            assert await asking.ask("add", 1, Total, timeout=60) == Total(number, number)


async def test_a_timeout_leaves_nothing_behind(url: str) -> None:
    async with App(url, workflows=[never_answers]) as app:
        handle = await app.start(never_answers, "unread")
        await rests(handle)
        with pytest.raises(TimeoutError, match="question"):
            await handle.ask("question", 1, timeout=0.05)
        with anyio.move_on_after(0.05):
            await handle.ask("question", 2)
        assert await rows(app, "asks") == 0
        assert await rows(app, "inbox") == 0
        await handle.send("end", None)
        assert await handle.result(timeout=60) == "unread"


async def test_who_gave_up_and_was_received_all_the_same_leaves_nothing(url: str) -> None:
    async with App(url, workflows=[answers_when_told]) as app:
        handle = await app.start(answers_when_told)
        async with anyio.create_task_group() as group:
            group.start_soon(handle.ask, "question", 1)
            await happened(handle, "MessageReceived")
            group.cancel_scope.cancel()
        await handle.send("go", None)
        await handle.result(timeout=60)
        assert await rows(app, "asks") == 0
        await emptied(app, "inbox")


async def test_the_same_id_is_one_question(url: str) -> None:
    async with App(url, workflows=[sums]) as app:
        handle = await app.start(sums)
        found: list[Total] = []

        async def ask() -> None:
            found.append(await handle.ask("add", 5, Total, timeout=60, id="one"))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        assert found == [Total(1, 5)] * 3
        assert await handle.ask("add", 5, Total, timeout=60, id="two") == Total(2, 10)
        await handle.cancel()
        with pytest.raises(WorkflowCancelled):
            await handle.result(timeout=60)
        assert await handle.ask("add", 5, Total, timeout=60, id="one") == Total(1, 5)  # whose answer got lost, say
        with pytest.raises(InstanceEnded):
            await handle.ask("add", 5, Total, timeout=60, id="three")


async def test_an_answer_given_after_a_restart_arrives(url: str) -> None:
    async with App(url, workflows=[], worker=False) as client:
        found: list[str] = []

        async def ask(id: str) -> None:
            found.append(await client.handle("answers_when_told", id).ask("question", 7, str, timeout=60))

        async with anyio.create_task_group() as group:
            async with App(url, workflows=[answers_when_told]) as app:
                handle = await app.start(answers_when_told)
                group.start_soon(ask, handle.id)
                await happened(handle, "MessageReceived")
            async with App(url, workflows=[answers_when_told]) as app:
                again = app.handle(answers_when_told, handle.id)
                await again.send("go", None)
                await again.result(timeout=60)
        assert found == ["about 7"]


async def test_an_unread_question_moves_along_to_the_next_run(url: str) -> None:
    async with App(url, workflows=[answers_in_the_next_run]) as app:
        handle = await app.start(answers_in_the_next_run, 1)

        async def go() -> None:
            await until(lambda: rows(app, "inbox"), "the question is kept")
            await handle.send("go", None)

        async with anyio.create_task_group() as group:
            group.start_soon(go)
            assert await handle.ask("question", 1, str, timeout=60) == "at last"
        assert (await handle.info()).run == 2


async def test_reply_is_for_questions_and_once(url: str) -> None:
    async with App(url, workflows=[answers_twice, answers_badly]) as app:
        handle = await app.start(answers_twice)
        await handle.send("plain", None)
        assert await handle.ask("question", None, int, timeout=60) == 1
        plain, again = await handle.result(timeout=60)
        assert "no reply" in plain and "already" in again
        careless = await app.start(answers_badly)
        assert await careless.ask("question", timeout=60) == "better"
        assert "question" in await careless.result(timeout=60)
        for wrong in (object(), "\ud800", float("nan")):
            with pytest.raises(InvalidInput):
                await careless.ask("question", wrong)
