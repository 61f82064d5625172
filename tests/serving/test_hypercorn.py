"""The ingress under Hypercorn's own command, where it opens the app itself."""

from __future__ import annotations

import re

import anyio
import pytest

from serving.client import connected
from serving.processes import Shop, until

_RUNNING = re.compile(r"Running on http://127\.0\.0\.1:(\d+)")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # that of the client
async def test_it_serves_and_drains(sqlite_shop: Shop) -> None:
    command = ["hypercorn", "-k", sqlite_shop.backend, "--bind", "127.0.0.1:0", "serving.shop:asgi"]
    server = sqlite_shop.start(command)
    await until(lambda: _RUNNING.search(server.said) or server.process.poll() is not None, "the port")
    found = _RUNNING.search(server.said)
    assert found, server.said
    async with connected(int(found[1])) as client:
        while (await client.get("/health/ready")).status != 200:
            await anyio.sleep(0.05)
        assert (await client.place("order")).status == 202
    await until(lambda: "order" in sqlite_shop.done(), "the order")
    assert await server.stop() == 0, server.said
    assert "Traceback" not in server.said
