"""What application code sends: everything that comes while a transaction is under way goes into the next one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import anyio
from attrs import define, field

from perdure.errors import PerdureError, StoreError, StoreUnavailable
from perdure.ports import Mail, Store
from perdure.worker.signal import Signal

#: Letters in one transaction.
_BATCH = 500


@define(eq=False)
class _Letter:
    mail: Mail
    done: anyio.Event = field(factory=anyio.Event)
    error: PerdureError | None = None


class Postbox:
    """`posted` is called once something is written, so that what is for somebody here is looked at."""

    def __init__(self, store: Store, posted: Callable[[], None]) -> None:
        self._store = store
        self._posted = posted
        self._letters: list[_Letter] = []
        self._wake = Signal()
        self._closed = False

    async def post(self, mail: Mail) -> None:
        """Durable when this returns. Raises StoreUnavailable, or what the store has against it."""
        if self._closed:
            raise StoreUnavailable("the app is closing; send it again")
        letter = _Letter(mail)
        self._letters.append(letter)
        self._wake.set()
        await letter.done.wait()
        if letter.error is not None:
            raise letter.error

    async def run(self) -> None:
        batch: list[_Letter] = []
        try:
            while True:
                while self._letters:
                    batch, self._letters = self._letters[:_BATCH], self._letters[_BATCH:]
                    await self._send(batch)
                    self._posted()
                await self._wake.wait()
        finally:
            self._closed = True
            for letter in (*batch, *self._letters):
                if not letter.done.is_set():
                    letter.error = StoreUnavailable("the app closed before this was certainly sent", unknown=True)
                    letter.done.set()

    async def _send(self, letters: list[_Letter]) -> None:
        together = Mail()
        for letter in letters:
            together.add(letter.mail)
        try:
            await self._store.post(together)
        except PerdureError as error:
            refused = isinstance(error, StoreError) and not isinstance(error, StoreUnavailable)
            if refused and len(letters) > 1:  # one of them is at fault, and the database does not say which
                for letter in letters:
                    await self._send([letter])
                return
            for letter in letters:
                letter.error = copy.copy(error)
        for letter in letters:
            letter.done.set()
