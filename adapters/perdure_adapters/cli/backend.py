"""--backend: which event loop a command runs on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def _installed(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value == "trio" and find_spec("trio") is None:
        raise click.BadParameter("trio is not installed; install perdure[trio]", ctx, param)
    return value


def backend_option(fn: F) -> F:
    return click.option(
        "--backend",
        type=click.Choice(["asyncio", "trio"]),
        default="asyncio",
        show_default=True,
        callback=_installed,
        help="The event loop to run on.",
    )(fn)


def run_async(fn: Callable[[], Awaitable[T]]) -> T:
    """Run a short command's coroutine function."""
    import anyio

    return anyio.run(fn)
