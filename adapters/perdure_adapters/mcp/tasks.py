"""Instances as tasks, by the extension of MCP that SEP-2663 describes. Nothing is kept but the instances."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import mcp_types as t
from attrs import frozen
from mcp.server import ServerRequestContext
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from perdure import Handle, InstanceEnded, InstanceInfo, InvalidInput, NotCancellable, WorkflowCancelled
from perdure_adapters.mcp.answers import protocol
from perdure_adapters.mcp.documents import doing, moment
from perdure_adapters.mcp.instances import Instances
from perdure_adapters.mcp.outcomes import ended
from perdure_adapters.mcp.questions import Question, questions
from perdure_adapters.mcp.registered import Registered

EXTENSION = "io.modelcontextprotocol/tasks"

#: Milliseconds between looks, at least and at most.
_OFTEN, _SELDOM = 1000, 5000
_LONGEST_MESSAGE = 300


class TaskParams(t.RequestParams):
    """Of tasks/get and tasks/cancel."""

    task_id: str


class TaskUpdateParams(TaskParams):
    input_responses: dict[str, Any]


def knows_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether whoever asks this may be answered with a task."""
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities is not None else None
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and EXTENSION in (declared or {})


@frozen(eq=False)
class _Found:
    one: Registered
    handle: Handle[Any]
    info: InstanceInfo


class Tasks:
    """Ids of tasks are ids of instances."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    async def create(self, one: Registered, arguments: dict[str, Any]) -> dict[str, Any]:
        handle = await self._instances.start(one, arguments)
        info = await handle.info()
        return {**_task(info, "working", info.created_at), "resultType": "task"}

    async def get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        _check(ctx)
        with protocol("tasks/get"):
            return await self._get(ctx, params.task_id)

    async def update(self, ctx: ServerRequestContext[Any, Any], params: TaskUpdateParams) -> dict[str, Any]:
        _check(ctx)
        with protocol("tasks/update"):
            return await self._update(params.task_id, params.input_responses)

    async def cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        _check(ctx)
        with protocol("tasks/cancel"):
            return await self._cancel(params.task_id)

    async def _get(self, ctx: ServerRequestContext[Any, Any], id: str) -> dict[str, Any]:
        found = await self._find(id)
        info = found.info
        if info.status == "cancelled":
            return {**_task(info, "cancelled", info.ended_at), **await _reason(found.handle)}
        if info.ended_at is not None:
            result = await ended(found.one, found.handle)
            dumped = result.model_dump(by_alias=True, mode="json", exclude_none=True)
            return {**_task(info, "completed", info.ended_at), "result": dumped}
        why = await self._instances.app.why(id)
        said = {"statusMessage": doing(why)}
        asked = questions(found.one.name, info.run, why.waiting_for) if _may_be_asked(ctx) else {}
        if asked:
            requests = {key: question.request() for key, question in asked.items()}
            return {**_task(info, "input_required", why.since), **said, "inputRequests": requests}
        return {**_task(info, "working", why.since), **said}

    async def _update(self, id: str, responses: dict[str, Any]) -> dict[str, Any]:
        found = await self._find(id)
        if found.info.ended_at is not None:
            return _ACKNOWLEDGED
        why = await self._instances.app.why(id)
        asked = questions(found.one.name, found.info.run, why.waiting_for)
        most = self._instances.app.max_payload
        accepted = [
            (asked[key], _content(asked[key], response, most)) for key, response in responses.items() if key in asked
        ]
        for question, data in accepted:  # all of them fit
            if data is not _DECLINED:
                try:
                    await found.handle.send(question.channel, data, id=question.key)
                except InstanceEnded:
                    break
        return _ACKNOWLEDGED

    async def _cancel(self, id: str) -> dict[str, Any]:
        found = await self._find(id)
        with suppress(NotCancellable):  # a request is not more than that
            await found.handle.cancel(reason="the client cancelled its task")
        return _ACKNOWLEDGED

    async def _find(self, id: str) -> _Found:
        found = await self._instances.find(id)
        if found is None:
            raise MCPError(code=t.INVALID_PARAMS, message="Task not found")
        one, handle = found
        return _Found(one, handle, await handle.info())


_ACKNOWLEDGED = {"resultType": "complete"}
_DECLINED = object()


def _check(ctx: ServerRequestContext[Any, Any]) -> None:
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(code=t.METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
    require_client_extension(ctx, EXTENSION)


def _may_be_asked(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client shows forms."""
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _content(question: Question, response: Any, most: int) -> Any:
    """The data of an answer; `_DECLINED` where there are none. Raises InvalidInput."""
    action = response.get("action") if isinstance(response, dict) else None
    if action in ("decline", "cancel"):
        return _DECLINED
    if action != "accept":
        raise InvalidInput(f"{question.key}: an answer has the action accept, decline or cancel; send one of these")
    return question.data(response.get("content"), most)


def _task(info: InstanceInfo, status: str, updated: datetime | None) -> dict[str, Any]:
    task: dict[str, Any] = {
        "resultType": "complete",
        "taskId": info.instance_id,
        "status": status,
        "createdAt": moment(info.created_at),
        "lastUpdatedAt": moment(updated if updated is not None else info.created_at),
        "ttlMs": None,
    }
    if info.ended_at is None:
        task["pollIntervalMs"] = _interval(info)
    return task


def _interval(info: InstanceInfo) -> int:
    if info.status != "waiting" or info.wakes_at is None:
        return _OFTEN
    left = (info.wakes_at - datetime.now(UTC)).total_seconds()
    return min(max(int(left * 1000), _OFTEN), _SELDOM)


async def _reason(handle: Handle[Any]) -> dict[str, Any]:
    try:
        await handle.result()
    except WorkflowCancelled as cancelled:
        if cancelled.reason:
            return {"statusMessage": cancelled.reason[:_LONGEST_MESSAGE]}
    return {}
