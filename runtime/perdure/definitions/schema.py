"""The types of one function: codecs of its arguments and its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from perdure.codec import Codec, Parameters, codec_for
from perdure.errors import UsageError


class Schema:
    """Made when the function is decorated, or, where its annotations name what the module defines
    further down, at first use.

    Raises UsageError for a type that cannot be stored without loss.
    """

    def __init__(self, fn: Callable[..., Any], where: str) -> None:
        self.fn = fn
        self.where = where
        self._parameters: Parameters | None = None
        self._result: Codec | None = None
        try:
            self.complete()
        except UsageError:
            if _names_known(fn):
                raise

    def complete(self) -> None:
        if self._parameters is None:
            parameters = Parameters(self.fn, self.where)
            self._result = codec_for(parameters.returns, f"the result of {self.where}")
            self._parameters = parameters

    @property
    def parameters(self) -> Parameters:
        if self._parameters is None:
            self.complete()
        assert self._parameters is not None
        return self._parameters

    @property
    def result(self) -> Codec:
        if self._result is None:
            self.complete()
        assert self._result is not None
        return self._result


def _names_known(fn: Callable[..., Any]) -> bool:
    """Whether the annotations name nothing that its module may still define further down."""
    try:
        inspect.get_annotations(fn, eval_str=True)
    except NameError:
        return False
    return True


def check_function(fn: Any, decorator: str) -> str:
    """The function's name. Raises UsageError for what cannot be decorated."""
    if inspect.isclass(fn) or not callable(fn) or not hasattr(fn, "__code__"):
        raise UsageError(f"@{decorator} decorates a function, not {fn!r}")
    if inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        raise UsageError(f"@{decorator} {fn.__qualname__} is a generator; return one value instead")
    first = next(iter(inspect.signature(fn).parameters), "")
    if first in ("self", "cls"):
        raise UsageError(
            f"@{decorator} {fn.__qualname__} is a method; make it a function of its module, so that it can be "
            "found again after a restart"
        )
    name: str = fn.__name__
    return name


def check_name(name: object, decorator: str, keyword: str = "name") -> None:
    """Raises UsageError unless `name` can name an activity or a workflow, or its version."""
    if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
        raise UsageError(f"@{decorator}({keyword}={name!r}): give 1 to 200 printable characters")
