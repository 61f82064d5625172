"""Why an instance does not go on: what it waits for, since when, whose turn it is, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import orjson
from attrs import define, evolve, field, frozen

from perdure.codec import Failure
from perdure.definitions.retry import Retry
from perdure.definitions.workflow import Workflow
from perdure.durations import from_datetime, to_datetime
from perdure.errors import NonDeterminism, StoreError
from perdure.inspection.rereading import PATIENCE, apart, brief, reread, said
from perdure.inspection.spans import moment, span
from perdure.inspection.waits import Wait, raw_waits, waits_of
from perdure.ports import Census, InstanceRow, Store, Stored

Problem: TypeAlias = Literal[
    "stuck",
    "disagrees",
    "blocks",
    "no worker",
    "unknown workflow",
    "lease expired",
    "no owner",
    "cancel unseen",
    "retrying",
    "overdue",
    "child",
    "compensation failed",
]

#: Things named in a sentence; the rest is counted.
_NAMED = 3
#: Microseconds for which a request may be on its way before it counts as a problem.
_GRACE = 2_000_000


@frozen(kw_only=True)
class Owner:
    """The worker whose partition the instance is in. `expires_at`: when its lease ends if it is not renewed; `alive`:
    it has not ended. `knows`: it knows the instance's workflow.
    """

    worker_id: str
    expires_at: datetime | None
    alive: bool
    knows: bool


@frozen(kw_only=True)
class Why:
    """`sentence` says all of it in words, with times in the time zone of this process.

    `waiting_for` is what its code waits for, the oldest first; without the code, as far as its stream tells. `problem`
    is the worst that was found, None if there is nothing to do but wait. `since` is when the oldest wait began or, once
    it has ended, when that was.
    """

    instance_id: str
    workflow: str
    status: str
    sentence: str
    since: datetime | None
    waiting_for: tuple[Wait, ...]
    owner: Owner | None
    problem: Problem | None


@define
class _Account:
    """What is found out, piece by piece: the pieces of the sentence, and the problems, the worst first."""

    head: str = ""
    since: int | None = None
    waits: list[Wait] = field(factory=list)
    remarks: list[str] = field(factory=list)
    problems: list[Problem] = field(factory=list)


async def explain(
    store: Store, workflows: Mapping[str, Workflow[..., Any]], retry: Retry, instance_id: str
) -> Why | None:
    """None where there is no such instance."""
    found = await store.load([instance_id])
    if not found:
        return None
    stored, census = found[0], await store.census()
    row = stored.instance
    account = _Account()
    owner = _owner(row, census)
    if row.ended_at is not None:
        _over(account, stored, census.now)
    else:
        await _find_waits(account, stored, workflows.get(row.workflow), retry, census.now, owner)
        await _look_at_children(account, store)
        _head(account, stored, census.now)
        _look_at_cancellation(account, stored, census.now)
        _look_at_owner(account, row, owner, census)
    return Why(
        instance_id=row.id,
        workflow=row.workflow,
        status=row.status,
        sentence="; ".join([account.head, *account.remarks]),
        since=None if account.since is None else to_datetime(account.since),
        waiting_for=tuple(account.waits),
        owner=owner,
        problem=account.problems[0] if account.problems else None,
    )


def _over(account: _Account, stored: Stored, now: int) -> None:
    row = stored.instance
    account.since = row.ended_at
    assert row.ended_at is not None  # that is why we are here
    account.head = f"{row.id} waits for nothing: it {_ENDED[row.status]} at {moment(row.ended_at, now)}"
    if row.status == "failed" and row.error is not None:
        account.head += f" with {said(row.error)}"
    reason = orjson.loads(row.cancel_requested)["reason"] if row.cancel_requested is not None else None
    if row.status == "cancelled" and reason:
        account.head += f" ({brief(reason)})"
    undone = orjson.loads(row.undo or "[]")
    failed = [one for one in undone if one["outcome"] == "failed"]
    if failed:
        names = ", ".join(repr(one["name"]) for one in failed[:_NAMED])
        why = f", the first with {said(orjson.dumps(failed[0]['error']).decode())}" if failed[0].get("error") else ""
        account.remarks.append(f"not all it did is undone: {names} failed{why}; mend that, and retry its compensations")
        account.problems.append("compensation failed")
    elif any(one["outcome"] == "unknown" for one in undone):
        account.remarks.append("what it did was not undone, as its code could not run; look at its history")
        account.problems.append("compensation failed")


_ENDED = {"completed": "completed", "failed": "failed", "cancelled": "was cancelled"}


async def _find_waits(
    account: _Account, stored: Stored, workflow: Workflow[..., Any] | None, retry: Retry, now: int, owner: Owner | None
) -> None:
    """From the code if it is known and fits, else from the stream alone."""
    row = stored.instance
    if workflow is None:
        account.waits = raw_waits(stored.events, now)
        account.remarks.append(f"there may be more to it: this app does not know workflow {row.workflow!r}")
        return
    alive = owner is not None and owner.alive and owner.knows

    def work() -> tuple[list[Wait], Exception | None, str | None]:
        reading = reread(workflow, row, stored.events)
        try:
            closing = reading.machine.closing
            failing = getattr(closing, "failure", None) if row.status != "compensating" else None
            waits = [] if reading.error is not None else waits_of(reading, retry, now, alive=alive)
            return waits, reading.error, failing
        finally:
            reading.close()

    try:
        account.waits, error, failing = await apart(work)
    except TimeoutError:
        account.problems.append("blocks")
        account.remarks.append(f"its code blocks: it has computed for {PATIENCE:g} s; do that in an activity")
        account.waits = raw_waits(stored.events, now)
        return
    except StoreError as unreadable:
        error, failing = unreadable, None
    if error is not None:
        account.waits = raw_waits(stored.events, now)
        if row.status == "stuck":  # the row says how, of the code that workers run
            account.remarks.append("run a worker with code that fits, and it goes on")
        else:
            account.problems.append("disagrees")
            account.remarks.append(f"today's code does not fit it: {_disagreement(error)}")
    elif row.status == "stuck":
        account.remarks.append("the code here fits it: it goes on once a worker runs that")
    elif failing is not None:
        account.problems.append("disagrees")
        account.remarks.append(f"today's code would fail it with {said(failing)}")
    if row.status != "stuck" and any(wait.attempt and wait.error for wait in account.waits):
        account.problems.append("retrying")


def _disagreement(error: BaseException) -> str:
    if isinstance(error, NonDeterminism) and error.history:
        return brief(f"history holds {error.history}, the code {error.code} ({error.where})", 500)
    return brief(str(error), 500)


def _head(account: _Account, stored: Stored, now: int) -> None:
    row = stored.instance
    last = stored.events[-1]
    begun = [wait.since for wait in account.waits if wait.since is not None]
    at = last[4]
    account.since = at
    if row.status == "stuck":
        error = Failure.from_json(row.error).rebuild() if row.error is not None else StoreError("no reason is recorded")
        account.head = f"{row.id} is stuck after event {last[0]} of {moment(at, now)}: {_disagreement(error)}"
        account.problems.insert(0, "stuck")
        account.waits = []
        return
    verb = "compensates" if row.status == "compensating" else "waits"
    if begun:
        account.since = at = from_datetime(min(begun), "since")
    if account.waits:
        named = [wait.text for wait in account.waits[:_NAMED]]
        more = len(account.waits) - len(named)
        what = ", ".join(named) + f" and {more} more" if more else " and ".join(named)
        undoing = " what it did, and waits" if row.status == "compensating" else ""
        account.head = f"{row.id} {verb}{undoing} since {moment(at, now)} for {what}"
    else:
        due = f"; its next deadline is in {span(row.wake_at - now)}" if row.wake_at and row.wake_at > now else ""
        last_event = f"event {last[0]}, {last[1]}{f' {last[3]!r}' if last[3] else ''}"
        account.head = f"{row.id} {verb} since {moment(at, now)}, after {last_event}{due}"


async def _look_at_children(account: _Account, store: Store) -> None:
    """How those that are waited for are doing themselves."""
    for number, wait in enumerate(account.waits[:_NAMED]):
        if wait.kind != "child":
            continue
        child = await store.instance(wait.name)
        status = "gone" if child is None else child.status
        account.waits[number] = evolve(wait, text=wait.text.replace(")", f", {status})", 1))
        if status == "stuck":
            account.problems.append("child")


def _look_at_cancellation(account: _Account, stored: Stored, now: int) -> None:
    row = stored.instance
    if row.cancel_requested is None:
        return
    reason = orjson.loads(row.cancel_requested)["reason"]
    why = f" ({brief(reason)})" if reason else ""
    if any(event[1] == "CancelRequested" for event in stored.events):
        account.remarks.append(f"it was cancelled{why}, and is ending")
    else:
        account.remarks.append(f"its cancellation{why} is recorded, and not seen yet")
        account.problems.append("cancel unseen")


def _owner(row: InstanceRow, census: Census) -> Owner | None:
    holding = next((one for one in census.holdings if one.partition == row.partition), None)
    if holding is None or holding.owner is None:
        return None
    member = next((one for one in census.members if one.id == holding.owner), None)
    return Owner(
        worker_id=holding.owner,
        expires_at=None if member is None else to_datetime(member.expires_at),
        alive=member is not None and member.expires_at > census.now,
        knows=member is not None and row.workflow in member.workflows,
    )


def _look_at_owner(account: _Account, row: InstanceRow, owner: Owner | None, census: Census) -> None:
    """Said last; but where nobody runs it, that is what is wrong."""
    living = [member for member in census.members if member.expires_at > census.now]
    knowing = [member.id for member in living if row.workflow in member.workflows]
    own: Problem | None = None
    if not living:
        last = max((member.expires_at for member in census.members), default=None)
        ago = f": the last lease ended {span(census.now - last)} ago" if last is not None else ""
        account.remarks.append(f"no worker is alive{ago}; start one with `perdure run`")
        own = "no worker"
    elif not knowing:
        known = sorted({name for member in living for name in member.workflows})
        names = ", ".join(known[:5]) + (" ..." if len(known) > 5 else "")
        account.remarks.append(f"no live worker knows workflow {row.workflow!r}, but {names}; start one that does")
        own = "unknown workflow"
    elif owner is None:
        account.remarks.append(f"nobody owns its partition {row.partition} just now; a worker will take it")
        own = "no owner"
    elif not owner.alive:
        account.remarks.append(f"the lease of its owner, worker {owner.worker_id}, has expired; another one takes over")
        own = "lease expired"
    elif not owner.knows:
        account.remarks.append(f"owned by worker {owner.worker_id}, which passes it on to {knowing[0]}, who knows it")
    else:
        account.remarks.append(f"owned by worker {owner.worker_id} (lease ok)")
        late = to_datetime(census.now - _GRACE)
        if any(wait.until is not None and wait.until < late for wait in account.waits):
            account.remarks.append("a deadline has passed, and it has not acted on that: see its log")
            account.problems.append("overdue")
    if own is not None:
        account.problems.insert(1 if account.problems[:1] == ["stuck"] else 0, own)
