"""What came of an instance, waited for if that is wished."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import anyio
import mcp_types as t
import orjson

from perdure import Handle, InstanceInfo, InvalidInput, WorkflowCancelled, WorkflowFailed
from perdure.codec.schemas import wraps
from perdure_adapters.documents import said
from perdure_adapters.mcp.answers import given, refused
from perdure_adapters.mcp.documents import moment
from perdure_adapters.mcp.registered import Registered

#: Takes how many steps are done, and the name of the last.
Progress = Callable[[int, str], Awaitable[None]]

#: Milliseconds after which it is worth to ask again, at most.
_MOST = 60_000
#: Seconds between looks at the steps of an instance that is waited for.
_LOOK = 0.3
#: Steps that are told of at once, the last ones.
_TOLD = 20
_STEPS = frozenset(
    (
        "StepCompleted",
        "StepFailed",
        "TimerFired",
        "MessageReceived",
        "EventReceived",
        "QuestionAnswered",
        "ChildEnded",
    )
)


async def outcome(
    one: Registered, handle: Handle[Any], *, wait: float = 0.0, progress: Progress | None = None
) -> t.CallToolResult:
    """Of an instance that is there. `wait` in seconds."""
    info = await handle.info()
    if info.ended_at is None and wait > 0:
        if progress is None:
            await _until_ended(handle, wait)
        else:
            await _watched(handle, wait, progress)
        info = await handle.info()
    return _unfinished(one, info) if info.ended_at is None else await ended(one, handle)


async def ended(one: Registered, handle: Handle[Any]) -> t.CallToolResult:
    """Of one that has ended. Raises ValueError for a recorded result that no longer fits its type."""
    try:
        value = await handle.result()
    except InvalidInput as error:  # which is nothing that whoever asks has given
        raise ValueError(str(error)) from error
    except WorkflowFailed as failed:
        return refused(f"{one.name} {handle.id!r} failed with {said(failed.error)}")
    except WorkflowCancelled as cancelled:
        reason = f": {cancelled.reason}" if cancelled.reason else ""
        return refused(f"{one.name} {handle.id!r} was cancelled{reason}")
    codec = one.workflow.schema.result
    data = orjson.loads(codec.encode(value, max_payload=sys.maxsize))
    return given({"result": data} if wraps(codec) else data)


def _unfinished(one: Registered, info: InstanceInfo) -> t.CallToolResult:
    milliseconds = 1000
    when = "in 1 s"
    if info.status == "waiting" and info.wakes_at is not None:
        left = (info.wakes_at - datetime.now(UTC)).total_seconds()
        if left > 1:
            milliseconds = min(int(left * 1000), _MOST)
            when = f"at {moment(info.wakes_at)}, when it wakes at the latest"
            if milliseconds == _MOST:  # what wakes it may be a timeout, and what it waits for may come before
                when = f"in a minute (it wakes at {moment(info.wakes_at)} at the latest)"
    state = f"it is {info.status}"
    if info.status == "stuck" and info.error is not None:
        milliseconds, when = 60_000, "in a minute"
        state = f"it is stuck, and its operator is to look at it ({said(info.error)})"
    return refused(f"{one.name} {info.instance_id!r} has not ended: {state}; ask again {when}", milliseconds)


async def _until_ended(handle: Handle[Any], wait: float) -> None:
    with anyio.move_on_after(wait), suppress(WorkflowFailed, WorkflowCancelled, InvalidInput):
        await handle.result()


async def _watched(handle: Handle[Any], wait: float, progress: Progress) -> None:
    steps = _Steps(handle, progress)
    await steps.tell()
    over = anyio.Event()
    errors: list[Exception] = []

    async def end() -> None:
        try:
            await _until_ended(handle, wait)
        except Exception as error:  # out of a task group it would come as a group
            errors.append(error)
        over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(end)
        pause = _LOOK
        while not over.is_set():
            with anyio.move_on_after(pause):
                await over.wait()
            began = anyio.current_time()
            try:
                await steps.tell()
            except Exception as error:
                errors.append(error)
                break
            pause = max(_LOOK, 10 * (anyio.current_time() - began))
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]


class _Steps:
    """Tells of the steps that have been done since it was asked last."""

    def __init__(self, handle: Handle[Any], progress: Progress) -> None:
        self._handle = handle
        self._progress = progress
        self._run = 0
        self._seen = 0
        self._done = 0

    async def tell(self) -> None:
        run = (await self._handle.info()).run
        events = []
        if self._run and run != self._run:
            events += [one for one in await self._handle.history(run=self._run) if one.seq > self._seen]
        if run != self._run:
            self._run, self._seen = run, 0
        more = [one for one in await self._handle.history(run=run) if one.seq > self._seen]
        if more:
            self._seen = more[-1].seq
        events += more
        names = [one.name for one in events if one.kind in _STEPS]
        before = self._done
        self._done += len(names)
        for number, name in list(enumerate(names, before + 1))[-_TOLD:]:
            await self._progress(number, name)
