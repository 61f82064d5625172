"""How much is let in at once."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from perdure_adapters.asgi.body import Room
from perdure_adapters.asgi.problem import Problem
from perdure_adapters.asgi.turnstile import Turnstile


async def test_who_waits_is_let_in_in_turn_and_never_more_than_fit() -> None:
    turnstile = Turnstile(10)
    inside = most = 0
    order: list[int] = []

    async def enter(number: int, weight: int) -> None:
        nonlocal inside, most
        async with turnstile.pass_through(weight):
            order.append(number)
            inside += weight
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= weight

    async with anyio.create_task_group() as group, turnstile.pass_through(10):
        for number, weight in enumerate([4, 6, 100, 1, 1, 9, 10]):
            group.start_soon(enter, number, weight)
            await anyio.wait_all_tasks_blocked()
        assert order == []
    # Those that come in together do so in any order.
    assert [{*order[:2]}, order[2], {*order[3:5]}, *order[5:]] == [{0, 1}, 2, {3, 4}, 5, 6]
    assert most == 100  # alone
    async with turnstile.pass_through(10):  # and everything was given back
        pass


async def test_who_gives_up_does_not_keep_others_waiting() -> None:
    turnstile = Turnstile(10)
    entered: list[str] = []

    async def enter(name: str, weight: int) -> None:
        async with turnstile.pass_through(weight):
            entered.append(name)

    async with anyio.create_task_group() as group, turnstile.pass_through(5):
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as inner:
                inner.start_soon(enter, "heavy", 10)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(enter, "light", 5)
                await anyio.wait_all_tasks_blocked()
                assert entered == []
                impatient.cancel()
        await anyio.wait_all_tasks_blocked()
        assert entered == ["light"]
    async with turnstile.pass_through(100):
        pass


async def test_who_is_cancelled_while_being_called_gives_his_place_back() -> None:
    turnstile = Turnstile(10)
    async with anyio.create_task_group() as group:
        async with turnstile.pass_through(10):

            async def enter() -> None:
                async with turnstile.pass_through(10):
                    await anyio.sleep_forever()

            group.start_soon(enter)
            await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    with anyio.fail_after(60):
        async with turnstile.pass_through(10):
            pass


def test_a_room_has_its_bounds() -> None:
    room = Room(bytes=100, requests=2)
    with room.enter() as one, room.enter() as two:
        one.need(60)
        one.need(50)  # less than it has
        with pytest.raises(Problem) as caught:
            room.enter()
        assert caught.value.status == 429
        with pytest.raises(Problem) as caught:
            two.need(41)
        assert caught.value.status == 429
        two.need(40)
    with room.enter() as one:
        one.need(100)
