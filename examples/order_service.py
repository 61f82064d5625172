"""Orders taken by the tools of a language model: a workflow behind an MCP server.

    python examples/order_service.py [DATABASE]
    python examples/order_service.py DATABASE --stdio

It needs the extra perdure[mcp], and Hypercorn. The first serves over HTTP to a client that is in this program, and does
what a model would do. Kill it at any moment and run it again: each order is one instance, whatever is asked twice. The
second is for the configuration of a program that has a model, which starts it and talks to it over stdin and stdout.
Delete the database (order_service.db, unless you named one) to begin anew.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from hypercorn import Config
from hypercorn.asyncio import serve
from mcp import Client
from mcp_types import CallToolResult, TextContent

from perdure import App, TerminalError, activity, workflow
from perdure_adapters.mcp import MCPServer


@dataclass(frozen=True)
class Order:
    """What somebody buys, and with which card."""

    item: str
    cents: int
    card: str


@dataclass(frozen=True)
class Receipt:
    item: str
    payment: str
    parcel: str


@activity
async def reserve(item: str) -> None:
    say(f"reserving a {item}")
    await anyio.sleep(0.2)


@reserve.compensation
async def release(item: str) -> None:
    say(f"putting the {item} back")


@activity
async def charge(order: Order) -> str:
    if order.card == "empty":
        raise TerminalError("the card was declined")
    await anyio.sleep(0.3)
    return f"{order.cents / 100:.2f} from {order.card}"


@activity
async def pack(item: str) -> str:
    say(f"packing a {item}")
    await anyio.sleep(0.2)
    return f"a box with a {item}"


@workflow
async def sell(order: Order) -> Receipt:
    """Sell something: reserve it, charge the card, and pack it.

    Args:
        order: What is sold.
    """
    await reserve(order.item)
    payment = await charge(order)
    return Receipt(order.item, payment, await pack(order.item))


def offered(app: App) -> MCPServer:
    server = MCPServer(app, name="orders", version="1.0", instructions="Sells things. Each order needs an id.")
    server.register(sell)
    return server


@asynccontextmanager
async def service(app: App) -> AsyncGenerator[str]:
    """Serve over HTTP; the URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # Hypercorn closes it
    config.accesslog = config.errorlog = None
    stop = anyio.Event()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            asgi: Any = offered(app).asgi(lifespan=True)
            await serve(asgi, config, shutdown_trigger=stop.wait)

        group.start_soon(run)
        yield f"http://127.0.0.1:{port}/mcp"
        stop.set()


async def result_of(client: Client, id: str) -> str:
    """Asked until there is one."""

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        say(f"{id}: step {progress:g}, {message}, is done")

    while True:
        asking = {"instance_id": id, "wait": 10}
        result = await client.call_tool("sell_result", asking, progress_callback=progress)
        later = (result.meta or {}).get("retryAfterMs")
        if later is None:
            return said(result)
        await anyio.sleep(later / 1000)


def said(result: CallToolResult) -> str:
    if not result.is_error:
        return str(result.structured_content)
    (content,) = result.content
    return content.text if isinstance(content, TextContent) else ""


def say(text: str) -> None:
    print(text, flush=True)


async def use(app: App) -> None:
    orders = {
        "order-1": {"item": "desk", "cents": 42_900, "card": "visa"},
        "order-2": {"item": "lamp", "cents": 5_900, "card": "empty"},
    }
    async with service(app) as url, Client(url) as client:
        say(f"tools: {', '.join(tool.name for tool in (await client.list_tools()).tools)}")
        for id, order in orders.items():
            started = await client.call_tool("sell_start", {"order": order, "instance_id": id})
            say(f"started: {said(started)}")
        for id in orders:
            say(f"{id}: {await result_of(client, id)}")


async def main() -> None:
    database = next((word for word in sys.argv[1:] if not word.startswith("--")), "order_service.db")
    app = App(f"sqlite:///{database}", workflows=[sell], lease=1.0)
    if "--stdio" not in sys.argv:
        await use(app)
        return
    async with app:
        await offered(app).run_stdio()  # what is printed meanwhile goes to stderr


if __name__ == "__main__":
    anyio.run(main)
