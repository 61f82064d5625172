"""What was answered with 202 survives kill -9, directly after the answer."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest

from asgi import serving
from asgi.shop import BATCH, STRUCTURED, WORKFLOWS, event, fulfil
from perdure import App


@pytest.mark.parametrize(
    ("url", "backend"), [("sqlite", "trio"), ("postgresql", "asyncio")], ids=["sqlite", "postgresql"], indirect=["url"]
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_kill_right_after_the_answer(url: str, backend: str, tmp_path: Path) -> None:
    orders = [event(str(n), type="order.created", data=n) for n in range(101)]
    with serving.listening() as one:
        base = f"http://127.0.0.1:{one.getsockname()[1]}"
        target = "asgi.served:asgi"
        # With -w 0 it has no child processes that would outlive it.
        with serving.process(target, one, "-w", "0", backend=backend, PERDURE_URL=url, PERDURE_LEASE="1") as server:
            async with httpx2.AsyncClient(base_url=base, timeout=60) as client:
                response = await client.post("/", json=orders[:-1], headers={"content-type": BATCH})
                last = await client.post("/", json=orders[-1], headers={"content-type": STRUCTURED})
            server.send_signal(signal.SIGKILL)
            assert response.status_code == last.status_code == 202
            assert server.wait(timeout=60) == -signal.SIGKILL
        taken = [*response.json()["events"], *last.json()["events"]]
        async with App(url, workflows=WORKFLOWS, worker=False) as app:
            assert not (await app.health()).worker
            with serving.process(target, one, "-w", "0", backend=backend, PERDURE_URL=url, PERDURE_LEASE="1") as server:
                results = [await app.handle(fulfil, one["started"][0]).result(timeout=60) for one in taken]
                assert results == list(range(101))
                async with httpx2.AsyncClient(base_url=base, timeout=60) as client:
                    again = await client.post("/", json=orders, headers={"content-type": BATCH})
                assert all(one["duplicate"] for one in again.json()["events"])
            assert len(await app.find(workflow="fulfil", limit=1000)) == 101


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_app_opens_and_closes_with_the_server(backend: str, sqlite_url: str) -> None:
    """As people start it: a main process with a child that serves."""
    with (
        serving.listening() as one,
        serving.process("asgi.served:asgi", one, backend=backend, PERDURE_URL=sqlite_url) as server,
    ):
        assert (await anyio.to_thread.run_sync(serving.ready, one.getsockname()[1]))["leases"] == 64
        server.send_signal(signal.SIGTERM)
        with anyio.fail_after(60):
            while server.poll() is None:
                await anyio.sleep(0.02)
        assert server.stdout is not None
        said = server.stdout.read()
        assert server.returncode == 0, said
        assert "Traceback" not in said
    async with App(sqlite_url, workflows=WORKFLOWS, worker=False) as app:
        census = await app._resources().store.census()
        assert not census.members  # it has left
