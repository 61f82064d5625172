"""Serving an ASGI application until it is time to stop."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskStatus

from perdure_adapters.serving.asgi import ASGIApp
from perdure_adapters.serving.gate import Gate
from perdure_adapters.serving.lifespan import lifespan
from perdure_adapters.serving.limits import Limits
from perdure_adapters.serving.listening import Listening, give_up_stuck, url
from perdure_adapters.serving.severing import places, sever

if TYPE_CHECKING:
    from hypercorn.config import Config

logger = logging.getLogger("perdure.serving")

#: Seconds after the requests' grace in which the server closes its connections, and after which they are severed and it
#: is cut off: under asyncio, from Python 3.12 on, it would wait for ever for a client that does not go.
_TIDYING = 0.5
#: Seconds that the last answers have to reach their clients. A connection that is open after that is of no use.
_FLUSHING = 2.0


async def serve(
    app: ASGIApp,
    *,
    bind: str | Sequence[str] | Sequence[socket.socket],
    stop: anyio.Event,
    grace: float = 10.0,
    drain_delay: float = 0.0,
    certfile: str | None = None,
    keyfile: str | None = None,
    access_log: bool = False,
    limits: Limits | None = None,
    task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application until `stop` is set, then drain. Runs under asyncio and trio.

    ```python
    async with app:  # the App, which outlives its server
        await serve(ingress(app), bind="127.0.0.1:8000", stop=stop)
    ```

    `bind` is HOST:PORT, [IPV6]:PORT, unix:PATH, fd://NUMBER, several of these, or sockets that listen, which it closes.
    `task_status` is told where it listens, as URLs.

    When `stop` is set, `/health/ready` is answered with 503, and `scope["perdure.draining"]` is true. `drain_delay`
    seconds later no more connections are taken, and what is under way has `grace` seconds. A second after that, or some
    after the last request, this returns, whatever clients do. Cancelled, it does the same without delay and grace. The
    application's lifespan begins before all that, and ends after it.

    Raises ValueError for an address that is none, OSError where it cannot listen, LifespanFailed when the application
    cannot start; the last one in a group.
    """
    limits = limits or Limits()
    if isinstance(bind, str) or all(isinstance(each, str) for each in bind):
        listening = Listening.at(bind)  # type: ignore[arg-type]  # the check above is beyond mypy
    else:
        listening = Listening(bind)  # type: ignore[arg-type]
    with listening:
        config = _config(limits, grace, certfile, keyfile, access_log)
        _check_tls(config)
        async with lifespan(app) as state:
            gate = Gate(app, limits, state)
            urls = [url(each, secure=config.ssl_enabled) for each in listening.sockets]
            for each in listening.sockets:
                give_up_stuck(each, limits.stuck)
            names = places(listening.sockets)
            # Given away: as long as anybody holds one, the system goes on taking connections for it.
            config.bind = [f"fd://{each.detach()}" for each in listening.sockets]
            logger.info("serving on %s", ", ".join(urls))
            task_status.started(urls)
            await _Run(gate, config, drain_delay, grace, names).until(stop)


class _Run:
    """The server's life: from its start to the end of its last connection."""

    def __init__(self, gate: Gate, config: Config, drain_delay: float, grace: float, names: frozenset[object]) -> None:
        self._gate = gate
        self._config = config
        self._drain_delay = drain_delay
        self._grace = grace
        self._names = names
        self._closing = anyio.Event()
        self._patience = anyio.CancelScope(shield=True)
        self._scope = anyio.CancelScope(shield=True)  # cancelled from outside the server would leave connections behind

    async def until(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._shut_down, stop)
            group.start_soon(self._sever)
            group.start_soon(self._hasten)
            try:
                with self._scope:
                    await _server()(self._gate, self._config, shutdown_trigger=self._closing.wait)
            finally:
                self._close(0)
                with anyio.move_on_after(_TIDYING, shield=True):  # no request outlives its server
                    await self._gate.emptied()
                self._patience.cancel()
                group.cancel_scope.cancel()

    async def _shut_down(self, stop: anyio.Event) -> None:
        try:
            await stop.wait()
            self._gate.drain()
            await anyio.sleep(self._drain_delay)
            self._close(self._grace)
            await anyio.sleep_forever()
        finally:
            self._close(0)

    def _close(self, grace: float) -> None:
        self._gate.close(grace)
        self._end_in(grace + _TIDYING)
        self._closing.set()

    def _end_in(self, seconds: float) -> None:
        end = anyio.current_time() + seconds
        self._patience.deadline = min(self._patience.deadline, end)
        self._scope.deadline = min(self._scope.deadline, end + _TIDYING)

    async def _hasten(self) -> None:
        """The grace is for requests, not for connections."""
        await self._closing.wait()
        while True:
            await self._gate.emptied()
            with anyio.move_on_after(_FLUSHING) as flushing:
                await self._gate.entered()
            if flushing.cancelled_caught:
                self._end_in(0)
                return

    async def _sever(self) -> None:
        with self._patience:
            await anyio.sleep_forever()
        if count := sever(self._names):
            logger.warning("%d connections did not come to an end, and were cut off", count)


def _server() -> Callable[..., Awaitable[None]]:
    """Hypercorn's, for this event loop."""
    trio = sys.modules.get("trio")
    running: Callable[..., Awaitable[None]]
    if trio is not None and trio.lowlevel.in_trio_run():
        from hypercorn.trio import serve as running
    else:
        running = _asyncio
    return running


async def _asyncio(*given: Any, **more: Any) -> None:
    """Hypercorn's. Before Python 3.13 its task group leaves a cancellation of the task behind when it has cancelled
    itself, and from then on anyio's own would come out of every scope of this task.
    """
    import asyncio

    from hypercorn.asyncio import serve as running

    task = asyncio.current_task()
    assert task is not None  # it is running
    before = task.cancelling()
    try:
        await running(*given, **more)
    finally:
        while task.cancelling() > before:
            task.uncancel()


def _config(limits: Limits, grace: float, certfile: str | None, keyfile: str | None, access_log: bool) -> Config:
    from hypercorn.config import Config

    config = Config()
    config.accesslog = logging.getLogger("hypercorn.access") if access_log else None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.backlog = limits.backlog
    config.certfile = certfile
    config.keyfile = keyfile
    config.graceful_timeout = grace + 60  # the gate has the bound; this one would cut off its answers
    config.h11_max_incomplete_size = limits.headers
    config.h2_max_header_list_size = limits.headers
    config.include_server_header = False
    config.keep_alive_timeout = limits.idle  # for headers, too
    config.ssl_handshake_timeout = limits.idle
    return config


def _check_tls(config: Config) -> None:
    if (config.certfile is None) != (config.keyfile is None):
        raise ValueError("TLS needs a certificate and its key; give both")
    if config.ssl_enabled:
        try:
            config.create_ssl_context()
        except OSError as error:
            message = f"cannot use {config.certfile} and {config.keyfile}: {error.strerror or error}; check both files"
            raise OSError(message) from error
