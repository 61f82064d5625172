"""An agent: a model that goes on with a conversation, and uses tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast, overload

import typing_extensions
from attrs import evolve
from typing_extensions import TypeForm

from perdure import Activity, UsageError, gather
from perdure_adapters.llm.answers import Expected
from perdure_adapters.llm.errors import MaxIterationsExceeded
from perdure_adapters.llm.model import LLM
from perdure_adapters.llm.request import Request, conversation
from perdure_adapters.llm.response import Response, ToolCall, Usage
from perdure_adapters.llm.steps import asked, in_workflow, parsed
from perdure_adapters.llm.tools import Toolbox

D = typing_extensions.TypeVar("D", default=None)
T = TypeVar("T")


class DurableAgent(Generic[D]):
    """A conversation with a model, inside a workflow. After a crash it goes on where it was.

    Each answer is a recorded step, and so is each call of a tool: the tool's own activity, with its own retry policy.
    What tools fail with, the model is told. A tool's parameter `deps` is given `deps`, and hidden from the model.
    `system` begins the conversation. One `chat` asks the model `max_iterations` times at most; the correction of an
    answer is one more. `params` are as in `LLM.call`.

    `messages` is the whole conversation, plain dicts in OpenAI's form, all of which is sent each time. It may be
    edited between two chats. `usage` is what its answers have used.

    Raises UsageError for tools that are no activities, or of one name; InvalidInput for `deps` that a tool cannot take.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        deps: D = cast(Any, None),  # noqa: B008 - None
        system: str | None = None,
        tools: Sequence[Activity[..., Any]] = (),
        max_iterations: int = 10,
        **params: Any,
    ) -> None:
        if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
            raise UsageError(f"DurableAgent(max_iterations={max_iterations!r}): give a whole number, 1 or more")
        self.deps = deps
        self.messages: list[dict[str, Any]] = conversation("", system)[:-1]
        self.usage = Usage()
        self._most = max_iterations
        self._asking, self._said = llm.given("DurableAgent", params)
        self._tools = Toolbox(tools)
        self._tools.check(deps)
        self._chatting = False

    @overload
    async def chat(self, text: str, /) -> Response: ...
    @overload
    async def chat(self, text: str, /, *, response: TypeForm[T]) -> T: ...
    async def chat(self, text: str, /, *, response: Any = Response) -> Any:
        """Say something, and get the model's answer once it needs no more tools; with `response`, as a value of that
        type, as from `LLM.call_parse`.

        The calls of tools in one answer run at once, and begin in its order. What has been said stays in `messages`,
        also when this raises: MaxIterationsExceeded, BudgetExceeded, what `LLM.call` or, with `response`,
        `LLM.call_parse` raises. UsageError while another `chat` of this agent is under way.
        """
        expected: Expected[Any] | None = None if response is Response else Expected(response, "chat(response=...)")
        if self._chatting:
            raise UsageError("this agent is in a chat already; await that first, or make another agent")
        self._chatting = True
        try:
            return await self._chat(conversation(text, None)[0], expected)
        finally:
            self._chatting = False

    async def _chat(self, message: dict[str, Any], expected: Expected[Any] | None) -> Any:
        self.messages.append(message)
        for _ in range(self._most):
            request = Request.of(
                self.messages,
                self._said,
                tools=self._tools.described,
                format=None if expected is None else expected.format,
            )
            response = await asked(self._asking, request)
            self.usage += response.usage
            if response.tool_calls:
                used = await self._use(response.tool_calls)
                self.messages += [response.message(), *used]  # together: one without the other would be refused
            elif expected is None:
                self.messages.append(response.message())
                return response
            else:
                return await self._parsed(request, expected, response)
        raise MaxIterationsExceeded(
            f"the model still asks for tools after {self._most} answers; allow more (max_iterations=...), or look at "
            "agent.messages for what keeps it from an answer",
            iterations=self._most,
        )

    async def _use(self, calls: Sequence[ToolCall]) -> Sequence[dict[str, Any]]:
        if in_workflow():
            return await gather(*[self._tools.use(call, self.deps) for call in calls])
        return [await self._tools.use(call, self.deps) for call in calls]

    async def _parsed(self, request: Request, expected: Expected[Any], response: Response) -> Any:
        if request.tools:
            request = evolve(request, params={**request.params, "tool_choice": "none"})  # for a correction
        said: list[dict[str, Any]] = []
        try:
            return await parsed(self._asking, request, expected, response, said)
        finally:
            self.messages += said

    def __repr__(self) -> str:
        return f"<agent with {len(self.messages)} messages, {self.usage.total_tokens} tokens>"
