"""From a type, as it stands in an annotation, to the shape of its values."""

from __future__ import annotations

import collections.abc
import contextlib
import types
import typing
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any, TypeVar

import typing_extensions

from perdure.codec import classes
from perdure.codec.containers import Fixed, Items, mapping
from perdure.codec.document import Document, Schema
from perdure.codec.enums import Flags, Literals, Members
from perdure.codec.hints import QUALIFIERS, substituted
from perdure.codec.models import Model, is_model
from perdure.codec.primitives import BOOL, FLOAT, INT, JSON, NONE, STR, Primitive
from perdure.codec.scalars import SCALARS
from perdure.codec.shape import Shape
from perdure.codec.unions import Ambiguous, Union
from perdure.errors import UsageError

_NOTHING = Literals([])
"""`Never`: for a function that returns no value at all."""

_SIMPLE: dict[Any, Shape] = {
    int: INT,
    str: STR,
    bool: BOOL,
    float: FLOAT,
    None: NONE,
    type(None): NONE,
    Any: JSON,
    typing_extensions.Any: JSON,
    typing.LiteralString: STR,
    typing_extensions.LiteralString: STR,
    typing.Never: _NOTHING,
    typing.NoReturn: _NOTHING,
    typing_extensions.Never: _NOTHING,
    **SCALARS,
}

_SEQUENCES: tuple[Any, ...] = (
    collections.abc.Sequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)
_MAPPINGS: tuple[Any, ...] = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_QUALIFIERS: tuple[Any, ...] = (
    typing.Annotated,
    typing_extensions.Annotated,
    typing.ClassVar,
    *QUALIFIERS,
)
_UNIONS: tuple[Any, ...] = (typing.Union, types.UnionType)
_LITERALS: tuple[Any, ...] = (typing.Literal, typing_extensions.Literal)

_INSTEAD: dict[Any, str] = {
    object: "use Any for JSON-shaped values, or a union of the types it may be",
    bytearray: "use bytes",
    memoryview: "use bytes",
    complex: "use a dataclass with two floats",
    collections.abc.Callable: "functions cannot be stored: pass a name or an enum member",
    type: "classes cannot be stored: pass a name or an enum member",
    collections.OrderedDict: "use dict, which keeps its order",
    collections.defaultdict: "use dict",
    collections.Counter: "use dict",
    collections.deque: "use list",
}

S = TypeVar("S", bound=Shape)
_shapes: dict[Any, Shape] = {}
_keyed: dict[Shape, Callable[[Shape], Shape]] = {}


def register(hint: Any, shape: Shape, keyed: Callable[[Shape], Shape]) -> None:
    """That the values of `hint` have this shape; `keyed` makes that of dicts with such keys, of their items' one."""
    _shapes[hint] = shape
    _keyed[shape] = keyed


class Alias(Shape):
    """Stands for a type alias while what it means, and what may contain it, is being made."""

    target: Shape | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.types = ()
        self.kinds = frozenset()

    def dump(self, value: Any) -> Any:
        assert self.target is not None
        return self.target.dump(value)

    def load(self, data: Any) -> Any:
        assert self.target is not None
        return self.target.load(data)

    def schema(self, document: Document) -> Schema:
        target = self.target
        assert target is not None
        return document.define(self, self.name, lambda: target.schema(document))


