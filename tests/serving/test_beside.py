"""`app.run(beside)`: what runs while the app does."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from perdure import App, Stopping, UsageError


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
