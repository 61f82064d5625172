"""What would become of the instances that are under way if only today's code ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, TypeAlias

from attrs import frozen

from perdure.definitions.workflow import Workflow
from perdure.errors import NonDeterminism, StoreError
from perdure.inspection.rereading import Reading, apart, brief, reread, said
from perdure.machine.children import SpawnChild
from perdure.machine.commands import FailWorkflow
from perdure.ports import Filter, InstanceRow, Store, Stored

Fate: TypeAlias = Literal["fits", "stuck", "fails", "blocks", "unknown"]

_PAGE = 200
#: Streams in memory at once.
_CHUNK = 10
#: Instances of one workflow that may block, each in a thread that goes on for ever, before the others are not tried.
_BLOCKED = 3


@frozen(kw_only=True)
class Verdict:
    """What would become of one instance. `fate`:

    - "fits": it would go on;
    - "stuck": code and history disagree, at the event number `event`: history holds `step`, the code asked for `code`;
    - "fails": today's code raises where the recorded one was waiting;
    - "blocks": the code did not come back in time: it computes or waits outside of any activity;
    - "unknown": this app does not know its workflow, and says nothing about it.

    `status` is its status now: one that is "stuck" and "fits" would go on. `error` says more; `where` is the line.
    """

    instance_id: str
    workflow: str
    version: str | None
    run: int
    status: str
    fate: Fate
    event: int | None = None
    step: str | None = None
    code: str | None = None
    where: str | None = None
    error: str | None = None

    @property
    def good(self) -> bool:
        return self.fate in ("fits", "unknown")


async def verify(
    store: Store, workflows: Mapping[str, Workflow[..., Any]], workflow: str | None, patience: float
) -> AsyncGenerator[Verdict]:
    """One verdict for each instance that has not ended, the newest first."""
    blocked: Counter[str] = Counter()
    after: tuple[int, str] | None = None
    while True:
        rows = await store.find(Filter(workflow, None, None, _PAGE, after, live=True))
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            known = [row.id for row in chunk if row.workflow in workflows]
            stored = {one.instance.id: one for one in await store.load(known)} if known else {}
            for row in chunk:
                if row.workflow not in workflows:
                    yield _verdict(row, "unknown", error=f"this app does not know workflow {row.workflow!r}")
                elif row.id in stored and stored[row.id].instance.ended_at is None:
                    if blocked[row.workflow] >= _BLOCKED:
                        text = f"not tried: other instances of workflow {row.workflow!r} block"
                        yield _verdict(row, "blocks", error=text)
                        continue
                    verdict = await _try(workflows[row.workflow], stored[row.id], patience)
                    blocked[row.workflow] += verdict.fate == "blocks"
                    yield verdict
        if len(rows) < _PAGE:
            return
        after = rows[-1].created_at, rows[-1].id


async def _try(workflow: Workflow[..., Any], stored: Stored, patience: float) -> Verdict:
    def work() -> Verdict:
        reading = reread(workflow, stored.instance, stored.events)
        try:
            return _judge(stored.instance, reading)
        finally:
            reading.close()

    try:
        return await apart(work, patience)
    except TimeoutError:
        text = f"the code has computed for {patience:g} s: it blocks; do that in an activity"
        return _verdict(stored.instance, "blocks", error=text)
    except StoreError as error:
        return _verdict(stored.instance, "stuck", error=str(error))


def _judge(row: InstanceRow, reading: Reading) -> Verdict:
    error, machine = reading.error, reading.machine
    if isinstance(error, NonDeterminism):
        return _verdict(
            row,
            "stuck",
            event=reading.position,
            step=error.history,
            code=error.code,
            where=error.where,
            error=str(error),
        )
    if error is not None:
        text = f"the code cannot be run: {type(error).__name__}: {error}"
        return _verdict(row, "stuck", event=reading.position, error=text)
    closing = machine.closing
    undoing = machine.saga is not None and machine.saga.told
    if isinstance(closing, FailWorkflow) and not machine.over and not undoing and not _starting(reading):
        text = f"today's code raises after event {reading.position}: {said(closing.failure)}"
        return _verdict(row, "fails", event=reading.position, error=text)
    return _verdict(row, "fits")


def _starting(reading: Reading) -> bool:
    """It had raised before, and only waits to hear of a child."""
    return any(isinstance(command, SpawnChild) for command in reading.machine.commands.values())


def _verdict(row: InstanceRow, fate: Fate, *, error: str | None = None, **more: Any) -> Verdict:
    return Verdict(
        instance_id=row.id,
        workflow=row.workflow,
        version=row.version,
        run=row.run,
        status=row.status,
        fate=fate,
        error=None if error is None else brief(error, 2000),
        **more,
    )
