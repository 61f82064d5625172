"""What the servers of these tests load. SHOP_URL, SHOP_EFFECTS, SHOP_DRAIN and SHOP_TIDYING say with what."""

from __future__ import annotations

import os
from typing import Any

import anyio

from perdure import App, activity, sleep, workflow
from perdure_adapters.asgi import ingress
from perdure_adapters.serving import server


@activity
async def note(order: str) -> None:
    """Leave a line: one write to a file opened for appending is not torn."""
    with open(os.environ["SHOP_EFFECTS"], "a") as file:  # noqa: ASYNC230  # it is as good as nothing
        file.write(f"{order}\n")


@activity
async def linger(order: str) -> None:
    await anyio.sleep(60)


@workflow(starts_on="order.placed")
async def fulfil(order: str) -> None:
    await sleep(1)  # longer than it takes to send the server a signal: most of the work is left to its successor
    await note(order)


@workflow(starts_on="order.pondered")
async def ponder(order: str) -> None:
    await note(order)
    await linger(order)


#: A server that stands still for a moment must not take that for clients that do not go.
server._TIDYING = float(os.environ.get("SHOP_TIDYING", server._TIDYING))

app = App(
    os.environ["SHOP_URL"],
    workflows=[fulfil, ponder],
    lease=2.0,
    drain=float(os.environ.get("SHOP_DRAIN", "5")),
    worker_id="shop",  # the same for all that load it
)

#: For Hypercorn's own command.
asgi = ingress(app, lifespan=True)


async def composed(scope: Any, receive: Any, send: Any) -> None:
    """For --asgi: the ingress below /events, /wait, which is never answered, and / to count who waits there."""
    global _waiting
    if scope["type"] == "http" and scope["path"] == "/wait":
        _waiting += 1
        await anyio.sleep_forever()
    elif scope["type"] == "http" and scope["path"].startswith("/events"):
        await _inner({**scope, "root_path": "/events"}, receive, send)
    elif scope["type"] == "http":
        headers = [(b"x-waiting", str(_waiting).encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


_inner = ingress(app)
_waiting = 0
