"""MODULE:APP: the user's app, named on the command line."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from perdure_adapters.cli.output import quietly

if TYPE_CHECKING:
    from perdure import App, Handle, InstanceInfo, Workflow

F = TypeVar("F", bound=Callable[..., Any])


def load_app(ctx: click.Context, param: click.Parameter, value: str) -> App:
    """The App that `shop.orders:app` names; a click callback."""
    from perdure import App

    found = load_object(ctx, param, value, "App")
    if not isinstance(found, App):
        raise click.BadParameter(f"{value!r} is no App but of type {type(found).__name__}; name the App", ctx, param)
    return found


def load_object(ctx: click.Context, param: click.Parameter, value: str, what: str) -> Any:
    """What `shop.orders:app` names; `what` it should be, for complaints."""
    module_name, colon, attribute = value.partition(":")
    if not colon or not module_name or not attribute:
        raise click.BadParameter(f"{value!r} is not MODULE:{what.upper()}, as in shop.orders:app", ctx, param)
    found = _module(module_name, ctx, param)
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise click.BadParameter(f"module {module_name!r} has no {attribute!r}; name the {what} in it", ctx, param)
        found = getattr(found, name)
    return found


def _module(name: str, ctx: click.Context, param: click.Parameter) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with quietly():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            text = f"there is no module {error.name!r}; run perdure in the directory that holds it"
            raise click.BadParameter(text, ctx, param) from None
        raise click.ClickException(_blame(name, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may do anything, sys.exit() too
        raise click.ClickException(_blame(name, error)) from error


def _blame(module: str, error: BaseException) -> str:
    """What went wrong, and in which line of the user's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    own = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"cannot import {module!r}: {type(error).__name__}: {error}{where}; mend that first"


def _target(ctx: click.Context, param: click.Parameter, value: str) -> App | None:
    if ctx.resilient_parsing:
        return None  # a shell only wants to know how the line could go on
    return load_app(ctx, param, value)


def target_argument(fn: F) -> F:
    return click.argument("app", metavar="MODULE:APP", callback=_target)(fn)


class Client:
    """The app, opened without a worker. By id alone it finds what the app needs a workflow's name for."""

    def __init__(self, app: App, *, existing: bool = True) -> None:
        if app.url.startswith("memory:"):
            raise click.UsageError(
                "memory:// is the memory of one process, and this one ends now; give the app a database, as in "
                "sqlite:///app.db"
            )
        self.app = app.client(existing=existing)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.app)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def workflow(self, name: str) -> Workflow[..., Any]:
        """Raises UnknownWorkflow."""
        from perdure import UnknownWorkflow

        known = self.app.workflows
        if name not in known:
            raise UnknownWorkflow(
                f"this app knows no workflow {name!r}; there are {', '.join(sorted(known)) or 'none'}"
            )
        return known[name]

    async def handle(self, id: str) -> Handle[Any]:
        """Raises InstanceNotFound."""
        return await self.app.lookup(id)

    async def info(self, id: str) -> InstanceInfo:
        """Raises InstanceNotFound."""
        return await (await self.handle(id)).info()
