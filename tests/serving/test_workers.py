"""`perdure serve --workers`: several processes, one address."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from serving.client import Crowd, connected
from serving.processes import Server, Shop, shop, until

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])  # that of the clients

BROKEN = "raise RuntimeError('this deploy is broken')\n"


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_one_that_is_killed_is_replaced_and_nothing_is_lost(any_shop: Shop) -> None:
    server = any_shop.serve("--workers", "2")
    port = await server.serving(2)
    crowd, enough = Crowd(port, "order"), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.run, 8, enough)
        await until(lambda: len(crowd.accepted) > 20, "a load")
        os.kill(server.children[0], signal.SIGKILL)
        seen = len(crowd.accepted)
        await until(lambda: len(crowd.accepted) > seen + 50, "the other one goes on")
        await server.serving(3)
        enough.set()
    assert not gone(server.children[1]) and not gone(server.children[2])
    assert crowd.refused == []
    await until(lambda: set(crowd.accepted) <= any_shop.done(), f"all {len(crowd.accepted)} orders; {server.said}")
    assert await server.stop() == 0, server.said
    assert all(gone(pid) for pid in server.children)


@pytest.mark.parametrize("sqlite_shop", ["trio"], indirect=True)
async def test_sighup_replaces_them_and_nobody_notices(tmp_path: Path, sqlite_shop: Shop) -> None:
    module = tmp_path / "deployed.py"
    module.write_text("from serving.shop import app\n")
    server = sqlite_shop.serve("--workers", "2", target="deployed:app")
    port = await server.serving(2)
    crowd, enough = Crowd(port, "order", persistent=False), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.run, 2, enough)
        await until(lambda: crowd.accepted, "a load")
        server.signal(signal.SIGHUP)
        await until(lambda: "are replaced" in server.said, f"the new ones; {server.said}")
        enough.set()
    assert crowd.refused == []
    assert crowd.failed <= 4  # connections that an old one had taken, and not read from, when it ended
    assert len(server.children) == 4 and [gone(pid) for pid in server.children] == [True, True, False, False]
    module.write_text(BROKEN)
    server.signal(signal.SIGHUP)
    await until(lambda: "the old ones go on" in server.said, f"the complaint; {server.said}")
    assert "mend that first" in server.said
    async with connected(port) as client:
        assert (await client.place("last")).status == 202
    assert await server.stop() == 0, server.said


@pytest.mark.parametrize("sqlite_shop", ["asyncio"], indirect=True)
async def test_without_their_supervisor_they_end_in_order(sqlite_shop: Shop) -> None:
    server = sqlite_shop.serve("--workers", "1")
    port = await server.serving(1)
    async with connected(port) as client:
        assert (await client.place("order")).status == 202
    server.signal(signal.SIGKILL)
    await until(lambda: gone(server.children[0]), f"its end; {server.said}")
    await server.ended()
    assert "the supervisor" in server.said and "Traceback" not in server.said


@pytest.mark.parametrize("sqlite_shop", ["trio"], indirect=True)
async def test_ctrl_c_and_signals_to_all_of_them_are_one_request(sqlite_shop: Shop) -> None:
    """As a service manager sends SIGTERM to the children, too; that is not a second signal."""
    server = sqlite_shop.serve("--workers", "2", "--asgi", "serving.shop:composed", "--grace", "600")
    port = await server.serving(2)
    async with connected(port) as client:
        await client.stream.send(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        await until_waiting(port)
        server.signal(signal.SIGINT)
        for pid in server.children:
            with suppress(ProcessLookupError):  # the idle one may have ended by then
                os.kill(pid, signal.SIGTERM)
        await until(
            lambda: len([pid for pid in server.children if gone(pid)]) == 1, f"the idle one's end; {server.said}"
        )
        assert server.process.poll() is None
        server.signal(signal.SIGINT)
        assert await server.ended() == 0, server.said


async def until_waiting(port: int) -> None:
    while True:
        async with connected(port) as other:
            if (await other.get("/")).headers["x-waiting"] == "1":
                return
            await anyio.sleep(0.01)


async def test_ones_that_cannot_start_are_a_failure(tmp_path: Path) -> None:
    with shop(tmp_path, "postgresql://nobody@127.0.0.1:1/none", "asyncio") as one:
        server: Server = one.serve("--workers", "2")
        assert await server.ended() == 1, server.said
    assert server.children == [] and "Traceback" not in server.said
    assert [line for line in server.lines if line.startswith("perdure: ")] != [], server.said
