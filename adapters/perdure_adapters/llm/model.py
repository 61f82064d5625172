"""LLM: a model to ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from typing_extensions import TypeForm

from perdure import Activity, UsageError
from perdure_adapters.llm.answers import Expected
from perdure_adapters.llm.durable import DurableCall
from perdure_adapters.llm.providers import Provider
from perdure_adapters.llm.request import Request, conversation
from perdure_adapters.llm.response import Response
from perdure_adapters.llm.settings import Key, Settings, retry_of, without_key
from perdure_adapters.llm.steps import Asking, asked, parsed
from perdure_adapters.llm.tools import described

P = ParamSpec("P")
T = TypeVar("T")


class _Decorator(Protocol[T]):
    def __call__(self, fn: Callable[P, str | Awaitable[str]], /) -> Activity[P, T]: ...


class LLM:
    """A model to ask. Inside a workflow each request is a recorded step; outside it is just made.

    `provider` is "openai", "anthropic" or "gemini"; `base_url` any other server that speaks OpenAI's protocol.
    `api_key` is the key, or a function that gives it, async or not; without one it is read from the environment. It is
    asked for at each attempt and kept nowhere. `timeout` is for one request, in seconds, by default 120. `retry` is the
    steps' policy, by default that of the app. All else goes to the service as it is: `temperature=0`. What is not given
    here is the app's default, see `set_app_defaults`.

    A call may give all of these anew, but for `api_key`. Each request is one attempt of its step: 408, 429, 5xx and
    failures of the network are ServiceUnavailable and retried by the policy, not before `Retry-After`; any other 4xx is
    RequestRejected, at once. Raises UsageError for settings that make no sense.
    """

    def __init__(
        self,
        provider: Provider | None = None,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: Key | None = None,
        **params: Any,
    ) -> None:
        retry = retry_of("LLM", params.pop("retry", None))
        self._settings = Settings.given(
            "LLM", provider=provider, model=model, base_url=base_url, api_key=api_key, **params
        )
        self._asking = Asking([self._settings], retry)

    @property
    def activity(self) -> Activity[[Request], Response]:
        """What the steps run: `fake(llm.activity, returns=Response("yes"))` in tests."""
        return self._asking

    async def call(
        self, prompt: str, /, *, system: str | None = None, tools: Sequence[Activity[..., Any]] = (), **params: Any
    ) -> Response:
        """One answer. `tools` are offered to the model; what it asks for is in `tool_calls`, and up to the caller.

        Raises InvalidInput for what cannot be sent; BudgetExceeded; a RequestRejected or NotConfigured; RetryExhausted
        inside a workflow, where its `.error` is the last ServiceUnavailable, and outside that error itself.
        """
        return await self.call_messages(conversation(prompt, system), tools=tools, **params)

    async def call_messages(
        self, messages: Sequence[Mapping[str, Any]], /, *, tools: Sequence[Activity[..., Any]] = (), **params: Any
    ) -> Response:
        """As `call`, of a whole conversation: `{"role": "user", "content": "..."}` and so on."""
        asking, said = self.given("call", params)
        return await asked(asking, Request.of(messages, said, tools=described(tools)))

    async def call_parse(self, type: TypeForm[T], prompt: str, /, *, system: str | None = None, **params: Any) -> T:
        """An answer of this type: whatever perdure can store. An answer that does not fit is corrected once.

        The correction is a step of its own. Raises InvalidAnswer if that does not fit either, AnswerCut, AnswerFiltered
        or AnswerRefused if there is none, and what `call` raises; UsageError for a type that cannot be stored.
        """
        expected: Expected[T] = Expected(type, "call_parse")
        asking, said = self.given("call_parse", params)
        request = Request.of(conversation(prompt, system), said, format=expected.format)
        return await parsed(asking, request, expected, await asked(asking, request))

    @overload
    def durable_call(
        self, *, response: TypeForm[T], model: str | None = None, system: str | None = None, **params: Any
    ) -> _Decorator[T]: ...
    @overload
    def durable_call(
        self, *, response: type[Response] = ..., model: str | None = None, system: str | None = None, **params: Any
    ) -> _Decorator[Response]: ...
    def durable_call(
        self, *bare: Any, response: Any = Response, model: str | None = None, system: str | None = None, **params: Any
    ) -> Any:
        """Decorate a function, `def` or `async def`, that returns a prompt: calling it gives the model's answer.

        It is an activity of the function's name, or of `name`: the prompt is made and sent in one step, and recorded
        with the answer, so that the function may look things up. With `response` the answer has that type, as in
        `call_parse`. Raises UsageError for what is no such function, or a type that cannot be stored.
        """
        if bare:
            raise UsageError("write @llm.durable_call() with parentheses, in which it is said what it answers with")
        where = "durable_call"
        retry = retry_of(where, params.pop("retry", None)) or self._asking.retry
        name = params.pop("name", None)
        places = [Settings.given(where, model=model, **params), self._settings]

        def decorate(fn: Callable[P, str | Awaitable[str]]) -> DurableCall[P, Any]:
            return DurableCall(fn, places, response, retry, name=name, system=system)

        return decorate

    def given(self, where: str, params: dict[str, Any]) -> tuple[Activity[[Request], Response], Settings]:
        """How a call that says this is made."""
        retry = retry_of(where, params.pop("retry", None))
        said = without_key(where, params)
        return (self._asking if retry is None else self._asking.options(retry=retry)), said

    def __repr__(self) -> str:
        named = " ".join(name for name in (self._settings.provider, self._settings.model) if name)
        return f"<LLM {named or '(as the app says)'}>"
