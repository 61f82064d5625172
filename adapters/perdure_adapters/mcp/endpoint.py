"""The ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import Server
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perdure import App
from perdure_adapters.asgi.callers import from_here, same_origin
from perdure_adapters.asgi.paths import path_in
from perdure_adapters.asgi.problem import Problem

logger = logging.getLogger("perdure.mcp")

_CLOSED = (
    "no authentication is set up here, so only callers on the same machine are answered; its operator can give "
    "MCPServer(token_verifier=...), or asgi(insecure=True) where something before it keeps strangers out"
)
_BROKEN = Problem(500, "something went wrong here; the log of the server says what")


class Endpoint:
    """Serves `path`, and the description of the resource where there is one. It keeps nothing between requests."""

    def __init__(
        self,
        app: App,
        server: Server[Any],
        *,
        path: str,
        verifier: TokenVerifier | None,
        auth: AuthSettings | None,
        insecure: bool,
        lifespan: bool,
    ) -> None:
        self._path = path
        self._open = verifier is not None or insecure
        self._metadata = _metadata(auth)
        self._rest = Router(lifespan=_opening(app) if lifespan else None)
        serving: ASGIApp = _Once(server)
        self._serving = serving if verifier is None else _guarded(serving, verifier, auth)
        for name in ("streamable_http_manager", "streamable_http"):
            logging.getLogger(f"mcp.server.{name}").addFilter(_no_news)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        for route in self._metadata:
            if scope["path"] == route.path:  # the whole path: it is of the host, wherever this is mounted
                await route.handle(scope, receive, send)
                return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            self._admit(scope)
            await self._serving(scope, receive, sending)
        except Problem as problem:
            await problem.response()(scope, receive, send)
        except Exception as error:
            if _is_of_the_client(error):
                return
            logger.exception("a request failed")
            if not begun:
                await _BROKEN.response()(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        """Raises Problem."""
        headers = Headers(scope=scope)
        same_origin(headers)
        if not self._open:
            from_here(scope, headers, _CLOSED)
        if path_in(scope).rstrip("/") != self._path.rstrip("/"):
            raise Problem(404, f"there is nothing at this path; MCP is at {self._path}")
        if scope["method"] != "POST":  # there are no sessions to listen to or to end
            raise Problem(405, f"{scope['method']} is not done here; use POST", {"allow": "POST"})


class _Once:
    """A manager of sessions for each request: without sessions it has nothing to keep, and nobody has to run it."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager = StreamableHTTPSessionManager(self._server, stateless=True)
        async with manager.run():
            await manager.handle_request(scope, receive, send)


def _is_of_the_client(error: BaseException) -> bool:
    """Whether it says no more than that the client is gone."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_the_client, error.exceptions))
    return isinstance(error, ClientDisconnect)


def _no_news(record: logging.LogRecord) -> bool:
    """That sessions begin and end is none where there is one for each request."""
    return not record.getMessage().startswith(("StreamableHTTP session manager", "Terminating session: None"))


def _guarded(serving: ASGIApp, verifier: TokenVerifier, auth: AuthSettings | None) -> ASGIApp:
    resource = auth.resource_server_url if auth is not None else None
    described = build_resource_metadata_url(resource) if resource is not None else None
    scopes = (auth.required_scopes or []) if auth is not None else []
    bound = resource if auth is not None and auth.validate_token_resource else None
    required = RequireAuthMiddleware(serving, scopes, described)
    return AuthenticationMiddleware(
        AuthContextMiddleware(required), backend=BearerAuthBackend(verifier, resource_server_url=bound)
    )


def _metadata(auth: AuthSettings | None) -> list[Route]:
    if auth is None or auth.resource_server_url is None:
        return []
    return create_protected_resource_routes(
        resource_url=auth.resource_server_url,
        authorization_servers=[auth.issuer_url],
        scopes_supported=auth.required_scopes,
    )


def _opening(app: App) -> Any:
    @asynccontextmanager
    async def opened(_: object) -> AsyncGenerator[None]:
        async with app:
            yield

    return opened
