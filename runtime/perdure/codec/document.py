"""A JSON Schema document (dialect 2020-12) while the shapes of a type write it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, Literal, TypeAlias

import orjson

Mode: TypeAlias = Literal["input", "output", "strict"]
"""What is described: what is taken, what is given, or what a language model is held to."""

Schema: TypeAlias = dict[str, Any]

_PREFIX = "#/$defs/"
_DATA = ("default", "const", "enum", "examples", "discriminator")
"""What holds no schemas, whatever it looks like."""

_BY_NAME = ("properties", "$defs", "patternProperties", "dependentSchemas")


class Document:
    """Classes are written once, under `$defs`, so that they may contain themselves."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.definitions: dict[str, Schema] = {}
        self._names: dict[Hashable, str] = {}

    def define(self, key: Hashable, name: str, write: Callable[[], Schema]) -> Schema:
        """A reference to what `write` gives, which is called once for each key."""
        known = self._names.get(key)
        if known is None:
            known = self._names[key] = self._free(name)
            self.definitions[known] = {}  # the name is taken while the schema is written, which may refer to it
            self.definitions[known] = write()
        return {"$ref": _PREFIX + known}

    def include(self, schema: Mapping[str, Any], name: str) -> Schema:
        """A whole document of somebody else's. What it defines is defined here, once, whatever it is called."""
        theirs: dict[str, Schema] = schema.get("$defs", {})
        root = {key: item for key, item in schema.items() if key != "$defs"}

        def defined(part: Schema, name: str) -> Schema:
            key = ("included", orjson.dumps([part, reachable(part, theirs)], option=orjson.OPT_SORT_KEYS))
            return self.define(key, name, lambda: redirected(part, reference))

        def reference(old: str) -> str:
            return target_of(defined(theirs[old], old)) or old

        return redirected(root, reference) if set(root) == {"$ref"} else defined(root, name)

    def body(self, schema: Schema) -> Schema:
        """What the schema says itself, where it is only a reference."""
        while set(schema) == {"$ref"}:
            schema = self.definitions[schema["$ref"].removeprefix(_PREFIX)]
        return schema

    def is_object(self, schema: Schema) -> bool:
        """Whether it allows objects only, and says so at its root."""
        return self.body(schema).get("type") == "object"

    def finished(self, root: Schema) -> Schema:
        """The document: the root spelled out, and the definitions that it needs."""
        root = dict(self.body(root))
        needed = reachable(root, self.definitions)
        if needed:
            root["$defs"] = needed
        return root

    def _free(self, name: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "type"
        free, number = name, 1
        while free in self.definitions:
            number += 1
            free = f"{name}_{number}"
        return free


def target_of(schema: Mapping[str, Any]) -> str | None:
    """The definition that a schema refers to."""
    reference = schema.get("$ref")
    return reference.removeprefix(_PREFIX) if isinstance(reference, str) else None


def redirected(schema: Schema, reference: Callable[[str], str]) -> Schema:
    """A copy of the schema with other names of definitions."""

    def changed(part: Schema) -> Schema:
        target = target_of(part)
        if target is not None:
            part["$ref"] = _PREFIX + reference(target)
        mapping = part.get("discriminator", {}).get("mapping")
        if isinstance(mapping, dict):
            mapping = {key: _PREFIX + reference(old.removeprefix(_PREFIX)) for key, old in mapping.items()}
            part["discriminator"] = {**part["discriminator"], "mapping": mapping}
        return part

    copy: Schema = _rewritten(schema, changed)
    return copy


def _rewritten(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """A copy of the schema with `change` made to each schema in it, the innermost first."""
    if isinstance(schema, list):
        return [_rewritten(item, change) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy: Schema = {}
    for key, item in schema.items():
        if key in _DATA:
            copy[key] = item
        elif key in _BY_NAME and isinstance(item, dict):
            copy[key] = {name: _rewritten(part, change) for name, part in item.items()}
        else:
            copy[key] = _rewritten(item, change)
    return change(copy)


def reachable(root: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Those of the definitions that the schema refers to, and that these refer to."""
    found: dict[str, Schema] = {}

    def note(name: str) -> str:
        if name not in found and name in definitions:
            found[name] = definitions[name]
            redirected(definitions[name], note)
        return name

    redirected(root, note)
    return {name: definitions[name] for name in definitions if name in found}


def any_of(schemas: Collection[Schema]) -> Schema:
    """One schema for several: flat, and each once."""
    found: list[Schema] = []
    for schema in schemas:
        for part in schema["anyOf"] if set(schema) == {"anyOf"} else [schema]:
            if part not in found:
                found.append(part)
    return found[0] if len(found) == 1 else {"anyOf": found}


def row(items: list[Schema]) -> Schema:
    """An array of just these items."""
    size = {"minItems": len(items), "maxItems": len(items)}
    if not items:
        return {"type": "array", **size}
    if all(item == items[0] for item in items):
        return {"type": "array", "items": items[0], **size}
    return {"type": "array", "prefixItems": items, "items": False, **size}


def record(properties: dict[str, Schema], required: list[str], **more: Any) -> Schema:
    """An object with these properties; others are not mentioned."""
    schema: Schema = {"type": "object", **more, "properties": properties}
    if required:
        schema["required"] = required
    return schema


def with_text(schema: Schema, text: str | None) -> Schema:
    """The schema with this description, followed by what it says of its own format."""
    if not text:
        return schema
    own = schema.get("description")
    if own:
        text = f"{text if text.endswith(('.', '!', '?', ':')) else text + '.'} {own}"
    return {**schema, "description": text}


def class_text(cls: type) -> dict[str, str]:
    """The docstring that somebody has written for the class, as keywords of a schema."""
    text = cls.__dict__.get("__doc__")
    if not isinstance(text, str) or not text.strip():
        return {}
    if text.startswith(f"{cls.__name__}(") and text.endswith(")"):  # made up by dataclasses and NamedTuple
        return {}
    return {"description": inspect.cleandoc(text)}
