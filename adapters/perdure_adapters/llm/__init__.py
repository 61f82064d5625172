"""Calls of language models as recorded steps, over OpenAI's protocol. It needs `perdure[llm]`."""

from __future__ import annotations

try:
    from perdure_adapters.llm.agent import DurableAgent
    from perdure_adapters.llm.budgets import Spent, budget
    from perdure_adapters.llm.defaults import set_app_defaults
    from perdure_adapters.llm.durable import DurableCall
    from perdure_adapters.llm.errors import (
        AnswerCut,
        AnswerFiltered,
        AnswerRefused,
        BudgetExceeded,
        InvalidAnswer,
        LLMError,
        MaxIterationsExceeded,
        NotConfigured,
        RequestRejected,
        ServiceUnavailable,
    )
    from perdure_adapters.llm.model import LLM
    from perdure_adapters.llm.request import Format, Request
    from perdure_adapters.llm.response import Response, ToolCall, Usage
except ModuleNotFoundError as error:
    raise ImportError(
        f"perdure_adapters.llm needs {error.name}, which is not installed; install perdure[llm]"
    ) from error

__all__ = [
    "LLM",
    "AnswerCut",
    "AnswerFiltered",
    "AnswerRefused",
    "BudgetExceeded",
    "DurableAgent",
    "DurableCall",
    "Format",
    "InvalidAnswer",
    "LLMError",
    "MaxIterationsExceeded",
    "NotConfigured",
    "Request",
    "RequestRejected",
    "Response",
    "ServiceUnavailable",
    "Spent",
    "ToolCall",
    "Usage",
    "budget",
    "set_app_defaults",
]
