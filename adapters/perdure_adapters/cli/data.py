"""Data on the command line: JSON, or plain text where it is no JSON; `-` reads it from stdin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import orjson

F = TypeVar("F", bound=Callable[..., Any])


def text_of(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The argument as it is, or what stdin holds."""
    if value != "-":
        return value
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"stdin holds no UTF-8 text ({error.reason}); give JSON or text", ctx, param) from None


def json_or_text(ctx: click.Context, param: click.Parameter, value: str) -> Any:
    text = text_of(ctx, param, value)
    try:
        return orjson.loads(text)
    except ValueError:
        return text.removesuffix("\n") if value == "-" else text


def data_argument(fn: F) -> F:
    return click.argument("data", metavar="[DATA]", default="null", callback=json_or_text)(fn)


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not K=V, as in priority=high", ctx, param)
        pairs[key] = text
    return pairs


def pairs_option(name: str, help: str) -> Callable[[F], F]:
    """An option K=V that may be given several times."""
    return click.option(name, metavar="K=V", multiple=True, callback=_pairs, help=help)
