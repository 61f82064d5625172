"""Subscriptions of clients: changes of lists, and of the instances that they name."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as t
from attrs import frozen
from mcp.server import ServerRequestContext
from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate

from perdure import Conflict, InstanceNotFound, StoreUnavailable
from perdure_adapters.mcp.answers import protocol
from perdure_adapters.mcp.instances import Instances
from perdure_adapters.mcp.listening import Bus, Listener

logger = logging.getLogger("perdure.mcp")

#: Seconds between looks at an instance that somebody watches.
_LOOK = 1.0
#: Streams at once; instances that each may watch, and all together.
_STREAMS, _INSTANCES, _ALL = 1000, 50, 500

_STATUS = UriTemplate.parse("perdure://instances/{id}")
_HISTORY = UriTemplate.parse("perdure://instances/{id}/history")


@frozen
class _State:
    """What differs once something has happened."""

    status: str
    run: int
    events: int
    cancel_requested: bool
    ended: bool


class Listen:
    """Handles subscriptions/listen: one call is one stream, until the client goes."""

    def __init__(self, bus: Bus, instances: Instances) -> None:
        self._bus = bus
        self._instances = instances
        self._streams = 0
        self._watched = 0

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], params: t.SubscriptionsListenRequestParams
    ) -> t.SubscriptionsListenResult:
        uris = dict.fromkeys(params.notifications.resource_subscriptions or ())
        watched = {uri: id for uri in uris if (id := _instance(uri)) is not None}
        if len(watched) > _INSTANCES:
            raise MCPError(code=t.INVALID_PARAMS, message=f"Watch at most {_INSTANCES} instances on one stream")
        if self._streams >= _STREAMS or self._watched + len(watched) > _ALL:
            raise MCPError(code=t.INTERNAL_ERROR, message="Too many streams are open; try again later")
        own = _Own(self._bus)
        self._streams += 1
        self._watched += len(watched)
        try:
            with protocol("subscriptions/listen"):  # before it is acknowledged: from then on no change is missed
                states = {id: await self._state(id) for id in watched.values()}
            async with self._watching(own, watched, states):
                return await ListenHandler(own)(ctx, params)
        finally:
            self._streams -= 1
            self._watched -= len(watched)

    @asynccontextmanager
    async def _watching(
        self, own: _Own, watched: dict[str, str], states: dict[str, _State | None]
    ) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            if watched:
                group.start_soon(self._watch, own, watched, states)
            yield
            group.cancel_scope.cancel()

    async def _watch(self, own: _Own, watched: dict[str, str], states: dict[str, _State | None]) -> None:
        """`watched` are ids by URI."""
        pause = _LOOK
        while states:
            await anyio.sleep(pause)
            began = anyio.current_time()
            for id, before in list(states.items()):
                try:
                    state = await self._state(id)
                except StoreUnavailable:
                    continue
                except Exception:  # of one instance: the others are watched on
                    logger.exception("instance %r cannot be watched", id)
                    del states[id]
                    continue
                states[id] = state
                if state != before:
                    for uri in watched:
                        if watched[uri] == id:
                            own.tell(ResourceUpdated(uri))
                elif state is not None and state.ended:  # seen twice: nothing will change any more
                    del states[id]
            pause = max(_LOOK, 10 * (anyio.current_time() - began))

    async def _state(self, id: str) -> _State | None:
        """None where it is not, or not any more."""
        found = await self._instances.find(id)
        if found is None:
            return None
        try:
            info = await found[1].info()
            events = await found[1].history(run=info.run)
        except (InstanceNotFound, Conflict):
            return None
        return _State(info.status, info.run, len(events), info.cancel_requested, info.ended_at is not None)


class _Own:
    """The bus of one stream: what all are told, and what it alone has asked for."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listeners: list[Listener] = []

    def tell(self, event: ServerEvent) -> None:
        for listener in self._listeners:
            listener(event)

    async def publish(self, event: ServerEvent) -> None:
        await self._bus.publish(event)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return self._bus.subscribe(listener)


def _instance(uri: str) -> str | None:
    """The id in a URI of ours."""
    found = _STATUS.match(uri) or _HISTORY.match(uri)
    id = None if found is None else found["id"]
    return id if isinstance(id, str) else None
