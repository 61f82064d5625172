"""The values JSON has itself, and `Any`, which stands for just these."""

from __future__ import annotations

from math import isfinite
from typing import Any

from perdure.codec.document import Document, Schema
from perdure.codec.misfit import FIT, Misfit, key_step
from perdure.codec.shape import ALL_KINDS, Kind, Shape
from perdure.codec.text import MAX_INT, MIN_INT

_SCHEMAS: dict[type, Schema] = {
    int: {"type": "integer", "minimum": MIN_INT, "maximum": MAX_INT},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}

SMALL = 1000
"""Characters of a string that may skip the measuring of its encoded size."""

_NOT_FINITE = "replace NaN and infinity by None or by a string: JSON has no such numbers"


class Primitive(Shape):
    """int, str, bool or None: itself in JSON. Subclasses are refused, their class would be lost."""

    immutable = True
    native = True

    def __init__(self, cls: type, kind: Kind) -> None:
        self.name = "None" if cls is type(None) else cls.__name__
        self.kinds = frozenset((kind,))
        self.types = (cls,)
        self._class = cls

    def dump(self, value: Any) -> Any:
        if type(value) is self._class:
            return value
        raise Misfit.of(self.name, value, f"convert it with {self.name}()" if self._is_kin(value) else FIT)

    def load(self, data: Any) -> Any:
        if type(data) is self._class:
            return data
        raise Misfit.of(self.name, data)

    def shared(self, value: Any) -> bool:
        return type(value) is self._class

    def schema(self, document: Document) -> Schema:
        return dict(_SCHEMAS[self._class])

    def _is_kin(self, value: object) -> bool:
        return isinstance(value, self._class) and self._class is not type(None)


class Integer(Primitive):
    def shared(self, value: Any) -> bool:
        return type(value) is int and MIN_INT <= value <= MAX_INT


class String(Primitive):
    def shared(self, value: Any) -> bool:
        return type(value) is str and len(value) <= SMALL and value.isascii() and "\0" not in value


class Float(Primitive):
    """Takes an int too, as type checkers do, and gives a float back."""

    def __init__(self) -> None:
        super().__init__(float, "float")
        self.types = (float, int)

    def dump(self, value: Any) -> float:
        if type(value) is float:
            if isfinite(value):
                return value
            raise Misfit(f"expected a finite float, got {value!r}", _NOT_FINITE)
        return self._from_int(value)

    def load(self, data: Any) -> float:
        if type(data) is float and isfinite(data):
            return data
        return self._from_int(data)

    def shared(self, value: Any) -> bool:
        return type(value) is float and isfinite(value)

    def schema(self, document: Document) -> Schema:
        return {"type": "number"}

    def _from_int(self, value: Any) -> float:
        if type(value) is not int:
            raise Misfit.of("float", value)
        try:
            number = float(value)
        except OverflowError:
            number = 0.0
        if number != value:
            raise Misfit.of("float", value, "it has more digits than a float holds: use int or Decimal")
        return number


class Json(Shape):
    """`Any`: what JSON has itself, and nothing else, because nothing would say what to make of it."""

    name = "Any"
    kinds = ALL_KINDS
    types = ()

    def dump(self, value: Any) -> Any:
        cls = type(value)
        if cls is str or cls is int or cls is bool or value is None:
            return value
        if cls is float:
            return FLOAT.dump(value)
        if cls is list or cls is tuple:
            return self._dump_items(value)
        if cls is dict:
            return self._dump_names(value)
        raise Misfit.of(
            "None, bool, int, float, str, list or dict, which is all that Any or no annotation can keep",
            value,
            f"annotate the parameter, the field or the return type with {cls.__name__}",
        )

    def load(self, data: Any) -> Any:
        return data

    def schema(self, document: Document) -> Schema:
        return {}

    def _dump_items(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        data: list[Any] = []
        try:
            for item in value:
                data.append(self.dump(item))
        except Misfit as misfit:
            raise misfit.at(f"[{len(data)}]") from None
        return data

    def _dump_names(self, value: dict[Any, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        key: Any = None
        try:
            for key, item in value.items():
                if type(key) is not str:
                    raise Misfit.of("str as a key", key, "annotate the dict with the type of its keys")
                data[key] = self.dump(item)
        except Misfit as misfit:
            raise misfit.at(key_step(key)) from None
        return data


INT = Integer(int, "int")
STR = String(str, "str")
BOOL = Primitive(bool, "bool")
NONE = Primitive(type(None), "null")
FLOAT = Float()
JSON = Json()
