"""`app.run(beside)`: what runs while the app does."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import anyio
import pytest

from perdure import App, Stopping, UsageError, stopping


async def test_it_ends_before_the_app_and_a_second_signal_cuts_it_off() -> None:
    app = App("memory://beside", workflows=[])
    log: list[str] = []

    async def beside(stopping: Stopping) -> None:
        await app.find()  # it is open
        os.kill(os.getpid(), signal.SIGTERM)
        await stopping.asked.wait()
        log.append("asked")
        await app.find()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cut off")

    await app.run(beside)
    assert log == ["asked", "cut off"]
    with pytest.raises(UsageError, match="not open"):
        await app.find()


@pytest.mark.parametrize(
    ("again", "seconds", "hurries"),
    [(signal.SIGTERM, 3600.0, False), (signal.SIGINT, 3600.0, True), (signal.SIGTERM, 0.0, True)],
)
async def test_a_signal_that_comes_twice_at_once_is_one(
    again: signal.Signals, seconds: float, hurries: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `timeout` sends it: to the process, and to its group."""
    monkeypatch.setattr(stopping, "_ECHO", seconds)
    told = Stopping()

    async def signals() -> AsyncIterator[signal.Signals]:
        yield signal.SIGTERM
        assert told.asked.is_set() and not told.hurried.is_set()
        yield again

    await told.listen(signals())
    assert told.hurried.is_set() is hurries


async def test_the_app_closes_when_it_returns() -> None:
    app = App("memory://beside", workflows=[])

    async def beside(stopping: Stopping) -> None:
        assert not stopping.asked.is_set()

    await app.run(beside)
    with pytest.raises(UsageError, match="not open"):
        await app.find()


async def test_a_worker_is_named_before_it_works() -> None:
    app = App("memory://beside", workflows=[], worker_id="a")
    app.worker_id = f"{app.worker_id}-1"
    async with app:
        assert app.worker_id == "a-1"
        with pytest.raises(UsageError, match="before opening it"):
            app.worker_id = "b"
