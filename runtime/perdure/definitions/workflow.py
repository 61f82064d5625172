"""@workflow: an async function that survives."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import orjson

from perdure.codec import MAX_PAYLOAD
from perdure.definitions.ambient import open_apps, running_activity, stand_ins
from perdure.definitions.children import call_child
from perdure.definitions.schema import Schema, check_function, check_name
from perdure.errors import InvalidInput, NotDurableWarning, UsageError
from perdure.machine.machine import current
from perdure.mail.envelopes import check_type

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Generic[P, R]):
    """Started with `app.start`. A plain call runs the function, without durability: for unit tests."""

    def __init__(
        self,
        fn: Callable[P, Coroutine[Any, Any, R]],
        *,
        name: str | None,
        version: str | None,
        starts_on: str | None = None,
    ) -> None:
        own_name = check_function(fn, "workflow")
        if not inspect.iscoroutinefunction(fn):
            raise UsageError(f"@workflow {own_name} must be an `async def`")
        check_name(name if name is not None else own_name, "workflow")
        if version is not None:
            check_name(version, "workflow", "version")
        self._fn = fn
        self._name = name if name is not None else own_name
        self.version = version
        self.starts_on = check_type(starts_on) if starts_on is not None else None
        self.id: str | None = None
        self.detached = False
        self.schema = Schema(fn, f"workflow {self._name!r}")
        self.__doc__ = fn.__doc__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    @property
    def name(self) -> str:
        """What the stream calls it."""
        return self._name

    @property
    def fn(self) -> Callable[P, Coroutine[Any, Any, R]]:
        """The undecorated function."""
        return self._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, R]:
        """Inside a workflow: start a child, and wait for its end. Raises InvalidInput for arguments that do not fit."""
        machine = current()
        if machine is not None:
            arguments = self.schema.parameters.pack(args, kwargs, max_payload=machine.max_payload)
            return call_child(machine, self, arguments)
        if open_apps or running_activity.get(None) is not None:
            warnings.warn(
                f"workflow {self._name!r} was called as a plain function: nothing of it is recorded; use app.start",
                NotDurableWarning,
                stacklevel=2,
            )
        return self._fn(*args, **kwargs)

    def options(self, *, id: str | None = None, detached: bool = False) -> Self:
        """The same workflow, to be started under this id: starting an id again gives the same instance.

        As a child it is not cancelled when its parent ends if it is `detached`.
        """
        other = copy.copy(self)
        other.detached = detached or self.detached
        if id is not None:
            check_id(id)
            other.id = id
        return other

    def input_of(self, data: Any, max_payload: int, /) -> str:
        """Packed arguments for an event's data: a single parameter takes all of it, several take its fields by name.

        Raises InvalidInput where it does not fit.
        """
        parameters = self.schema.parameters
        where = f"the data of event {self.starts_on!r}"
        if len(parameters.names) == 1:
            fields = {parameters.names[0]: data}
        elif isinstance(data, dict) or data is None:
            fields = data or {}
        else:
            raise InvalidInput(f"{where}: workflow {self._name!r} takes {', '.join(parameters.names)}; give an object")
        text = orjson.dumps(fields).decode()
        args, kwargs = parameters.unpack(text)
        return parameters.pack(args, kwargs, max_payload=max_payload)

    def begin(self, arguments: str, /) -> Coroutine[Any, Any, R]:
        """The coroutine for packed arguments. Raises InvalidInput where they do not fit the code."""
        args, kwargs = self.schema.parameters.unpack(arguments)
        fn = stand_ins.get(self._fn, self._fn) if stand_ins else self._fn
        return fn(*args, **kwargs)

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], max_payload: int, /) -> str:
        """Packed arguments. Raises InvalidInput for those that do not fit."""
        return self.schema.parameters.pack(args, kwargs, max_payload=max_payload)

    def encode_result(self, value: Any, max_payload: int = MAX_PAYLOAD, /) -> str:
        return self.schema.result.encode(value, f"the result of {self._name!r}", max_payload=max_payload)

    def __repr__(self) -> str:
        return f"<workflow {self._name!r}>"


class _WorkflowDecorator(Protocol):
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *, name: str | None = None, version: str | None = None, starts_on: str | None = None
) -> _WorkflowDecorator: ...
def workflow(
    fn: Callable[..., Coroutine[Any, Any, Any]] | None = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    starts_on: str | None = None,
) -> Any:
    """Make an `async def` a durable workflow.

    Its code must be deterministic: I/O belongs in activities, time and chance come from `now()`,
    `random()` and `uuid4()`. `name` is what the stream calls it, by default the function's own
    name. `version` is a label kept with each instance; it selects no code. With `starts_on`, each
    CloudEvent of that type that is delivered starts one. Raises UsageError for what is not an async
    function, or an annotation whose values could not be stored without loss.
    """

    def decorate(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Workflow[..., Any]:
        return Workflow(fn, name=name, version=version, starts_on=starts_on)

    return decorate if fn is None else decorate(fn)


def check_id(id: object) -> str:
    """Raises InvalidInput unless `id` can name an instance: 1 to 255 UTF-8 bytes, printable."""
    try:
        fits = isinstance(id, str) and 0 < len(id.encode()) <= 255 and id.isprintable() and id == id.strip()
    except UnicodeEncodeError:
        fits = False
    if not fits or not isinstance(id, str):
        raise InvalidInput(f"id {id!r}: give 1 to 255 bytes of printable text without blanks at the ends")
    return id
