"""A shop that hears of orders and payments over HTTP, as CloudEvents: from a sender that says everything twice.

    python examples/front_desk.py [DATABASE]

It needs the extra perdure[asgi], and Hypercorn and httpx2. The sender is in this program. Kill it at any moment and run
it again: each order is one instance, and each payment counts once. Delete the database (front_desk.db, unless you named
one) to begin anew.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
from hypercorn import Config
from hypercorn.asyncio import serve

from perdure import App, activity, wait_event, workflow
from perdure_adapters.asgi import hmac_signature, ingress


@dataclass(frozen=True)
class Payment:
    order: str
    cents: int


@activity
async def pack(order: str, item: str) -> str:
    say(f"{order}: packing a {item}")
    await anyio.sleep(0.2)
    return f"a box with a {item}"


@workflow(starts_on="order.created")
async def sell(order: str, item: str) -> str:
    paid = await wait_event("payment.completed", Payment, match={"order": order}, timeout=60)
    return f"{await pack(order, item)}, paid with {paid.data.cents / 100:.2f}"


signature = hmac_signature("a secret of sender and shop")  # in earnest from the environment


def event(kind: str, order: str, data: dict[str, object]) -> dict[str, object]:
    return {"specversion": "1.0", "type": kind, "source": "/counter", "id": f"{kind}-{order}", "data": data}


async def send(client: httpx2.AsyncClient, sent: dict[str, object]) -> dict[str, Any]:
    """Until it is taken. What is answered with 202 is in the database."""
    headers = {"content-type": "application/cloudevents+json"}
    while True:
        request = client.build_request("POST", "/", json=sent, headers=headers)
        request.headers.update(signature.sign(request.content, headers=headers))
        response = await client.send(request)
        if response.status_code == 202:
            taken: dict[str, Any] = response.json()["events"][0]
            return taken
        if not response.json()["retryable"]:
            raise ValueError(response.json()["detail"])
        await anyio.sleep(float(response.headers["retry-after"]))


@asynccontextmanager
async def desk(app: App) -> AsyncGenerator[str]:
    """Serve; the URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # Hypercorn closes it
    config.accesslog = config.errorlog = None
    stop = anyio.Event()
    async with app, anyio.create_task_group() as group:

        async def run() -> None:
            asgi: Any = ingress(app, authenticate=signature)
            await serve(asgi, config, shutdown_trigger=stop.wait)

        group.start_soon(run)
        yield f"http://127.0.0.1:{port}"
        stop.set()


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "front_desk.db"
    orders = {"order-1": "desk", "order-2": "lamp", "order-3": "rug"}
    app = App(f"sqlite:///{database}", workflows=[sell], lease=2.0)
    async with desk(app) as url, httpx2.AsyncClient(base_url=url) as client:
        for order, item in orders.items():
            created = event("order.created", order, {"order": order, "item": item})
            paid = event("payment.completed", order, {"order": order, "cents": 100 * len(item)})
            for sent in (paid, created, created, paid):  # a payment may be faster than its order
                taken = await send(client, sent)
                say(f"{sent['id']}: {'known' if taken['duplicate'] else 'taken'}")
        for row in sorted(await app.find(workflow="sell"), key=lambda row: row.created_at):
            say(f"sold: {await app.handle(sell, row.instance_id).result(timeout=60)}")


if __name__ == "__main__":
    anyio.run(main)
