"""Exceptions taken apart and put together again without running anybody's `__init__`.

A user's `__init__` may want other arguments than `.args` or do something on its way; one written in
C only stores. So the innermost C class makes the object and stores the arguments, and the rest is
put into the attributes as it was.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

_ARGS: Any = vars(BaseException)["args"]
_SKIPPED = frozenset(("__notes__", "args", "__dict__", "__weakref__"))


def args_of(error: BaseException) -> tuple[Any, ...]:
    """`.args`, also of a class that calls something else so."""
    args: tuple[Any, ...] = _ARGS.__get__(error)
    return args


def arguments_of(error: BaseException) -> tuple[Any, ...]:
    """What the C class is to be given: `.args`, or more where `.args` leaves something out."""
    base: Any = _c_class(type(error), "__reduce__")
    try:
        reduced = base.__reduce__(error)
        if isinstance(reduced, tuple) and reduced[0] is type(error) and isinstance(reduced[1], tuple):
            return reduced[1]
    except Exception:
        return args_of(error)
    return args_of(error)


def state_of(error: BaseException) -> dict[str, Any]:
    """Attributes by name, those in slots too."""
    state: dict[str, Any] = {}
    for cls in type(error).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            name = _mangled(name, cls)
            if name not in _SKIPPED and name not in state:
                try:
                    state[name] = object.__getattribute__(error, name)
                except AttributeError:
                    continue
    own = getattr(error, "__dict__", {})
    state.update({name: value for name, value in own.items() if type(name) is str and name not in _SKIPPED})
    if isinstance(error, ImportError):
        state.update(name=error.name, path=error.path)
    return state


def made(cls: type[BaseException], arguments: tuple[Any, ...], args: tuple[Any, ...]) -> BaseException:
    """A new exception of this class. Raises whatever a C class raises that cannot be made so."""
    maker: Any = _c_class(cls, "__new__")
    error: BaseException = maker.__new__(cls, *arguments)
    if type(error) is not cls:
        raise TypeError(f"{cls.__name__} makes {type(error).__name__}")
    starter: Any = _c_class(cls, "__init__")
    starter.__init__(error, *arguments)
    _ARGS.__set__(error, args)
    return error


def set_state(error: BaseException, state: dict[str, Any]) -> None:
    """Also on frozen classes, and without properties or `__setattr__` of theirs."""
    own = getattr(error, "__dict__", None)
    for name, value in state.items():
        slot = next((vars(cls)[name] for cls in type(error).__mro__ if name in vars(cls)), None)
        if own is None or type(slot).__name__ in ("member_descriptor", "getset_descriptor"):
            try:
                object.__setattr__(error, name, value)
            except (AttributeError, TypeError):
                continue
        else:
            own[name] = value


def _c_class(cls: type, method: str) -> type:
    """The first class in line whose own such method is not written in Python."""
    for base in cls.__mro__:
        own = vars(base).get(method)
        if own is not None and not isinstance(own, (FunctionType, staticmethod, classmethod)):
            return base
    return BaseException


def _mangled(name: str, cls: type) -> str:
    if name.startswith("__") and not name.endswith("__"):
        return f"_{cls.__name__.lstrip('_')}{name}"
    return name
