"""Classes with named fields: attrs classes, dataclasses, NamedTuples, TypedDicts. Objects in JSON.

A field the data has and the class no longer has is ignored, so that a deploy may remove one; a
field the class has and the data lacks takes its default, so that a deploy may add one.
"""

from __future__ import annotations

from typing import Any

import attrs

from perdure.codec.descriptions import NO_DEFAULT, shown_default
from perdure.codec.document import Document, Schema, class_text, record, with_text
from perdure.codec.misfit import Misfit, described, shown
from perdure.codec.shape import Shape


@attrs.frozen
class Field:
    """One field. `argument` is how the constructor calls it, None when it does not take it.

    `default` is only for showing it.
    """

    name: str
    shape: Shape
    argument: str | None
    required: bool
    text: str | None = None
    default: Any = NO_DEFAULT


class Record(Shape):
    """Made without its fields, which `fill` gives, so that a class may contain itself."""

    kinds = frozenset(("object",))
    complete = True
    """Whether `dump` always gives all fields."""

    def __init__(self, cls: type, name: str, keys: frozenset[str]) -> None:
        self.name = name
        self.types = (cls,)
        self.keys = keys
        self.full_name = f"{cls.__module__}:{name}"
        self._class: Any = cls
        self._dumps: list[tuple[str, Any]] = []
        self._fields: list[Field] = []
        self._loads: list[tuple[str, str | None, Any, bool]] = []

    def fill(self, fields: list[Field]) -> None:
        self._fields = fields
        self._dumps = [(field.name, field.shape.dump) for field in fields]
        self._loads = [(field.name, field.argument, field.shape.load, field.required) for field in fields]

    def schema(self, document: Document) -> Schema:
        return document.define(self, self.name, lambda: self.body(document))

    def tagged(self, document: Document, name: str, tag: str) -> Schema:
        """The schema of the object with one more property, which says of which class it is."""
        said: Schema = {"type": "string", "enum": [tag]}

        def write() -> Schema:
            body = self.body(document)
            properties = {name: said, **body.get("properties", {})}
            return {**body, "properties": properties, "required": [name, *body.get("required", ())]}

        return document.define((self, name, tag), f"{self.name}_tagged", write)

    def body(self, document: Document) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for field in self._fields:
            if field.argument is None and document.mode == "strict":
                continue  # the class sets it
            schema = with_text(field.shape.schema(document), field.text)
            if document.mode != "output":
                schema = {**schema, **shown_default(field.shape, field.default)}
            properties[field.name] = schema
            if field.required or (document.mode == "output" and self.complete):
                required.append(field.name)
        return record(properties, required, title=self.name, **class_text(self._class))

    def wrong_class(self, value: Any) -> Misfit:
        if isinstance(value, self._class):
            return Misfit(
                f"expected {self.name}, got its subclass {type(value).__name__}, whose class and further fields "
                "would be lost",
                f"declare the union {self.name} | {type(value).__name__}, or {type(value).__name__} itself",
            )
        return Misfit.of(self.name, value)


class Instance(Record):
    """An attrs class or a dataclass.

    `checked`: the class has code of its own that runs when it is made (a converter, a
    `__post_init__`), so whether a value survives being made again is tried before it is stored.
    """

    def __init__(self, cls: type, name: str, keys: frozenset[str], *, checked: bool) -> None:
        super().__init__(cls, name, keys)
        self._checked = checked

    def dump(self, value: Any) -> Any:
        if type(value) is not self._class:
            raise self.wrong_class(value)
        data: dict[str, Any] = {}
        name = ""
        try:
            for name, dump in self._dumps:
                data[name] = dump(getattr(value, name))
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        except AttributeError:
            raise Misfit(f"its field {name!r} was never set", "set it before handing the value over") from None
        if self._checked:
            self._make_again(value)
        return data

    def load(self, data: Any) -> Any:
        if type(data) is not dict:
            raise Misfit.of(f"{self.name} as a JSON object", data)
        given: dict[str, Any] = {}
        later: dict[str, Any] = {}
        name = ""
        try:
            for name, argument, load, required in self._loads:
                if name in data:
                    if argument is None:
                        later[name] = load(data[name])
                    else:
                        given[argument] = load(data[name])
                elif required:
                    raise Misfit(f"the field is missing in this {self.name}", "give all fields without a default")
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        try:
            value = self._class(**given)
        except Exception as error:
            raise Misfit(
                f"{self.name} refuses these fields: {described(error)}", "give fields the class accepts"
            ) from None
        for name, item in later.items():
            object.__setattr__(value, name, item)
        return value

    def _make_again(self, value: Any) -> None:
        fields = [(field.name, field.argument) for field in self._fields if field.argument is not None]
        try:
            again = self._class(**{argument: getattr(value, name) for name, argument in fields})
        except Exception as error:
            raise Misfit(
                f"{self.name} does not accept its own fields again: {described(error)}",
                "change its validators or converters so that it does",
            ) from None
        for name, _ in fields:
            mine, its = getattr(value, name), getattr(again, name)
            if mine is not its and mine != its:
                raise Misfit(
                    f"{self.name} turns its own {name!r} into something else when it is made again: "
                    f"{described(mine)} into {described(its)}",
                    "make its converter or __post_init__ leave such a value alone",
                )


class Named(Record):
    """A NamedTuple, made without running a `__new__` of its own."""

    def dump(self, value: Any) -> Any:
        if type(value) is not self._class:
            raise self.wrong_class(value)
        data: dict[str, Any] = {}
        name = ""
        try:
            for (name, dump), item in zip(self._dumps, value, strict=True):
                data[name] = dump(item)
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        return data

    def load(self, data: Any) -> Any:
        if type(data) is not dict:
            raise Misfit.of(f"{self.name} as a JSON object", data)
        items: list[Any] = []
        name = ""
        try:
            for name, _, load, required in self._loads:
                if name in data:
                    items.append(load(data[name]))
                elif required:
                    raise Misfit(f"the field is missing in this {self.name}", "give all fields without a default")
                else:
                    items.append(self._class._field_defaults[name])
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        return self._class._make(items)


class Typed(Record):
    """A TypedDict: a plain dict, of which only the declared keys can be kept."""

    complete = False

    def __init__(self, cls: type, name: str, keys: frozenset[str]) -> None:
        super().__init__(cls, name, keys)
        self.types = (dict,)

    def dump(self, value: Any) -> Any:
        if type(value) is not dict:
            raise Misfit.of(f"{self.name}, a dict", value)
        assert self.keys is not None
        for key in value:
            if key not in self.keys:
                raise Misfit(
                    f"{self.name} has no key {shown(key)[:60]}, so it would be lost",
                    "remove it, or declare it",
                )
        return self._each(value, 1)

    def load(self, data: Any) -> Any:
        if type(data) is not dict:
            raise Misfit.of(f"{self.name} as a JSON object", data)
        return self._each(data, 2)

    def _each(self, value: dict[str, Any], direction: int) -> dict[str, Any]:
        done: dict[str, Any] = {}
        name = ""
        try:
            for field in self._fields:
                name = field.name
                if name in value:
                    convert = field.shape.dump if direction == 1 else field.shape.load
                    done[name] = convert(value[name])
                elif field.required:
                    raise Misfit(f"the key is missing in this {self.name}", "give all required keys")
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        return done
