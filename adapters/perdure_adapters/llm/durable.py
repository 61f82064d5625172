"""Functions that return a prompt, as activities that return the answer."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio
from attrs import frozen

from perdure import Activity, InvalidInput, Retry, UsageError, activity_info
from perdure.codec import Codec, Parameters, codec_for
from perdure.definitions.ambient import stand_ins
from perdure.definitions.schema import Schema
from perdure_adapters.llm import budgets
from perdure_adapters.llm.answers import Expected
from perdure_adapters.llm.request import Request, conversation
from perdure_adapters.llm.response import Response
from perdure_adapters.llm.sending import send
from perdure_adapters.llm.settings import Settings
from perdure_adapters.llm.steps import Asking, in_workflow, parsed

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class Asked:
    """What the step of a durable call records."""

    prompt: str
    response: Response


class DurableCall(Activity[P, T]):
    """The activity that `durable_call` makes."""

    undoes = False

    def __init__(
        self,
        fn: Callable[P, str | Awaitable[str]],
        places: Sequence[Settings],
        response: Any,
        retry: Retry | None,
        *,
        name: str | None = None,
        system: str | None = None,
    ) -> None:
        super().__init__(fn, name=name, retry=retry, timeout=None, transactional=False)
        self._places = places
        self._system = system
        self._expected: Expected[T] | None = None
        if response is not Response:
            self._expected = Expected(response, f"the response of {self.name!r}")
        self.schema = _AnswerSchema(fn, f"durable call {self.name!r}", codec_for(response, f"{self.name!r}"))
        self._prompting = _Prompting(self)
        self._correcting = Asking(places, retry, self.name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, T]:
        """Raises what `LLM.call_parse` raises."""
        stand_in = stand_ins.get(self.fn)
        if not in_workflow():
            return self._plain(args, kwargs) if stand_in is None else stand_in(*args, **kwargs)
        if stand_in is not None:
            return self._faked(super().__call__(*args, **kwargs))
        return self._steps(
            *self.schema.parameters.copy(args, kwargs, max_payload=sys.maxsize)
        )  # what does not fit is refused now

    def compensation(self, undo: Callable[..., Any], /) -> Any:
        """Raises UsageError: an answer leaves nothing to undo."""
        raise UsageError(f"{self.name!r} asks a model, which leaves nothing to undo; use compensate() in the workflow")

    async def _steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        prompting: Activity[..., Asked] = self._prompting.options(retry=self.retry, timeout=self.timeout)
        counting = budgets.begin()
        asked = await prompting(*args, **kwargs)
        budgets.end(counting, asked.response)
        return await self._answer(asked)

    async def _faked(self, step: Coroutine[None, None, T]) -> T:
        try:
            counting = budgets.begin()
        except BaseException:
            step.close()  # nobody will await it
            raise
        value = await step
        if isinstance(value, Response):
            budgets.end(counting, value)
        return value

    async def _plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        counting = budgets.begin()
        asked = await self.ask(args, kwargs, None)
        budgets.end(counting, asked.response)
        return await self._answer(asked)

    async def _answer(self, asked: Asked) -> T:
        if self._expected is None:
            response: Any = asked.response
            return response  # type: ignore[no-any-return]  # T is Response then
        correcting = self._correcting.options(retry=self.retry, timeout=self.timeout)
        return await parsed(correcting, self._request(asked.prompt), self._expected, asked.response)

    def _request(self, prompt: str) -> Request:
        wanted = None if self._expected is None else self._expected.format
        return Request.of(conversation(prompt, self._system), Settings(), format=wanted)

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], idempotency_key: str | None) -> Asked:
        """One attempt: the prompt, and what is answered."""
        fn: Callable[..., Any] = self.fn
        if self.is_async:
            prompt = await fn(*args, **kwargs)
        else:
            prompt = await anyio.to_thread.run_sync(partial(fn, *args, **kwargs), abandon_on_cancel=True)
            if inspect.isawaitable(prompt):
                prompt = await prompt
        if not isinstance(prompt, str):
            raise InvalidInput(f"{self.name!r} returned {type(prompt).__name__}; let it return the prompt, a str")
        return Asked(prompt, await send(self._request(prompt), self._places, idempotency_key))


class _AnswerSchema(Schema):
    """The function's parameters, and the answer's type as the result."""

    def __init__(self, fn: Callable[..., Any], where: str, answer: Codec) -> None:
        self._answer = answer
        super().__init__(fn, where)

    @property
    def result(self) -> Codec:
        return self._answer


class _Prompting(Activity[P, Asked]):
    """The step of a durable call: it makes the prompt and sends it."""

    def __init__(self, call: DurableCall[P, Any]) -> None:
        async def prompting(*args: Any, **kwargs: Any) -> Asked:
            return await call.ask(args, kwargs, activity_info().idempotency_key)

        super().__init__(prompting, name=call.name, retry=None, timeout=None, transactional=False)
        self.schema = _StepSchema(call.schema)


class _StepSchema(Schema):
    def __init__(self, call: Schema) -> None:
        self._call = call

    @property
    def parameters(self) -> Parameters:
        return self._call.parameters

    @property
    def result(self) -> Codec:
        return codec_for(Asked, "a durable call")
