"""What people write about a parameter or a field beside its type, and the defaults that can be shown."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from perdure.codec.hints import QUALIFIERS
from perdure.codec.misfit import Misfit
from perdure.codec.shape import Shape
from perdure.codec.text import to_text
from perdure.errors import InvalidInput

NO_DEFAULT: Any = inspect.Parameter.empty

_LONGEST = 1000
"""Bytes of a default that is still worth showing."""


def description(hint: Any, metadata: Mapping[Any, Any] | None = None) -> str | None:
    """From `Annotated[T, "text"]`, `Annotated[T, Doc("text")]`, or an object there with a `description`.

    `metadata` is that of a dataclass' or attrs field: its "description" or "doc".
    """
    for note in _notes(hint):
        for text in (note, getattr(note, "documentation", None), getattr(note, "description", None)):
            if isinstance(text, str) and text.strip():
                return inspect.cleandoc(text)
    for key in ("description", "doc"):
        text = (metadata or {}).get(key)
        if isinstance(text, str) and text.strip():
            return inspect.cleandoc(text)
    return None


def _notes(hint: Any) -> list[Any]:
    notes: list[Any] = []
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            notes.extend(hint.__metadata__)
        elif origin not in QUALIFIERS:
            return notes
        hint = typing.get_args(hint)[0]


def shown_default(shape: Shape, default: Any) -> dict[str, Any]:
    """`{"default": …}` where there is one that the type can write."""
    if default is NO_DEFAULT:
        return {}
    try:
        data = shape.dump(default)
        to_text(data, "", _LONGEST)
    except (Misfit, InvalidInput, RecursionError):
        return {}
    return {"default": data}
