"""A worker and its server as a process, or as several."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from socket import socket

import anyio
import click
from attrs import frozen

from perdure import App
from perdure.stopping import Stopping
from perdure_adapters.cli.run import collect_seldom
from perdure_adapters.serving import Limits, serve
from perdure_adapters.serving.asgi import ASGIApp
from perdure_adapters.serving.child import Leash, python
from perdure_adapters.serving.listening import Listening
from perdure_adapters.serving.supervisor import Supervisor


@frozen(kw_only=True)
class Service:
    """`perdure serve`, once its options are understood."""

    app: App
    served: ASGIApp
    backend: str
    certfile: str | None
    keyfile: str | None
    grace: float
    drain_delay: float
    access_log: bool
    max_requests: int
    idle: float
    backlog: int

    def at(self, bind: Sequence[str], workers: int | None, *, guarded: bool) -> int:
        """Listen there, and serve until a signal. The exit code."""
        try:
            listening = Listening.at(bind)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        with listening:
            if not (guarded or listening.local):
                raise click.UsageError(
                    f"{', '.join(bind)} can be reached from other machines, and nobody would be asked who they are; "
                    "give --token-file, --hmac-secret-file or --authenticate, or bind to 127.0.0.1, or say "
                    "--insecure-no-auth"
                )
            if workers is None:
                return self._work(listening.sockets, None)
            _log("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
            command = python("perdure_adapters.cli", *sys.argv[1:])
            return 0 if anyio.run(Supervisor(command, listening, workers).run) else 1

    def on(self, leash: str) -> int:
        """As one of several."""
        held = Leash(leash)
        self.app.worker_id = f"{self.app.worker_id}-{os.getpid()}"  # it may be one that all of them were given
        return self._work(held.listeners, held)

    def _work(self, listeners: Sequence[socket], leash: Leash | None) -> int:
        # Until the app listens itself there is nothing to drain.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        process = "%(process)d " if leash is not None else ""
        _log(f"%(asctime)s {process}%(levelname)s %(name)s: %(message)s")
        collect_seldom()
        anyio.run(self._serve, listeners, leash, backend=self.backend)
        return 0

    async def _serve(self, listeners: Sequence[socket], leash: Leash | None) -> None:
        async with anyio.create_task_group() as group:

            async def beside(stopping: Stopping) -> None:
                if leash is not None:
                    group.start_soon(leash.follow, stopping)  # until the app is closed
                async with anyio.create_task_group() as serving:
                    await serving.start(partial(self._server, listeners, stopping.asked))
                    if leash is not None:
                        leash.serving()

            await self.app.run(beside)
            group.cancel_scope.cancel()

    async def _server(
        self,
        listeners: Sequence[socket],
        stop: anyio.Event,
        *,
        task_status: anyio.abc.TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        await serve(
            self.served,
            bind=listeners,
            stop=stop,
            grace=self.grace,
            drain_delay=self.drain_delay,
            certfile=self.certfile,
            keyfile=self.keyfile,
            access_log=self.access_log,
            limits=Limits(idle=self.idle, requests=self.max_requests, backlog=self.backlog),
            task_status=task_status,
        )


def _log(form: str) -> None:
    logging.basicConfig(level=logging.INFO, format=form)
    logging.getLogger("hypercorn.error").setLevel(logging.WARNING)  # where it runs is said already
