"""Clients of the SDK, also those that know tasks, as SEP-2663 has them do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import httpx2
import mcp_types as t
from attrs import define, field
from mcp import Client
from mcp.client import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from perdure import App
from perdure_adapters.mcp.tasks import EXTENSION

#: Said outright, nothing is tried out: a server that is slow to come is not taken for an old one.
MODERN = "2026-07-28"

#: Gives the answer to a question: its key, and the request's parameters.
Answer = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class TaskParams(t.RequestParams):
    task_id: str


class UpdateParams(TaskParams):
    input_responses: dict[str, Any]


class TaskResult(t.Result):
    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None


class GetTaskResult(t.Result):
    result_type: Literal["complete"] = "complete"
    task_id: str
    status: str
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None
    status_message: str | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    input_requests: dict[str, Any] | None = None


class GetTask(t.Request[TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: TaskParams
    name_param = "taskId"


class CancelTask(t.Request[TaskParams, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    params: TaskParams
    name_param = "taskId"


class UpdateTask(t.Request[UpdateParams, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    params: UpdateParams
    name_param = "taskId"


@define
class TasksClient(ClientExtension):
    """Follows a task to its end, and answers its questions. `seen` are the statuses on the way."""

    answer: Answer | None = None
    seen: list[str] = field(factory=list)
    identifier = EXTENSION

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=TaskResult, resolve=self.resolve)]

    async def resolve(self, task: TaskResult, ctx: ClaimContext) -> t.CallToolResult:
        answered: set[str] = set()
        while True:
            state = await ctx.session.send_request(GetTask(params=TaskParams(task_id=task.task_id)), GetTaskResult)
            if self.seen[-1:] != [state.status]:
                self.seen.append(state.status)
            if state.status == "completed":
                return t.CallToolResult.model_validate(state.result)
            if state.status in ("failed", "cancelled"):
                raise MCPError(code=-32603, message=state.status)
            for key, request in (state.input_requests or {}).items():
                if key not in answered and self.answer is not None:
                    answered.add(key)
                    response = dict(await self.answer(key, request["params"]))
                    params = UpdateParams(task_id=task.task_id, input_responses={key: response})
                    await ctx.session.send_request(UpdateTask(params=params), t.EmptyResult)
            await anyio.sleep(0.02)


async def no_form(context: Any, params: Any) -> t.ElicitResult:
    raise AssertionError("questions come with tasks here")


def knowing_tasks(server: Any, answer: Answer | None = None, *, forms: bool = True) -> Client:
    return Client(server, extensions=[TasksClient(answer)], elicitation_callback=no_form if forms else None)


async def begin(client: Client, name: str, arguments: dict[str, Any]) -> TaskResult:
    """The task itself, not followed."""
    result: Any = await client.session.call_tool(name, arguments, allow_claimed=True)
    assert isinstance(result, TaskResult), result
    return result


async def look(client: Client, id: str) -> GetTaskResult:
    return await client.session.send_request(GetTask(params=TaskParams(task_id=id)), GetTaskResult)


async def seen(client: Client, id: str, status: str) -> GetTaskResult:
    """Once it has this status."""
    with anyio.fail_after(60):
        while (state := await look(client, id)).status != status:
            await anyio.sleep(0.01)
    return state


async def respond(client: Client, id: str, responses: dict[str, Any]) -> None:
    params = UpdateParams(task_id=id, input_responses=responses)
    await client.session.send_request(UpdateTask(params=params), t.EmptyResult)


async def stop(client: Client, id: str) -> None:
    await client.session.send_request(CancelTask(params=TaskParams(task_id=id)), t.EmptyResult)


@asynccontextmanager
async def over_http(
    url: str, *, token: str | None = None, tasks: TasksClient | None = None, **settings: Any
) -> AsyncGenerator[Client]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    settings.setdefault("mode", MODERN)
    extensions = [] if tasks is None else [tasks]
    async with (
        httpx2.AsyncClient(headers=headers, timeout=90) as http,
        Client(streamable_http_client(url, http_client=http), extensions=extensions, **settings) as client,
    ):
        yield client


class Told:
    """What a call has told of its progress. The client may hand that out late, and in another order."""

    def __init__(self) -> None:
        self._all: dict[float, str | None] = {}

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self._all[progress] = message

    async def first(self, count: int) -> list[str | None]:
        with anyio.fail_after(60):
            while len(self._all) < count:
                await anyio.sleep(0.01)
        return [self._all[number] for number in range(1, len(self._all) + 1)]


async def watched(client: Client, app: App, told: Told) -> Any:
    """The result of a workflow that is waited for, and goes on once the first of its steps has been told."""
    id = data_of(await client.call_tool("approve_start", {"item": "a desk"}))["instance_id"]

    async def approval() -> None:
        await told.first(1)
        await app.handle("approve", id).send("approval", {"approved": True})

    async with anyio.create_task_group() as group:
        group.start_soon(approval)
        return data_of(
            await client.call_tool("approve_result", {"instance_id": id, "wait": 60}, progress_callback=told)
        )


def text_of(result: t.CallToolResult) -> str:
    """Of an error."""
    assert result.is_error
    assert result.structured_content is None
    (content,) = result.content
    assert isinstance(content, t.TextContent)
    assert "Traceback" not in content.text
    return content.text


def data_of(result: t.CallToolResult) -> Any:
    assert not result.is_error, result.content
    return result.structured_content
