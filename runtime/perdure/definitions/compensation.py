"""A compensation takes what its activity takes, and that activity's result if it asks for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from perdure.codec.hints import function_hints
from perdure.errors import UsageError

#: The parameter by which a compensation asks for its activity's result.
RESULT = "result"


def takes_result(fn: Callable[..., Any], undo: Callable[..., Any], name: str) -> bool:
    """Whether the compensation asks for the result of the activity `name`.

    Raises UsageError, naming the parameter, where the two do not take the same arguments.
    """
    own = dict(inspect.signature(fn).parameters)
    theirs = dict(inspect.signature(undo).parameters)
    asks = RESULT in theirs and RESULT not in own
    wanted = theirs.pop(RESULT) if asks else None
    what = f"compensation {undo.__qualname__} of activity {name!r}"
    for parameter in own:
        if parameter not in theirs:
            raise UsageError(f"{what} has no parameter {parameter!r}; it is given the activity's arguments: take it")
    for parameter in theirs:
        if parameter not in own:
            raise UsageError(
                f"{what} has a parameter {parameter!r}, which the activity has not; it is given the activity's "
                "arguments, and its result as `result`: leave it out"
            )
        if own[parameter].kind is not theirs[parameter].kind:
            raise UsageError(f"{what}: parameter {parameter!r} is of another kind than the activity's; write it alike")
        if (
            own[parameter].default is not theirs[parameter].default
            and own[parameter].default != theirs[parameter].default
        ):
            raise UsageError(f"{what}: parameter {parameter!r} has another default than the activity's; write it alike")
    if wanted is not None and wanted.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise UsageError(f"{what}: its parameter 'result' is given by name; make it a keyword")
    try:
        ours, others = function_hints(fn, name), function_hints(undo, what)
    except (NameError, UsageError):  # said where they are used; or they are defined further down
        return asks
    _compare(own, ours, others, what)
    if asks and Any not in (expected := ours.get("return", Any), got := others.get(RESULT, Any)) and expected != got:
        raise UsageError(
            f"{what}: its parameter 'result' is {_named(got)}, but the activity returns {_named(expected)}"
        )
    return asks


def _compare(names: Mapping[str, Any], ours: Mapping[str, Any], others: Mapping[str, Any], what: str) -> None:
    for name in names:
        expected, got = ours.get(name, Any), others.get(name, Any)
        if Any not in (expected, got) and expected != got:
            raise UsageError(f"{what}: its parameter {name!r} is {_named(got)}, the activity's is {_named(expected)}")


def _named(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)
