"""Unions: told apart by what JSON tells apart, and by a tag where that is not enough.

`Order | None`, `int | str` and `Order | str` need no tag. In `Cat | Dog` the objects get one more
name, `"_type": "Cat"`; in `datetime | str` a string is a string, and a datetime becomes
`{"_type": "datetime", "value": "2024-05-31T12:00:00"}`. Reading takes objects without the tag too,
as they come from outside, when only one class fits them.
"""

from __future__ import annotations

from typing import Any

from perdure.codec.document import Document, Schema, any_of, record
from perdure.codec.enums import Literals
from perdure.codec.misfit import Misfit
from perdure.codec.primitives import FLOAT, NONE, Primitive
from perdure.codec.records import Record
from perdure.codec.shape import KINDS, Kind, Shape


class Ambiguous(Exception):
    """Two members have one name, so no tag can tell them apart."""


class Union(Shape):
    def __init__(self, members: list[Shape]) -> None:
        self.members = _without_repeats(members)
        self.name = " | ".join(member.name for member in self.members)
        kinds: frozenset[Kind] = frozenset(kind for member in self.members for kind in member.kinds)
        self.kinds = kinds
        self.types = tuple(dict.fromkeys(cls for member in self.members for cls in member.types))
        self.immutable = all(member.immutable for member in self.members)
        self._by_kind = {kind: [member for member in self.members if kind in member.kinds] for kind in self.kinds}
        self._bare = self._untagged()
        tagged = [member for member in self.members if member not in self._bare]
        self._tags = _tags(tagged)
        self._named = {tag: member for member, tag in self._tags.items()}
        self._tag = _tag_name(tagged)
        if tagged:
            self.kinds = kinds.union(("object",))
        self._by_type: dict[type, list[Shape]] = {}
        # a float takes an int only where no other member does
        for member in sorted(self.members, key=lambda member: member is FLOAT):
            for cls in member.types:
                self._by_type.setdefault(cls, []).append(member)

    def dump(self, value: Any) -> Any:
        candidates = self._by_type.get(type(value))
        if candidates is None:
            raise self._unknown(value)
        if len(candidates) == 1:
            return self._tag_data(candidates[0], candidates[0].dump(value))
        first: Misfit | None = None
        for member in candidates:
            try:
                return self._tag_data(member, member.dump(value))
            except Misfit as misfit:
                first = first or misfit
        assert first is not None
        raise first

    def load(self, data: Any) -> Any:
        if self._tags and type(data) is dict and self._tag in data:
            return self._load_tagged(data)
        candidates = self._by_kind.get(KINDS[type(data)], [])
        if type(data) is int and FLOAT in self.members:
            try:
                return self._load_of(candidates, data)
            except Misfit:
                return FLOAT.load(data)
        return self._load_of(candidates, data)

    def schema(self, document: Document) -> Schema:
        return any_of([self._member(member, document) for member in self.members])

    def _member(self, member: Shape, document: Document) -> Schema:
        tag = self._tags.get(member)
        if tag is None:
            return member.schema(document)
        if isinstance(member, Record) and member.keys is not None:
            return member.tagged(document, self._tag, tag)
        said = {"type": "string", "enum": [tag]}
        return record({self._tag: said, "value": member.schema(document)}, [self._tag, "value"])

    def _load_of(self, candidates: list[Shape], data: Any) -> Any:
        bare = [member for member in candidates if member in self._bare]
        if len(bare) == 1:
            return bare[0].load(data)
        if not candidates:
            raise Misfit.of(self.name, data)
        return self._load_fitting(bare or candidates, data)

    def shared(self, value: Any) -> bool:
        return any(member.shared(value) for member in self._by_type.get(type(value), ()))

    def _untagged(self) -> list[Shape]:
        alone = [m for m in self.members if all(len(self._by_kind[kind]) == 1 for kind in m.kinds)]
        for owners in self._by_kind.values():
            natives = [member for member in owners if member.native]
            if len(owners) > 1 and len(natives) == 1:
                alone.extend(natives)
        if len(alone) < len(self.members):
            # tags make objects, so what is an object itself needs one as well
            alone = [member for member in alone if "object" not in member.kinds]
        return alone

    def _tag_data(self, member: Shape, data: Any) -> Any:
        tag = self._tags.get(member)
        if tag is None:
            return data
        if member.keys is None:
            return {self._tag: tag, "value": data}
        return {self._tag: tag, **data}

    def _load_tagged(self, data: dict[str, Any]) -> Any:
        tag = data[self._tag]
        member = self._named.get(tag) if type(tag) is str else None
        if member is None:
            known = ", ".join(self._named) or "none"
            raise Misfit(f"{tag!r} names no member of {self.name}", f"use one of: {known}").at(f".{self._tag}")
        if member.keys is not None:
            return member.load({key: item for key, item in data.items() if key != self._tag})
        if "value" not in data:
            raise Misfit(f"this {tag} has no value", f'write {{"{self._tag}": "{tag}", "value": …}}')
        return member.load(data["value"])

    def _load_fitting(self, candidates: list[Shape], data: Any) -> Any:
        fits: list[tuple[int, Any]] = []
        misfits: list[str] = []
        for member in candidates:
            try:
                value = member.load(data)
            except Misfit as misfit:
                misfits.append(f"{member.name}: {misfit.message}")
            else:
                unknown = len(data.keys() - member.keys) if type(data) is dict and member.keys is not None else 0
                fits.append((unknown, value))
        advice = f'say which one is meant: {{"{self._tag}": "{next(iter(self._named), "…")}", …}}'
        if not fits:
            raise Misfit(f"fits none of {self.name} ({'; '.join(misfits)})", advice)
        fewest = min(unknown for unknown, _ in fits)
        best = [value for unknown, value in fits if unknown == fewest]
        if len(best) > 1:
            raise Misfit(f"fits more than one of {self.name}", advice)
        return best[0]

    def _unknown(self, value: Any) -> Misfit:
        for member in self.members:
            if isinstance(member, Record) and isinstance(value, member.types):
                return member.wrong_class(value)
        return Misfit.of(self.name, value)


def _without_repeats(members: list[Shape]) -> list[Shape]:
    """Flat, each once, in one order, and without literals of a type that is a member itself."""
    flat: list[Shape] = []
    for member in members:
        flat.extend(member.members if isinstance(member, Union) else [member])
    flat = list(dict.fromkeys(flat))
    # `A | B` and `B | A` are equal to Python, so one codec serves both: it must not depend on the order.
    # What takes floats would take ints too, so it comes after what takes ints.
    flat.sort(key=lambda member: (member is NONE, "float" in member.name, member.name, member.full_name))
    whole = {cls for member in flat if isinstance(member, Primitive) for cls in member.types[:1]}
    return [m for m in flat if not (isinstance(m, Literals) and whole.issuperset(m.types))]


def _tags(members: list[Shape]) -> dict[Shape, str]:
    names = [member.name for member in members]
    tags: dict[Shape, str] = {}
    for member in members:
        tag = member.name
        if names.count(tag) > 1:
            tag = member.full_name or tag
        if tag in tags.values():
            raise Ambiguous(tag)
        tags[member] = tag
    return tags


def _tag_name(members: list[Shape]) -> str:
    keys = {key for member in members for key in member.keys or ()}
    tag = "_type"
    while tag in keys:
        tag = f"_{tag}"
    return tag
