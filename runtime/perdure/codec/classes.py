"""What a class declares: its fields, their types and how it is made."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

import attrs
import typing_extensions

from perdure.codec.descriptions import NO_DEFAULT, description
from perdure.codec.hints import class_hints, substituted
from perdure.codec.records import Field, Instance, Named, Record, Typed
from perdure.codec.shape import Shape
from perdure.errors import UsageError

ALIAS_TYPES: tuple[Any, ...] = tuple(
    {
        typing_extensions.TypeAliasType,
        getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType),  # the same from 3.14 on
    }
)
_REQUIRED = (typing.Required, typing_extensions.Required)
_NOT_REQUIRED = (typing.NotRequired, typing_extensions.NotRequired)


@attrs.frozen
class Declared:
    """A field as the class declares it."""

    name: str
    hint: Any
    argument: str | None
    required: bool
    text: str | None = None
    default: Any = NO_DEFAULT


def blank(cls: type, name: str) -> Record | None:
    """The shape of a class with fields, still without them. None for any other class."""
    if _is_typed_dict(cls):
        return Typed(cls, name, _typed_dict_keys(cls))
    if issubclass(cls, tuple):
        return Named(cls, name, frozenset(_tuple_names(cls))) if hasattr(cls, "_fields") else None
    if attrs.has(cls):
        return Instance(cls, name, frozenset(field.name for field in _kept(cls)), checked=_has_own_code(cls))
    if dataclasses.is_dataclass(cls):
        return Instance(cls, name, frozenset(field.name for field in _kept(cls)), checked=_has_own_code(cls))
    return None


def fields(cls: type, where: str) -> list[Declared]:
    hints = class_hints(cls, where)
    inherited = _inherited_variables(cls)
    hints = {name: substituted(hint, inherited) for name, hint in hints.items()}
    if _is_typed_dict(cls):
        required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
        return [
            Declared(name, hint, name, _is_required(hint, name in required), description(hint))
            for name, hint in hints.items()
        ]
    if issubclass(cls, tuple):
        defaults = getattr(cls, "_field_defaults", {})
        return [_item(name, hints.get(name, Any), defaults.get(name, NO_DEFAULT)) for name in _tuple_names(cls)]
    found = [_declared(field, hints.get(field.name, field.type or Any)) for field in _kept(cls)]
    _check_constructor(cls, found, where)
    return found


def field(found: Declared, shape: Shape) -> Field:
    return Field(found.name, shape, found.argument, found.required, found.text, found.default)


def variables(cls: type, args: tuple[Any, ...]) -> dict[Any, Any]:
    """What each type variable of a generic class stands for in `cls[args]`."""
    parameters = getattr(cls, "__parameters__", ())
    filled = dict(zip(parameters, args, strict=False))
    for parameter in parameters[len(args) :]:
        default = getattr(parameter, "__default__", typing_extensions.NoDefault)
        if default is not typing_extensions.NoDefault and default is not None:
            filled[parameter] = default
    return filled


def _inherited_variables(cls: type) -> dict[Any, Any]:
    """`class IntBox(Box[int])`: Box's T is int in all that IntBox inherits."""
    found: dict[Any, Any] = {}
    for base in _bases(cls):
        origin = typing.get_origin(base)
        if origin is None:
            if isinstance(base, type) and base is not object:
                found.update(_inherited_variables(base))
            continue
        if isinstance(origin, type) and origin is not typing.Generic:
            mine = variables(origin, typing.get_args(base))
            for variable, hint in _inherited_variables(origin).items():
                found[variable] = substituted(hint, mine)
            found.update(mine)
    return {variable: hint for variable, hint in found.items() if variable is not hint}


def _bases(cls: type) -> tuple[Any, ...]:
    bases: tuple[Any, ...] = cls.__dict__.get("__orig_bases__", cls.__bases__)
    return bases


def _kept(cls: Any) -> list[Any]:
    """The fields that are stored: all but caches, which the class makes itself and never compares."""
    if attrs.has(cls):
        return [field for field in attrs.fields(cls) if field.init or field.eq]
    return [field for field in dataclasses.fields(cls) if field.init or field.compare]


def _item(name: str, hint: Any, default: Any) -> Declared:
    return Declared(name, hint, name, default is NO_DEFAULT, description(hint), default)


def _declared(field: Any, hint: Any) -> Declared:
    if isinstance(field, dataclasses.Field):
        default, factory, argument = field.default, field.default_factory, field.name
        if default is dataclasses.MISSING:
            default = NO_DEFAULT if factory is dataclasses.MISSING else _made(factory)
            required = factory is dataclasses.MISSING
        else:
            required = False
    else:
        default, argument = field.default, field.alias
        required = default is attrs.NOTHING
        if required:
            default = NO_DEFAULT
        elif isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = NO_DEFAULT if default.takes_self else _made(default.factory)
    text = description(hint, field.metadata)
    return Declared(field.name, hint, argument if field.init else None, required and field.init, text, default)


def _made(factory: Any) -> Any:
    """What a factory makes, if it is known to do nothing else."""
    return factory() if factory in (list, dict, set, frozenset, tuple) else NO_DEFAULT


def _check_constructor(cls: type, found: list[Declared], where: str) -> None:
    given = {declared.argument: None for declared in found if declared.argument is not None}
    try:
        inspect.signature(cls).bind(**given)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{where}: {cls.__name__} cannot be made from its fields alone ({error}); "
            "let its __init__ take exactly its fields, without InitVar"
        ) from None


def _has_own_code(cls: Any) -> bool:
    if any(hasattr(cls, name) for name in ("__post_init__", "__attrs_post_init__", "__attrs_pre_init__")):
        return True
    code = getattr(cls.__init__, "__code__", None)
    if code is None or not code.co_filename.startswith("<"):  # attrs and dataclasses generate theirs
        return True
    if "__new__" in {name for base in cls.__mro__[:-1] for name in vars(base)} or hasattr(
        cls, "__pydantic_validator__"
    ):
        return True
    return attrs.has(cls) and any(field.converter is not None for field in attrs.fields(cls))


def _tuple_names(cls: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = cls._fields
    return names


def _is_typed_dict(cls: Any) -> bool:
    return typing_extensions.is_typeddict(cls)


def _typed_dict_keys(cls: Any) -> frozenset[str]:
    return frozenset(getattr(cls, "__required_keys__", ())) | frozenset(getattr(cls, "__optional_keys__", ()))


def _is_required(hint: Any, otherwise: bool) -> bool:
    """The qualifier decides: with string annotations the class itself could not see it."""
    while True:
        origin = typing.get_origin(hint)
        if origin in _REQUIRED:
            return True
        if origin in _NOT_REQUIRED:
            return False
        if origin not in (typing.Annotated, typing_extensions.ReadOnly):
            return otherwise
        hint = typing.get_args(hint)[0]
