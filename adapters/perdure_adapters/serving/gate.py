"""What stands between the server and the application: it counts requests, turns them away, and cuts them off."""

from __future__ import annotations

import json
import math
from typing import Any

import anyio

from perdure_adapters.serving.asgi import ASGIApp, Message, Receive, Scope, Send
from perdure_adapters.serving.limits import Limits

_READY = "/health/ready"
_HEALTH = ("/health/live", _READY)
#: Seconds to tell a client that its request has been cut off.
_LAST_WORDS = 1.0


class Gate:
    """The ASGI application that the server sees.

    It holds the only bound on how long requests take to end: not all versions of the server keep theirs.
    """

    def __init__(self, app: ASGIApp, limits: Limits, state: dict[str, Any]) -> None:
        self._app = app
        self._limits = limits
        self._state = state
        self._draining = False
        self._deadline = math.inf
        self._requests: set[anyio.CancelScope] = set()
        self._changed = anyio.Event()

    def drain(self) -> None:
        """Requests are served, but readiness is denied, and clients are asked for their next connection."""
        self._draining = True

    def close(self, grace: float) -> None:
        """Requests, also those that are just coming in, have `grace` seconds; called again, perhaps less."""
        self._draining = True
        self._deadline = min(self._deadline, anyio.current_time() + grace)
        for scope in self._requests:
            scope.deadline = min(scope.deadline, self._deadline)

    async def emptied(self) -> None:
        """When no request is under way. Once there is no grace any more, none comes."""
        while self._requests:
            await self._changed.wait()

    async def entered(self) -> None:
        """When a request is under way."""
        while not self._requests:
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # the application's own is run elsewhere
            await _lifespan(receive, send)
            return
        checked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"].endswith(_HEALTH)
        over = anyio.current_time() >= self._deadline
        if over or (self._draining and checked and scope["path"].endswith(_READY)):
            await _refuse(scope, send, 503, "this server is shutting down; send it again")
            return
        if len(self._requests) >= self._limits.requests and not checked:
            await _refuse(scope, send, 503, "too many requests are under way here; send it again later")
            return
        inner = {**scope, "state": {**scope.get("state", {}), **self._state}, "perdure.draining": self._draining}
        request = _Request(self, scope, receive, send, self._limits.body)
        with anyio.CancelScope(deadline=self._deadline) as cancel:
            self._requests.add(cancel)
            self._change()
            try:
                await self._app(inner, request.receive, request.send)
            finally:
                self._requests.discard(cancel)
                self._change()
        if cancel.cancelled_caught and not request.answered:
            with anyio.move_on_after(_LAST_WORDS, shield=True):
                await _refuse(scope, send, 503, "this server is shutting down, and the request was not done in time")

    @property
    def draining(self) -> bool:
        return self._draining


class _Request:
    """One of them: how long it has been waited for, and whether it is answered."""

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send, patience: float) -> None:
        self.answered = False  # its answer has begun
        self._refused = False
        self._gate = gate
        self._scope = scope
        self._receive = receive
        self._send = send
        self._patience = math.inf if scope["type"] == "websocket" else patience

    async def receive(self) -> Message:
        began = anyio.current_time()
        with anyio.move_on_after(self._patience):
            message = await self._receive()
            if message["type"] == "http.request" and message.get("more_body"):
                self._patience -= anyio.current_time() - began  # only what we wait for it counts
            else:
                self._patience = math.inf
            return message
        self._patience = math.inf
        if not self.answered:
            self.answered = self._refused = True
            await _refuse(self._scope, self._send, 408, "the body did not come in time; send it again, and faster")
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._refused:
            return  # what the application still says has no place
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.close"):
            self.answered = True
            if message["type"] == "http.response.start" and self._gate.draining and _persistent(self._scope):
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await self._send(message)


def _persistent(scope: Scope) -> bool:
    """HTTP/2 has no such header: its connections are told in another way."""
    return str(scope.get("http_version", "")).startswith("1")


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _refuse(scope: Scope, send: Send, status: int, detail: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012, "reason": detail})
        return
    title = {408: "Request Timeout", 503: "Service Unavailable"}[status]
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "retryable": True}
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
    ]
    if _persistent(scope):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
