"""Carrying out letters: what application code wrote in transactions of its own.

A letter is carried out in the transaction that deletes it, but for a start: that comes before, and does no harm twice,
as its instance has its id.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio

from perdure.definitions.workflow import Workflow
from perdure.errors import InvalidInput, LeaseLost, PerdureError, StoreUnavailable, UnknownWorkflow
from perdure.hooks.calls import Calls
from perdure.identity import bits
from perdure.leases.sharing import still_held
from perdure.mail import letters
from perdure.mail.announcing import births, mailed
from perdure.ports import Letter, Mail, Outcome, Store, Unit
from perdure.worker.clock import Clock
from perdure.worker.signal import Signal

logger = logging.getLogger("perdure.worker")

#: Seconds between looks when nothing tells of letters, and after the database was away.
_POLL, _RETRY = 2.0, 0.2
_PAGE = 200


class Letters:
    """`epochs` gives a copy of the partitions that are ours, with their epochs. `start` starts an instance here, and
    raises LeaseLost where that cannot be; `running` tells whether an instance of a workflow is in memory here.
    `started` is called when instances were made for whoever can run them, `sent` with what has gone out.

    Each look begins at the first letter again: numbers are given before they are committed, so that a lower one may
    appear later. What cannot be carried out is left where it is, and passed over. A look is over for a partition that
    is lost meanwhile, also if it is ours again by now: what was not carried out for that must not be overtaken.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        workflows: Mapping[str, Workflow[..., object]],
        epochs: Callable[[], Mapping[int, int]],
        *,
        start: Callable[[Workflow[..., object], str, str, dict[str, str] | None], Awaitable[bool]],
        running: Callable[[str, str], bool],
        started: Callable[[], None],
        sent: Callable[[Mail], None],
        calls: Calls,
    ) -> None:
        self._calls = calls
        self._store = store
        self._clock = clock
        self._workflows = workflows
        self._epochs = epochs
        self._start_here = start
        self._running = running
        self._started = started
        self._sent = sent
        self._given_up: set[int] = set()
        self._wake = Signal()
        self.busy = True

    def poke(self) -> None:
        """Look now."""
        self.busy = True
        self._wake.set()

    async def run(self) -> None:
        while True:
            self.busy = True
            pause = _POLL
            try:
                await self._read()
            except StoreUnavailable as error:
                logger.warning("cannot carry out letters just now: %s", error)
                pause = _RETRY
            self.busy = self._wake.raised
            await self._wake.wait_for(pause)

    async def _read(self) -> None:
        after = 0
        began = self._epochs()
        while held := still_held(began, self._epochs()):
            page = await self._store.letters(list(held), _PAGE, after)
            await self._act_on([letter for letter in page if letter.number not in self._given_up], held)
            if len(page) < _PAGE:
                break
            after = page[-1].number
        now = self._epochs()
        if still_held(began, now) != now:
            self.poke()

    async def _act_on(self, page: Sequence[Letter], held: Mapping[int, int]) -> None:
        starts: list[tuple[Letter, Unit]] = []
        mails: dict[int, Mail | None] = {}
        now = self._clock.now()
        for letter in page:
            try:
                if letter.kind == letters.START:
                    starts.append((letter, letters.birth(letter, now)))
                mails[letter.number] = letters.mail(letter)
            except ValueError as error:
                self._give_up(letter.number, error)
        while starts:  # several for one id: one after the other, for in one transaction they would collide
            first = {letter.key: (letter, unit) for letter, unit in reversed(starts)}
            await self._start(list(reversed(first.values())))
            numbers = {letter.number for letter, _ in first.values()}
            starts = [one for one in starts if one[0].number not in numbers]
        done = {number: one for number, one in mails.items() if number not in self._given_up}
        if done:
            await self._carry_out(done, held)

    async def _start(self, starts: Sequence[tuple[Letter, Unit]]) -> None:
        """All at once. Those that cannot be started here are written for whoever can."""
        there: list[tuple[Letter, Unit]] = []
        away: list[StoreUnavailable] = []

        async def here(letter: Letter, unit: Unit) -> None:
            try:
                new = await self.begin(letter)
                if not new and not self._running(letter.key, letters.start_of(letter).workflow):
                    await self._compare(letter)
            except (LeaseLost, InvalidInput, UnknownWorkflow):
                there.append((letter, unit))
            except StoreUnavailable as error:
                away.append(error)
            except PerdureError as error:
                self._give_up(letter.number, error)

        async with anyio.create_task_group() as group:
            for letter, unit in starts:
                group.start_soon(here, letter, unit)
        if away:
            raise away[0]
        if there:
            await self._write(there)

    async def begin(self, letter: Letter) -> bool:
        """Start what a letter is to start, here; whether it is new. Raises as `start`, UnknownWorkflow and InvalidInput
        where other code is needed than is here.
        """
        start = letters.start_of(letter)
        workflow = self._workflows.get(start.workflow)
        if workflow is None or workflow.version != start.version:
            raise UnknownWorkflow(f"workflow {start.workflow!r} of version {start.version!r} is not known here")
        workflow.schema.parameters.unpack(start.input)
        return await self._start_here(workflow, letter.key, start.input, start.trace)

    async def _write(self, starts: Sequence[tuple[Letter, Unit]]) -> None:
        try:
            outcomes = await self._store.commit([unit for _, unit in starts], bits(63))
        except StoreUnavailable:
            raise
        except PerdureError as error:  # one of them is at fault, and the database does not say which
            if len(starts) == 1:
                self._give_up(starts[0][0].number, error)
                return
            half = len(starts) // 2
            await self._write(starts[:half])
            await self._write(starts[half:])
            return
        births(self._calls, [unit for _, unit in starts], outcomes)
        self._started()
        for (letter, _), outcome in zip(starts, outcomes, strict=True):
            if outcome is Outcome.EXISTS:
                await self._compare(letter)
            elif outcome is not Outcome.COMMITTED:
                raise StoreUnavailable(f"instance {letter.key!r} could not be started ({outcome.value}): again later")

    async def _compare(self, letter: Letter) -> None:
        row = await self._store.instance(letter.key)
        wanted = letters.start_of(letter).workflow
        if row is not None and row.workflow != wanted:
            logger.error(
                "a letter was to start instance %r of workflow %r, but the id belongs to workflow %r: nothing was "
                "started; use another id",
                letter.key,
                wanted,
                row.workflow,
            )

    async def _carry_out(self, mails: Mapping[int, Mail | None], held: Mapping[int, int]) -> None:
        try:
            done = await self._store.carry_out(mails, held)
        except StoreUnavailable:
            raise
        except PerdureError as error:  # as above
            if len(mails) == 1:
                self._give_up(next(iter(mails)), error)
                return
            numbers = list(mails)
            half = len(numbers) // 2
            for some in (numbers[:half], numbers[half:]):
                await self._carry_out({number: mails[number] for number in some}, held)
            return
        gone = Mail()
        for number, mail in mails.items():
            if mail is not None and number in done:
                gone.add(mail)
        if self._calls:
            mailed(self._calls, gone, None, self._clock.now())
        self._sent(gone)

    def _give_up(self, number: int, error: Exception) -> None:
        logger.error(
            "letter %d cannot be carried out, and stays in perdure_letters; delete it, or let another worker take over "
            "to try it again: %s",
            number,
            error,
        )
        self._given_up.add(number)
