"""Telling clients that a list has changed, in both eras of the protocol."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as t
from anyio.abc import TaskGroup
from mcp.server import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ServerEvent, ToolsListChanged

logger = logging.getLogger("perdure.mcp")

Listener = Callable[[ServerEvent], None]


class Bus:
    """Of the SDK's kind `SubscriptionBus`; `tell` need not be awaited. Call it where the server runs."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def tell(self, event: ServerEvent) -> None:
        for listener in list(self._listeners.values()):
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed")

    async def publish(self, event: ServerEvent) -> None:
        self.tell(event)
        await anyio.lowlevel.checkpoint()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        key = object()
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe


class Announcer:
    """Clients that have shaken hands are told on their connection, if it is one that stays."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncGenerator[TaskGroup]:
        """Of one connection, or, over HTTP, of one request."""
        async with anyio.create_task_group() as group:
            try:
                yield group
            finally:
                group.cancel_scope.cancel()

    async def initialized(self, ctx: ServerRequestContext[Any, Any], _: t.NotificationParams) -> None:
        group: TaskGroup = ctx.lifespan_context
        group.start_soon(self._announce, ctx.session)

    async def _announce(self, session: ServerSession) -> None:
        send, received = anyio.create_memory_object_stream[ServerEvent](math.inf)
        unsubscribe = self._bus.subscribe(send.send_nowait)
        try:
            with send, received:
                async for event in received:
                    await _notify(session, event)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client is gone
        finally:
            unsubscribe()


async def _notify(session: ServerSession, event: ServerEvent) -> None:
    if isinstance(event, ToolsListChanged):
        await session.send_tool_list_changed()
    elif isinstance(event, PromptsListChanged):
        await session.send_prompt_list_changed()
    elif isinstance(event, ResourcesListChanged):
        await session.send_resource_list_changed()
