"""list, tuple, set, frozenset and dict."""

from __future__ import annotations

from typing import Any

import orjson

from perdure.codec.document import Document, Schema, row
from perdure.codec.misfit import Misfit, key_step
from perdure.codec.primitives import STR
from perdure.codec.shape import Kind, Shape
from perdure.codec.text import MAX_INT, MIN_INT, bad_int

_COMPARED: frozenset[Kind] = frozenset(("null", "bool", "int", "float", "str"))
"""Of these, JSON knows as well as Python whether two are the same."""


class Items(Shape):
    """Any number of items of one type: list, `tuple[T, ...]`, set, frozenset."""

    kinds = frozenset(("array",))

    def __init__(self, cls: type, item: Shape) -> None:
        self.name = f"tuple[{item.name}, ...]" if cls is tuple else f"{cls.__name__}[{item.name}]"
        self.types = (cls,)
        self.native = cls is list
        self._class: Any = cls
        self._item = item
        self._unordered = cls in (set, frozenset)

    def dump(self, value: Any) -> list[Any]:
        if type(value) is not self._class:
            raise Misfit.of(self.name, value, f"convert it with {self._class.__name__}()")
        data: list[Any] = []
        dump = self._item.dump
        try:
            for item in value:
                data.append(dump(item))
        except Misfit as misfit:
            raise misfit.at("{…}" if self._unordered else f"[{len(data)}]") from None
        return _ordered(data) if self._unordered else data

    def load(self, data: Any) -> Any:
        if type(data) is not list:
            raise Misfit.of(f"{self.name} as a JSON array", data)
        value: list[Any] = []
        load = self._item.load
        try:
            for item in data:
                value.append(load(item))
        except Misfit as misfit:
            raise misfit.at(f"[{len(value)}]") from None
        return value if self._class is list else self._collect(value)

    def schema(self, document: Document) -> Schema:
        schema: Schema = {"type": "array", "items": self._item.schema(document)}
        if self._unordered and document.mode == "output" and self._item.kinds <= _COMPARED:
            schema["uniqueItems"] = True
        return schema

    def _collect(self, value: list[Any]) -> Any:
        try:
            return self._class(value)
        except TypeError as error:  # unhashable
            raise Misfit(f"cannot be made a {self.name}: {error}") from None


def _ordered(data: list[Any]) -> list[Any]:
    """The order of a set is another one in every process; the text must not be."""
    try:
        return sorted(data)
    except TypeError:
        pass
    try:
        return sorted(data, key=orjson.dumps)
    except orjson.JSONEncodeError:
        return data  # which will be refused as a whole


class Fixed(Shape):
    """`tuple[A, B]`: so many items, each of its own type."""

    kinds = frozenset(("array",))
    types = (tuple,)

    def __init__(self, items: list[Shape]) -> None:
        self.name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
        self._items = items

    def dump(self, value: Any) -> list[Any]:
        if type(value) is not tuple or len(value) != len(self._items):
            raise Misfit.of(self.name, value)
        return self._each(value, dump=True)

    def load(self, data: Any) -> Any:
        if type(data) is not list or len(data) != len(self._items):
            raise Misfit.of(f"{self.name} as a JSON array of {len(self._items)}", data)
        return tuple(self._each(data, dump=False))

    def schema(self, document: Document) -> Schema:
        return row([item.schema(document) for item in self._items])

    def _each(self, values: Any, *, dump: bool) -> list[Any]:
        done: list[Any] = []
        try:
            for shape, value in zip(self._items, values, strict=True):
                done.append(shape.dump(value) if dump else shape.load(value))
        except Misfit as misfit:
            raise misfit.at(f"[{len(done)}]") from None
        return done


