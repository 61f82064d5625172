"""Annotations as types, also where they are strings and where they name what a function defines."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

import typing_extensions

from perdure.errors import UsageError

#: What stands around a type in an annotation, and says nothing of its values.
QUALIFIERS: tuple[Any, ...] = (
    typing.Required,
    typing.NotRequired,
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
    typing.Final,
)


def function_hints(fn: Callable[..., Any], where: str) -> dict[str, Any]:
    """The types of a function's parameters, and of its result under "return"."""
    inner = inspect.unwrap(fn)  # the annotations are its own, whatever decorates it
    names = _local_names(inner.__qualname__, getattr(inner, "__globals__", {}))
    code, cells = getattr(inner, "__code__", None), getattr(inner, "__closure__", None)
    if code is not None and cells:
        for name, cell in zip(code.co_freevars, cells, strict=True):
            try:
                names[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
    return _resolve(fn, names, where)


def class_hints(cls: type, where: str) -> dict[str, Any]:
    module = sys.modules.get(cls.__module__)
    names = _local_names(cls.__qualname__, vars(module) if module is not None else {})
    if names or "<locals>" in cls.__qualname__:
        names[cls.__name__] = cls
    return _resolve(cls, names, where)


def _resolve(thing: Any, names: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        return typing_extensions.get_type_hints(thing, localns=names or None, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"{where}: the annotation names {error.name or str(error)!r}, which cannot be found; define it at the top "
            "of its module (not inside a function, and not only under TYPE_CHECKING)"
        ) from None
    except Exception as error:
        raise UsageError(
            f"{where}: the annotations cannot be evaluated ({type(error).__name__}: {error}); "
            "write types that exist when the program runs"
        ) from None


def _local_names(qualname: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """The variables of the functions around a definition, as long as they are still running.

    String annotations are evaluated long after Python has forgotten the scope they were written in;
    while the definition is being decorated, that scope is on the stack.
    """
    scopes = _outer_functions(qualname)
    names: dict[str, Any] = {}
    frame = sys._getframe(1) if scopes else None
    found: dict[str, dict[str, Any]] = {}
    while frame is not None:
        name = frame.f_code.co_qualname
        if name in scopes and name not in found and frame.f_globals is namespace:
            found[name] = dict(frame.f_locals)
        frame = frame.f_back
    for scope in scopes:  # from the outside in
        names.update(found.get(scope, {}))
    return names


def _outer_functions(qualname: str) -> list[str]:
    parts = qualname.split(".<locals>.")
    return [".<locals>.".join(parts[: index + 1]) for index in range(len(parts) - 1)]


def substituted(hint: Any, variables: dict[Any, Any]) -> Any:
    """`hint` with type variables replaced, at any depth."""
    if not variables:
        return hint
    if isinstance(hint, typing.TypeVar):
        return variables.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or (isinstance(hint, type) and not typing.get_args(hint)):
        return hint
    try:
        chosen: Any = hint
        return chosen[tuple(variables.get(parameter, parameter) for parameter in parameters)]
    except TypeError:
        return hint
