"""A request as a step of a workflow."""

from __future__ import annotations

import copy
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from perdure import Activity, Retry, UsageError, activity_info, info
from perdure.definitions.ambient import stand_ins
from perdure_adapters.llm import budgets
from perdure_adapters.llm.answers import Expected, Misfit
from perdure_adapters.llm.request import Request
from perdure_adapters.llm.response import Response
from perdure_adapters.llm.sending import send
from perdure_adapters.llm.settings import Settings

T = TypeVar("T")

#: What streams call a request: never the model's name, which may change while workflows are running.
NAME = "llm_call"
#: And that of a correction: whether there is one depends on today's types. Replay is not to take another answer for it.
_CORRECTION = "_correction"


class Asking(Activity[[Request], Response]):
    """The activity of requests that leave to `places` what they do not say themselves. Give it to `fake()`."""

    def __init__(self, places: Sequence[Settings], retry: Retry | None, name: str = NAME) -> None:
        async def llm_call(request: Request) -> Response:
            return await send(request, places, activity_info().idempotency_key)

        super().__init__(llm_call, name=name, retry=retry, timeout=None, transactional=False)
        self._places = places

    def __call__(self, request: Request) -> Coroutine[None, None, Response]:
        """Outside of a workflow just a request: the key of an activity around it is not its own."""
        if in_workflow():
            return super().__call__(request)
        stand_in = stand_ins.get(self.fn)
        return send(request, self._places, None) if stand_in is None else stand_in(request)


def _correcting(asking: Activity[[Request], Response]) -> Activity[[Request], Response]:
    other = copy.copy(asking)  # so what stands in for the one does for the other
    other._name = asking.name + _CORRECTION
    return other


def in_workflow() -> bool:
    try:
        info()
    except UsageError:
        return False
    return True


async def asked(asking: Activity[[Request], Response], request: Request) -> Response:
    """One step. Raises BudgetExceeded, and what the step raises."""
    counting = budgets.begin()
    response = await asking(request)
    budgets.end(counting, response)
    return response


async def parsed(
    asking: Activity[[Request], Response],
    request: Request,
    expected: Expected[T],
    response: Response,
    said: list[dict[str, Any]] | None = None,
) -> T:
    """The value of an answer to `request`, or of its correction, which is one more step. `said` grows by all messages.

    Raises InvalidAnswer, AnswerCut, AnswerFiltered, AnswerRefused.
    """
    said = [] if said is None else said
    said.append(response.message())
    try:
        return expected.read(response)
    except Misfit as error:
        misfit = error
    said.append(expected.correction(misfit))
    response = await asked(_correcting(asking), request.following(*said))
    said.append(response.message())
    try:
        return expected.read(response)
    except Misfit as error:
        failure = expected.failed(response, error)
    raise failure