class Names(Shape):
    """`dict[str, T]`: an object."""

    kinds: frozenset[Kind] = frozenset(("object",))
    types = (dict,)

    def __init__(self, key: Shape, item: Shape) -> None:
        self.name = f"dict[{key.name}, {item.name}]"
        self._key = key
        self._item = item

    def dump(self, value: Any) -> Any:
        if type(value) is not dict:
            raise Misfit.of(self.name, value, "convert it with dict()")
        data: dict[str, Any] = {}
        dump = self._item.dump
        key: Any = None
        try:
            for key, item in value.items():
                data[key if type(key) is str else self._refused(key)] = dump(item)
        except Misfit as misfit:
            raise misfit.at(key_step(key)) from None
        return data

    def load(self, data: Any) -> Any:
        if type(data) is not dict:
            raise Misfit.of(f"{self.name} as a JSON object", data)
        value: dict[Any, Any] = {}
        load = self._item.load
        key = ""
        try:
            for key, item in data.items():
                value[key] = load(item)
        except Misfit as misfit:
            raise misfit.at(key_step(key)) from None
        return value

    def schema(self, document: Document) -> Schema:
        return {"type": "object", "additionalProperties": self._item.schema(document)}

    def _refused(self, key: object) -> str:
        raise Misfit.of("str as a key", key)


class TextKeys(Names):
    """Keys that have one string each: dates, UUIDs, enums, and integers in decimal."""

    def __init__(self, key: Shape, item: Shape) -> None:
        super().__init__(key, item)
        self._integers = key.kinds == {"int"}

    def dump(self, value: Any) -> Any:
        if type(value) is not dict:
            raise Misfit.of(self.name, value, "convert it with dict()")
        data: dict[str, Any] = {}
        key: Any = None
        try:
            for key, item in value.items():
                text = self._key.dump(key)
                if self._integers:
                    if not MIN_INT <= text <= MAX_INT:
                        raise bad_int(text)
                    text = str(text)
                data[text] = self._item.dump(item)
        except Misfit as misfit:
            raise misfit.at(key_step(key)) from None
        return data

    def load(self, data: Any) -> Any:
        if type(data) is not dict:
            raise Misfit.of(f"{self.name} as a JSON object", data)
        value: dict[Any, Any] = {}
        text = ""
        try:
            for text, item in data.items():
                key = self._key.load(self._integer(text) if self._integers else text)
                value[key] = self._item.load(item)
        except Misfit as misfit:
            raise misfit.at(key_step(text)) from None
        return value

    def schema(self, document: Document) -> Schema:
        names = self._key.schema(document)
        if self._integers:
            chosen = document.body(names).get("enum")
            names = {"pattern": "^(0|-?[1-9][0-9]*)$"} if chosen is None else {"enum": [str(key) for key in chosen]}
        return {**super().schema(document), "propertyNames": names}

    def _integer(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = 0
        if str(number) != text:
            raise Misfit.of(f"{self._key.name} in decimal as a key", text)
        return number


class Pairs(Names):
    """All other keys: an array of `[key, value]`."""

    kinds = frozenset(("array",))

    def dump(self, value: Any) -> Any:
        if type(value) is not dict:
            raise Misfit.of(self.name, value, "convert it with dict()")
        data: list[Any] = []
        key: Any = None
        try:
            for key, item in value.items():
                data.append([self._key.dump(key), self._item.dump(item)])
        except Misfit as misfit:
            raise misfit.at(key_step(key)) from None
        return data

    def load(self, data: Any) -> Any:
        if type(data) is not list:
            raise Misfit.of(f"{self.name} as a JSON array of pairs", data)
        value: dict[Any, Any] = {}
        index = 0
        try:
            for index, pair in enumerate(data):  # noqa: B007 - the except clauses below use it
                if type(pair) is not list or len(pair) != 2:
                    raise Misfit.of("a pair [key, value]", pair)
                value[self._key.load(pair[0])] = self._item.load(pair[1])
        except Misfit as misfit:
            raise misfit.at(f"[{index}]") from None
        except TypeError as error:  # unhashable
            raise Misfit(f"cannot be a key: {error}").at(f"[{index}]") from None
        return value

    def schema(self, document: Document) -> Schema:
        if document.mode == "strict":
            return super().schema(document)  # is refused, like every dict
        return {"type": "array", "items": row([self._key.schema(document), self._item.schema(document)])}


def mapping(key: Shape, item: Shape) -> Shape:
    if key is STR:
        return Names(key, item)
    if key.kinds in ({"str"}, {"int"}):
        return TextKeys(key, item)
    return Pairs(key, item)
