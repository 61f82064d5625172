"""What a function's docstring says, in Google's, NumPy's or Sphinx' style. Needs `docstring-parser`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from docstring_parser import Docstring, ParseError, parse


def parameter_docs(fn: Callable[..., Any]) -> dict[str, str]:
    """What is said of each parameter, by its name. Names that are no parameters are left out."""
    found = _parsed(fn)
    if found is None:
        return {}
    names = inspect.signature(fn).parameters
    docs: dict[str, str] = {}
    for param in found.params:
        text = _joined(param.description)
        for written in param.arg_name.split(","):  # NumPy's style describes several at once
            name = written.strip().lstrip("*\\")
            if name in names and text:
                docs.setdefault(name, text)
    return docs


def summary(fn: Callable[..., Any]) -> str:
    """What the function does: its docstring without the sections on parameters, results and errors. May be empty."""
    found = _parsed(fn)
    if found is None:
        return inspect.cleandoc(fn.__doc__ or "")
    return "\n\n".join(part.strip() for part in (found.short_description, found.long_description) if part)


def _parsed(fn: Callable[..., Any]) -> Docstring | None:
    """None where it has none, or one that cannot be read."""
    text = fn.__doc__
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        return parse(text)
    except ParseError:
        return None


def _joined(text: str | None) -> str:
    """On one line, but paragraphs remain apart."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n")).strip()
