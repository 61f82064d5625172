"""What is sent is what is received: by value, typed, the same live and on replay."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from messaging.watching import happened, rests
from perdure import App, InvalidInput, WorkflowFailed, receive, subscribe, workflow


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Line:
    item: str
    price: Decimal
    colour: Colour | None = None


@dataclass
class Cup:
    size: int


@dataclass
class Order:
    id: int
    lines: list[Line]
    at: datetime


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    items: list[T]
    named: dict[str, T] | None = None


LINE = Line("tea", Decimal("1.50"), Colour.RED)
ORDER = Order(7, [LINE, Line("cup", Decimal(2))], datetime(2026, 1, 2, tzinfo=UTC))
seen: list[list[Any]] = []


@workflow
async def reads_types() -> bool:
    notes: list[Any] = []
    seen.append(notes)
    notes.append((await receive("box", Order)).data)
    notes.append((await receive("box", Order | Line | Cup)).data)
    notes.append((await receive("box", list[Cup] | None)).data)
    notes.append((await receive("box", bytes)).data)
    notes.append((await receive("box", int | str | None)).data)
    notes.append((await receive("box", int | str | None)).data)
    notes.append((await receive("box", None)).data)
    notes.append((await receive("box", Literal["a", "b"])).data)
    notes.append((await receive("box", dict[str, list[UUID]])).data)
    notes.append((await receive("box", Box[Line])).data)
    notes.append((await receive("box")).data)
    await receive("go")
    return True


@workflow
async def is_strict() -> list[Any]:
    """A message of the wrong type is an error where it is received; it is received all the same."""
    await subscribe("box")
    found: list[Any] = []
    for _ in range(3):
        try:
            found.append((await receive("box", int)).data)
        except InvalidInput as error:
            found.append(f"refused: {error}")
    return found


@workflow
async def is_careless() -> int:
    return (await receive("box", int)).data


async def test_typed_data_and_bytes_are_the_same_in_every_life(url: str) -> None:
    seen.clear()
    sent = [
        ORDER,
        Cup(2),
        [Cup(1), Cup(2)],
        b"\x00\xff\x80",
        3,
        "three",
        None,
        "b",
        {"ids": [UUID(int=5)]},
        Box([LINE], {"a": LINE}),
        [1, {"deep": [None, 1.5]}],
    ]
    async with App(url, workflows=[reads_types]) as app:
        handle = await app.start(reads_types)
        for one in sent:
            await handle.send("box", one)
        await happened(handle, "MessageReceived", len(sent))
        await rests(handle)
    async with App(url, workflows=[reads_types]) as app:
        again = app.handle(reads_types, handle.id)
        await again.send("go", None)
        assert await again.result(timeout=60)
    assert seen == [sent, sent]


async def test_what_is_changed_after_sending_does_not_change_the_message(url: str) -> None:
    async with App(url, workflows=[is_strict]) as app:
        handle = await app.start(is_strict)
        await happened(handle, "Subscribed")
        changing: list[Any] = [1]
        await handle.send("box", changing)
        changing.append(2)
        await app.publish("box", 3)
        await handle.send("box", True)
        first, second, third = await handle.result(timeout=60)
        assert first.startswith("refused:") and "box" in first
        assert second == 3
        assert third.startswith("refused:")


async def test_a_message_of_the_wrong_type_fails_who_does_not_expect_it(url: str) -> None:
    async with App(url, workflows=[is_careless]) as app:
        handle = await app.start(is_careless)
        await handle.send("box", "seven")
        try:
            await handle.result(timeout=60)
        except WorkflowFailed as failed:
            assert isinstance(failed.error, InvalidInput)
            assert "box" in str(failed.error)
        else:
            raise AssertionError("it took text for a number")
