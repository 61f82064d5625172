"""The ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from perdure import App, Seconds, StoreUnavailable, UsageError
from perdure.durations import seconds
from perdure_adapters.asgi import body as bodies
from perdure_adapters.asgi import events, instances, probes
from perdure_adapters.asgi.callers import Authenticator, Callers
from perdure_adapters.asgi.openapi import Document
from perdure_adapters.asgi.paths import path_in
from perdure_adapters.asgi.problem import Problem
from perdure_adapters.asgi.route import READ, WRITE, Route, Routes

logger = logging.getLogger("perdure.asgi")

#: Bytes of bodies in memory at once, unless one alone may be larger; and requests.
_BYTES = 64 * 1024 * 1024
_REQUESTS = 1000


def ingress(
    app: App,
    *,
    authenticate: Authenticator | None = None,
    lifespan: bool = False,
    max_body: int = 1_048_576,
    max_batch: int = 1000,
    body_timeout: Seconds = 30.0,
    insecure: bool = False,
) -> ASGIApp:
    """CloudEvents in over HTTP, as an ASGI application, to be served alone or mounted in another.

    `app` is opened by its owner, or with `lifespan` together with the server. `authenticate` is
    `async (scope) -> name or None`, such as `bearer_token(...)` or `hmac_signature(...)`. Without it only callers on
    the same machine are answered, unless `insecure` says that something else keeps strangers out. A body has at most
    `max_body` bytes and `max_batch` events, and is there within `body_timeout` seconds.
    """
    if max_body < 1 or max_batch < 1:
        raise UsageError("ingress(max_body=..., max_batch=...) takes numbers above zero")
    if insecure and authenticate is not None:
        raise UsageError("ingress() takes authenticate= or insecure=True; leave out one of them")
    patience = seconds(body_timeout, "body_timeout")
    return _Ingress(app, Callers(authenticate, insecure), lifespan, max_body, max_batch, patience)


class _Ingress:
    def __init__(
        self, app: App, callers: Callers, lifespan: bool, max_body: int, max_batch: int, patience: float
    ) -> None:
        self._callers = callers
        self._max_body = max_body
        self._patience = patience
        self._room = bodies.Room(max(_BYTES, max_body), _REQUESTS)
        self._routes = Routes(
            {
                "/": Route(WRITE, events.Receive(app, max_batch)),
                "/openapi.json": Route(READ, Document(max_batch, callers.scheme)),
                "/health/live": Route(READ, probes.Live(), open=True),
                "/health/ready": Route(READ, probes.Ready(app), open=True),
            },
            {
                "/instances/": Route(READ, instances.Status(app)),
                "/cancel/": Route(WRITE, instances.Cancel(app)),
            },
        )
        self._rest = Router(lifespan=_opening(app) if lifespan else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        try:
            response = await self._answer(scope, receive)
        except Problem as problem:
            response = problem.response()
        except bodies.ClientGone:
            return
        except StoreUnavailable as error:
            logger.warning("a request is answered with 503: %s", error)
            response = Problem(503, "the database is out of reach just now; send this again later").response()
        except UsageError as error:  # of the program around this, which has not opened the app, or has closed it
            logger.error("a request is answered with 503: %s", error)
            response = Problem(503, "this process is not serving yet, or not any more; send this again").response()
        except Exception:
            logger.exception("a request is answered with 500")
            response = Problem(500, "something went wrong here; the log of the server says what").response()
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        route, id = self._routes.find(path_in(scope))
        method, headers = scope["method"], Headers(scope=scope)
        if route is not None and route.open:
            route.check(method)
            return await route.endpoint(scope, headers, id)(b"")
        with self._room.enter() as guest:
            await self._callers.admit(scope, headers)
            if route is None:
                raise Problem(404, "there is nothing at this path; see openapi.json for those that there are")
            route.check(method)
            answering = route.endpoint(scope, headers, id)
            body = b""
            if route.methods is WRITE:
                body = await bodies.read(receive, headers, guest, most=self._max_body, patience=self._patience)
            await self._callers.vouch(scope, body)
            return await answering(body)


def _opening(app: App) -> Any:
    @asynccontextmanager
    async def opened(_: object) -> AsyncIterator[None]:
        async with app:
            yield

    return opened
