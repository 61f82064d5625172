"""What calls of models raise. No message holds a key; all of them pickle."""

from __future__ import annotations

from perdure.errors import PerdureError, TerminalError, UsageError


class LLMError(PerdureError):
    """The root of what calls of models raise."""


class NotConfigured(LLMError, TerminalError, UsageError):
    """There is no key, no model, or a setting that nobody knows. It is not retried."""


class ServiceUnavailable(LLMError):
    """The service cannot answer just now: 408, 429, 5xx, no connection, or not in time. It is retried.

    `status` is None where there was no answer at all, `retry_after` the seconds for which the service wants to be left
    alone, if it says so: the next attempt is not before that.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id


class RequestRejected(LLMError, TerminalError):
    """The service refuses the request itself, with another 4xx. It is not retried."""

    def __init__(self, message: str = "", *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class AnswerCut(LLMError):
    """The answer reached its limit of tokens, so that it is not whole."""


class AnswerFiltered(LLMError):
    """The service's filter held the answer back."""


class AnswerRefused(LLMError):
    """The model declined to answer. `refusal` is what it said."""

    def __init__(self, message: str = "", *, refusal: str = "") -> None:
        super().__init__(message)
        self.refusal = refusal


class InvalidAnswer(LLMError):
    """The answer does not fit the type that was asked for, and neither did its correction. `text` is how it begins."""

    def __init__(self, message: str = "", *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class MaxIterationsExceeded(LLMError):
    """The model went on asking for tools. `iterations` is how often it was asked."""

    def __init__(self, message: str = "", *, iterations: int = 0) -> None:
        super().__init__(message)
        self.iterations = iterations


class BudgetExceeded(LLMError):
    """A call was not made, since a budget is used up. `tokens` and `calls` are what was used of it."""

    def __init__(self, message: str = "", *, tokens: int = 0, calls: int = 0) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.calls = calls
