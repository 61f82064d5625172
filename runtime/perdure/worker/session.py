"""The transaction of an attempt at an activity, and the blocks of code that use it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import anyio

from perdure.errors import StoreUnavailable, UsageError
from perdure.identity import bits
from perdure.ports import Outcome, Refused, Transaction, Unit

if TYPE_CHECKING:
    from perdure.worker.sessions import Sessions
    from perdure.worker.step import Step

logger = logging.getLogger("perdure.worker")

#: Seconds that undoing waits for a statement which somebody has left under way.
_PATIENCE = 1.0

#: The block that the code at hand is in; tasks have that of who started them.
_innermost: ContextVar[_Block | None] = ContextVar("perdure_session_block", default=None)


class _Block:
    """One `async with session()`. `first`: it has begun the transaction; else it is a savepoint."""

    __slots__ = ("first", "marked", "parent")

    def __init__(self, parent: _Block | None) -> None:
        self.parent = parent
        self.first = False
        self.marked = 0


class AttemptSession:
    """Opened by the first block; blocks nest, those of different tasks too: one waits for another beside it. `cut`: the
    connection was lost.
    """

    def __init__(self, sessions: Sessions, step: Step) -> None:
        self._sessions = sessions
        self._step = step
        self._transaction: Transaction | None = None
        self._blocks: list[_Block] = []
        self._changed = anyio.Event()
        self._lock = anyio.Lock()
        self._callbacks: list[Callable[[], Any]] = []
        self._spoiled = False
        self.cut: StoreUnavailable | None = None

    @property
    def step(self) -> Step:
        return self._step

    @property
    def open(self) -> bool:
        return self._transaction is not None

    # Blocks.

    @asynccontextmanager
    async def block(self) -> AsyncGenerator[AttemptSession]:
        """What fails in it is undone: the first one's by ending the transaction."""
        block = _Block(_innermost.get())
        await self._enter(block)
        token = _innermost.set(block)
        try:
            yield self
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._undo(block)
            raise
        else:
            await self._release(block)
        finally:
            _innermost.reset(token)

    async def _enter(self, block: _Block) -> None:
        while self._blocks and self._blocks[-1] is not self._live(block.parent):
            await self._changed.wait()
        self._blocks.append(block)
        block.first = self._transaction is None
        block.marked = len(self._callbacks)
        try:
            with self._watched():
                if self._transaction is None:
                    await self._begin()
                else:
                    async with self._lock:
                        await self._held().save()
        except BaseException:
            self._left(block)
            raise

    async def _begin(self) -> None:
        try:
            self._transaction = await self._sessions.begin(self._step)
        except StoreUnavailable as error:
            self.cut = error
            raise
        self._spoiled = False

    def _live(self, block: _Block | None) -> _Block | None:
        """The block, or the innermost one around it that has not ended."""
        while block is not None and block not in self._blocks:
            block = block.parent
        return block

    async def _release(self, block: _Block) -> None:
        while block in self._blocks and self._blocks[-1] is not block:
            await self._changed.wait()  # for a task that it has started and that is in a block of its own
        if block not in self._blocks:
            raise UsageError("the session() around this one has failed, and this one's rows are undone with it")
        try:
            if not block.first:
                with self._watched():
                    async with self._lock:
                        await self._held().release()
        finally:
            self._left(block)

    async def _undo(self, block: _Block) -> None:
        del self._callbacks[block.marked :]
        try:
            if block.first:
                await self.rollback()
            elif self._transaction is not None and block in self._blocks:
                with self._watched():
                    async with self._lock:
                        for _ in self._blocks[self._blocks.index(block) :]:  # the savepoints in this one, too
                            await self._transaction.restore()
        except Exception as error:  # all of it is lost; what made us undo it is said first
            logger.debug("a savepoint is gone: %s", error)
            self._spoiled = True
        finally:
            self._left(block)

    def _left(self, block: _Block) -> None:
        """It has ended, and those in it."""
        if block in self._blocks:
            del self._blocks[self._blocks.index(block) :]
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    # Statements.

    def _held(self) -> Transaction:
        if self._transaction is None:
            raise UsageError("this session is over; use it inside its own `async with session()`")
        return self._transaction

    @contextmanager
    def _watched(self) -> Generator[None]:
        """Remember what leaves the transaction good for nothing."""
        try:
            yield
        except StoreUnavailable as error:
            if self._transaction is not None:  # else it was ended here, over the head of a statement left under way
                self.cut = error
            raise
        except Exception:
            raise
        except BaseException:
            self._spoiled = True
            raise

    @property
    def connection(self) -> Any:
        return self._held().connection

    async def _turn(self) -> None:
        """Wait while another task is in a block beside the caller's: what fails there would be undone here, too."""
        while self._blocks and self._blocks[-1] is not self._live(_innermost.get()):
            await self._changed.wait()

    async def execute(self, sql: str, /, *args: Any) -> int:
        _check_text(sql)
        await self._turn()
        async with self._lock:
            with self._watched():
                return await self._held().execute(sql, args)
        raise AssertionError  # neither swallows anything

    async def fetch(self, sql: str, /, *args: Any) -> list[Mapping[str, Any]]:
        _check_text(sql)
        await self._turn()
        async with self._lock:
            with self._watched():
                return await self._held().fetch(sql, args)
        raise AssertionError  # as above

    def after_commit(self, fn: Callable[[], Any], /) -> None:
        if not callable(fn):
            raise UsageError(f"after_commit({fn!r}): give a function without arguments")
        self._callbacks.append(fn)

    # Its end.

    async def check(self) -> None:
        """The activity has returned: nothing of its session may be left under way. Raises Refused, and what
        `Transaction.check` raises.
        """
        self._require_rest()
        with self._watched():
            await self._held().check()

    def _require_rest(self) -> None:
        if self._spoiled:
            raise Refused(
                "a statement in session() was cut off by a cancellation, or a savepoint was lost, and with it all that "
                "was written; let the error leave the `async with session()`"
            )
        if self._blocks or self._lock.locked():
            raise Refused("the activity returned while a task of its own still used its session(); wait for its end")

    async def commit(self, unit: Unit) -> Outcome:
        """As `Transaction.commit`. From now on no statement is taken."""
        transaction, self._transaction = self._held(), None
        try:
            try:
                self._require_rest()
            except Refused:
                await transaction.rollback()
                raise
            return await transaction.commit(unit, bits(63))
        finally:
            self._sessions.ended(self._step)

    async def rollback(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return
        self._callbacks.clear()
        try:
            with anyio.move_on_after(_PATIENCE):
                async with self._lock:
                    pass
            await transaction.rollback()
        finally:
            self._sessions.ended(self._step)

    def abandon(self) -> None:
        """Nobody takes its result: undo it, soon."""
        if self._transaction is not None:
            self._sessions.soon(self.rollback)

    async def call_back(self) -> None:
        """It is committed: tell those who wanted to know."""
        for fn in self._callbacks:
            try:
                called = fn()
                if isawaitable(called):
                    await called
            except Exception:
                logger.exception(
                    "after_commit of activity %r failed", self._step.command.name, extra=self._step.labels()
                )


def _check_text(sql: object) -> None:
    if not isinstance(sql, str):
        raise UsageError(
            f"a statement in session() is SQL as str, not {type(sql).__name__}; SQLAlchemy's go through "
            "perdure_adapters.sqlalchemy.sqlalchemy_session()"
        )