class Builder:
    """Makes the shapes of one type and of what it is made of. `where` begins every refusal."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._made: dict[Any, Shape] = {}

    def shape(self, hint: Any) -> Shape:
        """Raises UsageError for a type whose values would be lost or changed."""
        shape = self._build(hint)
        _shapes.update(self._made)
        return shape

    def refused(self, hint: Any, reason: str, instead: str) -> UsageError:
        return UsageError(f"{self.where}: {type_name(hint)} {reason}; {instead}")

    def _build(self, hint: Any) -> Shape:
        try:
            known = _SIMPLE.get(hint) or _shapes.get(hint) or self._made.get(hint)
        except TypeError:  # unhashable metadata in an Annotated
            known = None
        if known is not None:
            return known
        origin = typing.get_origin(hint)
        if origin in _QUALIFIERS:
            return self._build(typing.get_args(hint)[0])
        if isinstance(hint, typing.NewType):
            return self._build(hint.__supertype__)
        if isinstance(origin or hint, classes.ALIAS_TYPES):
            return self._alias(hint, origin)
        if origin in _UNIONS:
            return self._union(hint, typing.get_args(hint))
        if origin in _LITERALS:
            return self._literal(hint, typing.get_args(hint))
        return self._container(hint, origin or hint, typing.get_args(hint))

    def _container(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> Shape:
        if origin in (list, set, frozenset, collections.abc.MutableSequence, collections.abc.MutableSet):
            cls = {collections.abc.MutableSequence: list, collections.abc.MutableSet: set}.get(origin, origin)
            return Items(cls, self._build(args[0] if args else Any))
        if origin in _SEQUENCES:
            item = args[0] if args else Any
            return self._union(hint, (types.GenericAlias(list, (item,)), types.GenericAlias(tuple, (item, ...))))
        if origin is collections.abc.Set:
            item = args[0] if args else Any
            return self._union(hint, (types.GenericAlias(set, (item,)), types.GenericAlias(frozenset, (item,))))
        if origin in _MAPPINGS:
            key, item = map(self._build, args or (str, Any))
            return _keyed[key](item) if key in _keyed else mapping(key, item)
        if origin is tuple:
            return self._tuple(hint, args)
        if not isinstance(origin, type):
            raise self._unsupported(hint)
        return self._class(hint, origin, args)

    def _tuple(self, hint: Any, args: tuple[Any, ...]) -> Shape:
        if not args and hint in (tuple, typing.Tuple):  # noqa: UP006 - the bare alias is another object
            return Items(tuple, JSON)
        if len(args) == 2 and args[1] is Ellipsis:
            return Items(tuple, self._build(args[0]))
        return Fixed([self._build(item) for item in args if item != ()])

    def _class(self, hint: Any, origin: type, args: tuple[Any, ...]) -> Shape:
        if issubclass(origin, Enum):
            return self._keep(hint, Flags(origin) if issubclass(origin, Flag) else Members(origin))
        if is_model(origin):
            return self._keep(hint, self._model(hint, origin))
        blank = classes.blank(origin, type_name(hint))
        if blank is None:
            raise self._unsupported(hint)
        self._keep(hint, blank)  # before its fields, which may name it
        variables = classes.variables(origin, args)
        outer = self.where
        fields = []
        for found in classes.fields(origin, self.where):
            self.where = f"{outer}, field {found.name!r} of {origin.__name__}"
            shape = self._build(substituted(found.hint, variables))
            fields.append(classes.field(found, shape))
        self.where = outer
        blank.fill(fields)
        return blank

    def _model(self, hint: Any, origin: Any) -> Shape:
        try:
            origin.model_rebuild(raise_errors=True)
        except Exception as error:
            raise self.refused(hint, f"is not complete ({error})", "define what it names before it") from None
        return Model(origin)

    def _union(self, hint: Any, args: tuple[Any, ...]) -> Shape:
        members = [self._build(arg) for arg in args]
        anything = next((member for member in members if member.anything), None)
        if anything is not None:
            if all(member is anything or member is NONE for member in members):
                return anything
            raise self.refused(hint, "needs to know what its type variable stands for", "send a class without one")
        if JSON in members:
            if all(member is JSON or isinstance(member, Primitive) for member in members):
                return JSON
            raise self.refused(hint, "mixes Any with other types", "name all types it may be, or only Any")
        if any(isinstance(member, Alias) for member in members):
            raise self.refused(hint, "contains itself directly", "put a list, a dict or a class between")
        try:
            union = Union(members)
        except Ambiguous as error:
            raise self.refused(hint, f"has two members called {error}", "rename one of them") from None
        return union.members[0] if len(union.members) == 1 else self._keep(hint, union)

    def _literal(self, hint: Any, values: tuple[Any, ...]) -> Shape:
        plain = [value for value in values if type(value) in (str, int, bool, type(None))]
        enums = [value for value in values if isinstance(value, Enum)]
        if len(plain) + len(enums) != len(values):
            raise self.refused(hint, "has values that JSON does not have", "use str, int, bool or enum members")
        shapes: list[Shape] = [Literals(plain)] if plain else []
        for cls in dict.fromkeys(type(value) for value in enums):
            chosen = [value for value in enums if type(value) is cls]
            shapes.append(Members(cls, chosen))
        return shapes[0] if len(shapes) == 1 else Union(shapes)

    def _alias(self, hint: Any, origin: Any) -> Shape:
        alias: Any = origin or hint
        target = alias.__value__
        if origin is not None:
            target = substituted(target, dict(zip(alias.__type_params__, typing.get_args(hint), strict=True)))
        placeholder = Alias(alias.__name__)
        self._keep(hint, placeholder)
        placeholder.target = self._build(target)
        return self._keep(hint, placeholder.target)

    def _keep(self, hint: Any, shape: S) -> S:
        with contextlib.suppress(TypeError):  # unhashable metadata in an Annotated
            self._made[hint] = shape
        return shape

    def _unsupported(self, hint: Any) -> UsageError:
        origin = typing.get_origin(hint) or hint
        if isinstance(hint, typing.TypeVar):
            return self.refused(hint, "is a type variable nobody has filled in", "write the type, as in Box[int]")
        if isinstance(hint, (str, typing.ForwardRef)):
            return self.refused(hint, "is a name that cannot be resolved", "use the class itself")
        for cls, instead in _INSTEAD.items():
            if origin is cls:
                return self.refused(hint, "cannot be stored", instead)
        return self.refused(
            hint, "has no declared fields to store", "make it a dataclass, an attrs class or a pydantic model"
        )


def type_name(hint: Any) -> str:
    """`Box[int]`: as one writes it, without modules."""
    args = typing.get_args(hint)
    if isinstance(hint, type) and not args:
        return hint.__name__
    origin = typing.get_origin(hint)
    if origin in _UNIONS:
        return " | ".join("None" if arg is type(None) else type_name(arg) for arg in args)
    if isinstance(origin, type) and args:
        return f"{origin.__name__}[{', '.join(type_name(arg) for arg in args)}]"
    return "..." if hint is Ellipsis else str(hint).removeprefix("typing.")
