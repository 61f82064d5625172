"""Answers as values of a type."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import orjson

from perdure.codec import codec_for
from perdure.codec.schemas import RESULT, strict_schema, wrapped_output_schema, wraps
from perdure.errors import InvalidInput, UsageError
from perdure_adapters.llm.errors import AnswerCut, AnswerFiltered, AnswerRefused, InvalidAnswer
from perdure_adapters.llm.request import Format
from perdure_adapters.llm.response import Response

T = TypeVar("T")

_SHOWN = 300
_FENCE = "```"


class Misfit(Exception):
    """What is wrong with an answer, in words for the model."""


class Expected(Generic[T]):
    """The type that an answer is to have. `format` is None for plain text, which every answer fits.

    Raises UsageError, beginning with `where`, for a type that values cannot have.
    """

    def __init__(self, type_form: Any, where: str) -> None:
        self.codec = codec_for(type_form, where)
        self.name = self.codec.name
        self._wrapped = wraps(self.codec)
        self.format: Format | None = None
        if type_form is not str:
            name = re.sub(r"[^A-Za-z0-9]+", "_", self.name).strip("_")[:60] or "answer"
            try:
                self.format = Format(name, strict_schema(self.codec))
            except UsageError:  # a service cannot be held to it, but told of it
                self.format = Format(name, wrapped_output_schema(self.codec), strict=False)

    def read(self, response: Response) -> T:
        """Raises Misfit for what may be corrected; AnswerCut, AnswerFiltered, AnswerRefused for what may not."""
        whole(response)
        value: T
        if self.format is None:
            value = self.codec.from_data(response.text)
            return value
        try:
            data = orjson.loads(_unfenced(response.text))
        except ValueError as error:
            raise Misfit(f"it is no JSON ({error})" if response.text.strip() else "it is empty") from None
        if self._wrapped and isinstance(data, dict) and data.keys() == {RESULT}:
            data = data[RESULT]
        try:
            value = self.codec.from_data(data, "the answer")
        except InvalidInput as invalid:
            raise Misfit(str(invalid)) from None
        return value

    def correction(self, misfit: Misfit) -> dict[str, Any]:
        """What the model is told."""
        return {
            "role": "user",
            "content": f"Your answer does not fit: {misfit}. Give all of it again, corrected, and nothing else.",
        }

    def failed(self, response: Response, misfit: Misfit) -> InvalidAnswer:
        shown = response.text if len(response.text) <= _SHOWN else response.text[:_SHOWN] + "…"
        return InvalidAnswer(
            f"the model's answer is no {self.name}, also after a correction: {misfit}; it says {shown!r}. Say more "
            "about it in the prompt, or ask for a simpler type",
            text=shown,
        )


def _unfenced(text: str) -> str:
    """Without the fence of a block of Markdown around all of it."""
    text = text.strip()
    if len(text) < 2 * len(_FENCE) or not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    language, newline, body = text[len(_FENCE) : -len(_FENCE)].partition("\n")
    return body if newline and len(language) < 40 else text


def whole(response: Response) -> None:
    """Raises AnswerCut, AnswerFiltered or AnswerRefused for an answer that is none."""
    if response.refusal:
        raise AnswerRefused(
            f"the model declines: {response.refusal[:_SHOWN]}; ask for something else", refusal=response.refusal
        )
    if response.finish_reason == "length":
        raise AnswerCut(
            f"the answer was cut off after {response.usage.completion_tokens} tokens; allow more of them, with "
            "max_completion_tokens=..."
        )
    if response.finish_reason == "content_filter":
        raise AnswerFiltered("the service's filter held the answer back; ask for something else")
