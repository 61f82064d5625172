"""A deadline beyond what is kept in memory is met, whoever has been evicted meanwhile."""

from __future__ import annotations

from messaging.watching import happened, until
from perdure import App, Handle, receive, subscribe, workflow
from perdure.worker.settings import Parts


@workflow
async def gives_up(mode: str) -> str:
    if mode == "competing":
        await subscribe("tasks", mode="competing")
    try:
        await receive("tasks", timeout=0.5)
    except TimeoutError:
        return "late"
    return "received"


async def test_an_evicted_receiver_gives_up_in_time(url: str) -> None:
    app = App(url, workflows=[gives_up], max_resident=1)
    app._parts = Parts(window=0.1)  # seconds of the future that are kept in memory
    async with app:
        handles = [await app.start(gives_up, mode) for mode in ("direct", "competing") * 3]
        for handle in handles[1::2]:
            await happened(handle, "Subscribed")
        for handle in handles:

            async def settled(handle: Handle[str] = handle) -> bool:
                return (await handle.info()).status in ("waiting", "completed")

            await until(settled, "it waits, or has waited")
        assert [await handle.result(timeout=60) for handle in handles] == ["late"] * 6
