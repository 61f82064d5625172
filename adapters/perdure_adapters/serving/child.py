"""A worker process, as its supervisor has it, and its supervisor, as it has it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol, Self

import anyio
from anyio.abc import Process

logger = logging.getLogger("perdure.serving")

_STOP = b"s"
_HURRY = b"h"
_SERVING = b"r"


class Child:
    """A process that was started. Told by a pipe, not by signals: these may come from others too, and count."""

    def __init__(self, slot: int, process: Process, orders: int, news: int) -> None:
        self.slot = slot
        self.serving = False
        self.began = anyio.current_time()
        self.ended = anyio.Event()
        self._heard = anyio.Event()
        self._process = process
        self._orders = orders
        self._news = news

    @classmethod
    async def start(cls, slot: int, command: Sequence[str], listeners: Sequence[socket.socket]) -> Self:
        """`command` is given `--leash`, which leads to the other ends. It gets a session of its own: no Ctrl-C."""
        its_orders, orders = os.pipe()
        news, its_news = os.pipe()
        handed = [its_orders, its_news, *(each.fileno() for each in listeners)]
        try:
            process = await anyio.open_process(
                [*command, "--leash", ",".join(map(str, handed))],
                stdin=subprocess.DEVNULL,
                stdout=None,
                stderr=None,
                pass_fds=handed,
                start_new_session=True,
            )
        except BaseException:
            os.close(orders)
            os.close(news)
            raise
        finally:
            os.close(its_orders)
            os.close(its_news)
        return cls(slot, process, orders, news)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def settled(self) -> bool:
        """Whether it serves: until it does, or has ended."""
        try:
            await anyio.wait_readable(self._news)
            self.serving = os.read(self._news, 1) == _SERVING
            return self.serving
        finally:
            self._heard.set()

    async def end(self) -> int:
        """Its exit code, when it has one. To be called once, beside `settled`."""
        try:
            code = await self._process.wait()
            await self._heard.wait()  # who waits for a descriptor that is closed waits for ever
            return code
        finally:
            self.serving = False
            self.ended.set()
            os.close(self._orders)
            os.close(self._news)

    def stop(self) -> None:
        self._tell(_STOP)

    def hurry(self) -> None:
        if self.serving:
            self._tell(_HURRY)
        elif not self.ended.is_set():
            self._process.kill()  # it does not listen yet, nor has it anything to lose

    def _tell(self, order: bytes) -> None:
        if not self.ended.is_set():
            try:
                os.write(self._orders, order)
            except BrokenPipeError:
                logger.debug("worker process %d has ended before it could be told", self.pid)


class Told(Protocol):
    """Who is told to end."""

    def ask(self) -> None: ...
    def hurry(self) -> None: ...


class Leash:
    """In the child: what it was given. Without a supervisor at its other end it ends in order."""

    def __init__(self, text: str) -> None:
        self._orders, self._news, *listeners = map(int, text.split(","))
        self.listeners = [socket.socket(fileno=number) for number in listeners]
        for number in (self._orders, self._news, *listeners):
            os.set_inheritable(number, False)  # what activities start has no use for them

    def serving(self) -> None:
        """Say so."""
        try:
            os.write(self._news, _SERVING)
        except BrokenPipeError:
            logger.debug("the supervisor has gone")

    async def follow(self, told: Told) -> None:
        while True:
            await anyio.wait_readable(self._orders)
            order = os.read(self._orders, 1)
            if order == _HURRY:
                told.hurry()
            else:
                told.ask()
            if not order:
                logger.warning("the supervisor (%d) has gone; draining", os.getppid())
                return


def python(module: str, *arguments: str) -> list[str]:
    """A command that runs it with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
