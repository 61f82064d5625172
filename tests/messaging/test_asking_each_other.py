"""Questions between workflows: typed, durable, withdrawn when nobody waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.watching import emptied, ended, happened, rests
from perdure import App, InstanceEnded, InstanceNotFound, InvalidInput, Workflow, race, receive, sleep, workflow
from perdure.handle import Handle

apps: list[App] = []


def other(id: str) -> Handle[Any]:
    """A handle as application code would hand it in: made once, used in any life."""
    return apps[-1].handle("answers", id)


@workflow
async def answers(count: int) -> list[Any]:
    """Answers when told to; gives what it was asked."""
    found: list[Any] = []
    for _ in range(count):
        question = await receive("question")
        found.append([question.data, question.sender])
        await receive("go")
        await question.reply({"double": 2 * question.data})
    return found


@workflow
async def ends_early(how: str) -> None:
    if how == "received":
        await receive("question")
    await receive("end")


lives: list[list[Any]] = []


@workflow
async def asks(id: str, number: int) -> list[Any]:
    notes: list[Any] = []
    lives.append(notes)
    notes.append(await other(id).ask("question", number, dict[str, int]))
    await receive("go")
    return notes


@workflow
async def asks_briefly(id: str) -> list[str]:
    found: list[str] = []
    try:
        await other(id).ask("question", 1, timeout=0.05)
    except TimeoutError as error:
        found.append(f"late: {error}")
    winner = await race(answer=other(id).ask("question", 2), clock=sleep(0.05))
    found.append(winner.label)
    return found


@workflow
async def asks_until_told(id: str) -> str:
    return (await race(answer=other(id).ask("question", 1), told=receive("enough"))).label


@workflow
async def asks_the_ending(id: str) -> str:
    try:
        await other(id).ask("question", 1)
    except InstanceEnded as error:
        return f"ended: {error}"
    except InstanceNotFound as error:
        return f"unknown: {error}"
    return "answered"


@workflow
async def asks_for_another_type(id: str) -> str:
    try:
        await other(id).ask("question", 1, list[str])
    except InvalidInput as error:
        return str(error)
    return "taken"


ALL: list[Workflow[..., Any]] = [
    answers,
    ends_early,
    asks,
    asks_briefly,
    asks_until_told,
    asks_the_ending,
    asks_for_another_type,
]


async def test_an_answer_is_the_same_in_every_life(url: str) -> None:
    lives.clear()
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        target = await app.start(answers, 1)
        asker = await app.start(asks, target.id, 4)
        await happened(target, "MessageReceived")
        await rests(asker)
    async with App(url, workflows=ALL) as app:  # the question is received, and not answered yet
        apps[:] = [app]
        await app.handle(answers, target.id).send("go", None)
        assert await app.handle(answers, target.id).result(timeout=60) == [[4, asker.id]]
        await happened(app.handle(asks, asker.id), "QuestionAnswered")
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        await app.handle(asks, asker.id).send("go", None)
        assert await app.handle(asks, asker.id).result(timeout=60) == [{"double": 8}]
        await emptied(app, "inbox")
    assert lives[-1] == [{"double": 8}]


async def test_an_evicted_asker_is_answered(url: str) -> None:
    async with App(url, workflows=ALL, max_resident=1) as app:
        apps[:] = [app]
        targets = [await app.start(answers, 1) for _ in range(4)]
        askers = [await app.start(asks, target.id, number) for number, target in enumerate(targets)]
        for target in targets:
            await happened(target, "MessageReceived")
        for target, asker in zip(targets, askers, strict=True):
            await target.send("go", None)
            await asker.send("go", None)
        assert [await asker.result(timeout=60) for asker in askers] == [[{"double": 2 * n}] for n in range(4)]


async def test_a_question_nobody_waits_for_is_taken_back(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        target = await app.start(ends_early, "unread")
        late, label = await (await app.start(asks_briefly, target.id)).result(timeout=60)
        assert late.startswith("late:") and "question" in late
        assert label == "clock"
        await emptied(app, "inbox")
        await target.send("end", None)
        await target.result(timeout=60)


async def test_an_answer_that_comes_too_late_is_dropped(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        target = await app.start(answers, 1)
        asker = await app.start(asks_until_told, target.id)
        await happened(target, "MessageReceived")
        await asker.send("enough", None)
        assert await asker.result(timeout=60) == "told"
        await target.send("go", None)
        assert (await target.result(timeout=60))[0][1] == asker.id
        await emptied(app, "inbox")


@pytest.mark.parametrize("how", ["unread", "received", "cancelled"])
async def test_an_asker_hears_that_there_will_be_no_answer(url: str, how: str) -> None:
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        target = await app.start(ends_early, how)
        await rests(target)
        asker = await app.start(asks_the_ending, target.id)
        await happened(asker, "QuestionAsked")
        if how == "received":
            await happened(target, "MessageReceived")
        if how == "cancelled":
            await target.cancel()
            await ended(target, "cancelled")
        else:
            await rests(target)
            await target.send("end", None)
        said = await asker.result(timeout=60)
        assert said.startswith("ended:") and target.id in said
        await emptied(app, "inbox")


@pytest.mark.parametrize(("who", "said"), [("somebody who has ended", "ended:"), ("nobody", "unknown:")])
async def test_an_asker_of_somebody_who_is_not_there_hears_of_it(url: str, who: str, said: str) -> None:
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        target = await app.start(ends_early.options(id="somebody who has ended"), "at once")
        await target.send("end", None)
        await target.result(timeout=60)
        asker = await app.start(asks_the_ending, who)
        answer = await asker.result(timeout=60)
        assert answer.startswith(said) and who in answer


async def test_an_answer_of_another_type_is_refused(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        apps[:] = [app]
        target = await app.start(answers, 1)
        asker = await app.start(asks_for_another_type, target.id)
        await target.send("go", None)
        assert "question" in await asker.result(timeout=60)
