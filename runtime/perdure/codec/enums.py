"""Enum members and Literal values."""

from __future__ import annotations

from enum import KEEP, Enum, Flag
from typing import Any

from perdure.codec.document import Document, Schema, any_of, class_text, with_text
from perdure.codec.misfit import Misfit
from perdure.codec.primitives import INT, STR
from perdure.codec.shape import KINDS, Shape
from perdure.codec.text import MAX_INT, MIN_INT

_TYPES: dict[type, str] = {str: "string", int: "integer", bool: "boolean"}
_FEW = 64
"""Up to here the numbers of a Flag are listed."""


class Members(Shape):
    """An Enum: by value where all values are strings or all are ints, else by name.

    `chosen`: only these, as in `Literal[Color.RED]`.
    """

    immutable = True

    def __init__(self, cls: type[Enum], chosen: list[Enum] | None = None) -> None:
        self.name = cls.__name__
        members: list[Any] = list(cls)
        if chosen is not None:
            members = [member for member in members if member in chosen]
            self.name = f"Literal[{', '.join(f'{cls.__name__}.{member.name}' for member in members)}]"
        self.full_name = f"{cls.__module__}:{self.name}"
        self.types = (cls,)
        self._class = cls
        values = {type(member.value) for member in cls.__members__.values()}
        self._by_value = values in ({str}, {int})
        # by name, because members need not be hashable
        self._data = {member.name: member.value if self._by_value else member.name for member in members}
        self._members = {self._data[member.name]: member for member in members}
        self._kind = next(iter(values)) if self._by_value else str
        self.kinds = frozenset((KINDS[self._kind],))
        self._storable = all(INT.shared(data) or STR.shared(data) for data in self._members)
        self._whole = chosen is None

    def dump(self, value: Any) -> Any:
        if type(value) is not self._class or value._name_ not in self._data:
            raise Misfit.of(self.name, value, f"give one of {self.name}'s members")
        return self._data[value._name_]

    def load(self, data: Any) -> Any:
        if type(data) is self._kind and data in self._members:
            return self._members[data]
        known = ", ".join(repr(name) for name in list(self._members)[:12])
        raise Misfit.of(f"{self.name}, one of {known}", data, "give one of these")

    def schema(self, document: Document) -> Schema:
        schema: Schema = {"type": _TYPES[self._kind], "enum": list(self._members)}
        if not self._whole:
            return schema
        return document.define(self, self.name, lambda: {"title": self.name, **class_text(self._class), **schema})

    def shared(self, value: Any) -> bool:
        return self._storable and type(value) is self._class and value._name_ in self._data


class Flags(Shape):
    """A Flag: its number, since combinations have no name of their own."""

    kinds = frozenset(("int",))
    immutable = True

    def __init__(self, cls: type[Flag]) -> None:
        self.name = cls.__name__
        self.types = (cls,)
        self._class = cls

    def dump(self, value: Any) -> int:
        if type(value) is not self._class:
            raise Misfit.of(self.name, value, f"give {self.name}'s members or a combination of them")
        number: int = value.value
        return number

    def load(self, data: Any) -> Any:
        if type(data) is int:
            try:
                value = self._class(data)
            except ValueError:
                value = None
            if (
                value is not None and type(value) is self._class and value.value == data
            ):  # some flags leave out bits that they do not know
                return value
        raise Misfit.of(f"{self.name} as its number", data)

    def schema(self, document: Document) -> Schema:
        return document.define(self, self.name, self._numbers)

    def _numbers(self) -> Schema:
        members = self._class.__members__
        parts = ", ".join(f"{member.value} is {name}" for name, member in members.items())
        schema: Schema = {"title": self.name, "type": "integer", "description": f"Any of these, added up: {parts}."}
        schema = with_text(schema, class_text(self._class).get("description"))
        bits = 0
        for member in members.values():
            bits |= member.value
        if getattr(self._class, "_boundary_", None) is KEEP:
            return {**schema, "minimum": MIN_INT, "maximum": MAX_INT}
        if bits < _FEW:
            return {**schema, "enum": [number for number in range(bits + 1) if number | bits == bits]}
        return {**schema, "minimum": 0, "maximum": bits}


class Literals(Shape):
    """`Literal[…]` of str, int, bool and None, which JSON tells apart. True is not 1 here."""

    immutable = True

    def __init__(self, values: list[Any]) -> None:
        self.name = f"Literal[{', '.join(sorted(map(repr, values)))}]"
        self.types = tuple(dict.fromkeys(type(value) for value in values))
        self.kinds = frozenset(KINDS[cls] for cls in self.types)
        self._values = {(type(value), value) for value in values}
        self._storable = all(v is None or type(v) is bool or INT.shared(v) or STR.shared(v) for v in values)

    def dump(self, value: Any) -> Any:
        if self._has(value):
            return value
        raise Misfit.of(self.name, value, "give one of these values")

    def load(self, data: Any) -> Any:
        return self.dump(data)

    def schema(self, document: Document) -> Schema:
        if not self._values:
            return {"not": {}}
        ordered = sorted((value for _, value in self._values), key=repr)
        return any_of([_values(cls, [value for value in ordered if type(value) is cls]) for cls in self.types])

    def shared(self, value: Any) -> bool:
        return self._storable and self._has(value)

    def _has(self, value: Any) -> bool:
        return type(value) in self.types and (type(value), value) in self._values


def _values(cls: type, values: list[Any]) -> Schema:
    return {"type": "null"} if cls is type(None) else {"type": _TYPES[cls], "enum": values}
