"""An application's lifespan, in a task of its own: it ends in order, whatever holds the server up."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from perdure import PerdureError
from perdure_adapters.serving.asgi import ASGIApp, Message

logger = logging.getLogger("perdure.serving")

#: Seconds that an application may take to start, and to end.
_PATIENCE = 60.0


class LifespanFailed(PerdureError):
    """The application could not start."""


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncGenerator[dict[str, Any]]:
    """The state for its requests' scopes. Raises LifespanFailed. Applications need not have a lifespan."""
    one = _Lifespan(app)
    async with anyio.create_task_group() as group:
        group.start_soon(one.run)
        try:
            await one.start()
            yield one.state
        finally:
            await one.stop()


class _Lifespan:
    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._ask, self._asked = anyio.create_memory_object_stream[str](math.inf)
        self._started = anyio.Event()
        self._ended = anyio.Event()
        self._serving = False
        self._failure: str | None = None
        self._scope = anyio.CancelScope(shield=True)  # it ends when it is told, not with whoever is cancelled

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            with self._scope, self._ask, self._asked:
                await self._app(scope, self._receive, self._send)
        except Exception as error:
            if self._failure is None and self._started.is_set():
                logger.exception("the application failed in its lifespan")
            else:  # to raise without an answer is how an application says that it has none
                logger.debug("the application has no lifespan: %r", error)
        finally:
            self._started.set()
            self._ended.set()

    async def start(self) -> None:
        self._ask.send_nowait("lifespan.startup")
        with anyio.move_on_after(_PATIENCE) as patience:
            await self._started.wait()
        if patience.cancelled_caught:
            raise LifespanFailed(
                f"the application has not started within {_PATIENCE:g} s; look what its lifespan awaits"
            )
        if self._failure is not None:
            raise LifespanFailed(f"the application has not started: {self._failure}; mend its lifespan")
        self._serving = True

    async def stop(self) -> None:
        if self._serving and not self._ended.is_set():
            self._ask.send_nowait("lifespan.shutdown")
            with anyio.move_on_after(_PATIENCE, shield=True):
                await self._ended.wait()
            if not self._ended.is_set():
                logger.error("the application's lifespan has not ended within %g s, and is cut off", _PATIENCE)
        self._scope.cancel()

    async def _receive(self) -> Message:
        return {"type": await self._asked.receive()}

    async def _send(self, message: Message) -> None:
        kind, text = message["type"], str(message.get("message", "")).strip()
        if kind == "lifespan.startup.failed":
            self._failure = text.splitlines()[-1] if text else "it does not say why"  # frameworks send a traceback
        elif kind == "lifespan.shutdown.failed":
            logger.error("the application's lifespan has failed to end: %s", text)
        if kind.startswith("lifespan.startup."):
            self._started.set()
        elif kind.startswith("lifespan.shutdown."):
            self._ended.set()
