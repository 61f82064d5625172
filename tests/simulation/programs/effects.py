"""Steps that write into the database, and tell the world outside."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import anyio

from perdure import activity, activity_info, emit, publish, session, timeout
from simulation.programs.kinds import kind
from simulation.programs.sagas import PATIENT, undo

#: The rows of each execution that came to its end, by the place of its attempt: those of one of them are in the table,
#: if the attempt is recorded.
written: dict[str, list[set[str]]] = {}
#: The places of all executions that began.
begun: list[str] = []

SOURCE = "/simulation"


def _begin() -> str:
    """A prefix for the rows of this execution: the same attempt may be begun again after a crash."""
    info = activity_info()
    run, _, _ = info.idempotency_key.rpartition("-")
    begun.append(f"{run}-{info.step}.{info.attempt}")
    return f"{begun[-1]}/{len(begun)}"


def _done(prefix: str, rows: Iterable[object]) -> None:
    written.setdefault(prefix.split("/")[0], []).append({f"{prefix}.{row}" for row in rows})


@activity(retry=PATIENT)
async def keep(
    rows: int, failures: int, nested: str, how: str, subject: str | None, channel: str | None, slow: float
) -> int:
    """`nested` savepoints: "kept", "lost", or "deep" for one in the other. The attempts that fail write nothing.
    `slow`: seconds in which the transaction is open.
    """
    prefix = _begin()
    async with session() as db:
        for number in range(rows):
            db.connection[f"{prefix}.{number}"] = number
        if nested:
            await _nest(prefix, nested)
        await anyio.sleep(slow)
    if subject is not None:
        await emit("kept", rows, source=SOURCE, subject=subject)
    if channel is not None:
        await publish(channel, rows)
    if activity_info().attempt <= failures:
        raise ConnectionError("kept in vain")
    _done(prefix, [*range(rows), *(["kept"] if nested in ("kept", "deep") else [])])
    return rows


async def _nest(prefix: str, how: str) -> None:
    async with session() as db:
        if how == "lost":
            with suppress(LookupError):
                async with session() as inner:
                    inner.connection[f"{prefix}.lost"] = True
                    raise LookupError
            return
        db.connection[f"{prefix}.kept"] = True
        if how == "deep":
            with suppress(LookupError):
                async with session() as inner:
                    async with session() as innermost:
                        innermost.connection[f"{prefix}.deeper"] = True
                    inner.connection[f"{prefix}.kept"] = False
                    raise LookupError


@keep.compensation
async def unkeep(
    rows: int, failures: int, nested: str, how: str, subject: str | None, channel: str | None, slow: float
) -> None:
    prefix = _begin()
    async with session() as db:
        db.connection[f"{prefix}.undone"] = rows
    if subject is not None:
        await emit("unkept", rows, source=SOURCE, subject=subject)
    undo(str(rows), how)
    _done(prefix, ["undone"])


@activity(retry=PATIENT)
async def proclaim(subject: str | None, count: int, failures: int, poison: str) -> None:
    for number in range(count):
        await emit("proclaimed", number, source=SOURCE, subject=subject, poison=poison)
    if activity_info().attempt <= failures:
        raise ConnectionError("proclaimed in vain")


@kind
async def kept(
    rows: int,
    failures: int,
    nested: str,
    how: str,
    subject: str | None,
    channel: str | None,
    slow: float,
    by: float,
) -> int:
    """With `by`, seconds, it may be given up in the middle."""
    if not by:
        return await keep(rows, failures, nested, how, subject, channel, slow)
    with suppress(TimeoutError):
        async with timeout(by):
            await keep(rows, failures, nested, how, subject, channel, slow)
    return rows


@kind
async def emitted(subject: str | None, count: int, by_activity: bool, poison: str) -> str:
    if by_activity:
        await proclaim(subject, count, count % 2, poison)
    else:
        for number in range(count):
            await emit("emitted", number, source=SOURCE, subject=subject, poison=poison)
    return "emitted"
