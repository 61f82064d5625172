"""JSON Schema as strict modes of language models take it: closed objects, all keys required, few keywords."""

from __future__ import annotations

import json
from typing import Any

from perdure.codec.document import Schema, any_of, reachable, target_of
from perdure.codec.text import MAX_INT, MIN_INT
from perdure.errors import UsageError

_KEPT = ("type", "title", "description", "enum", "minItems", "maxItems")
_TOLD = {
    "format": "Format",
    "pattern": "Pattern",
    "minLength": "Least number of characters",
    "maxLength": "Greatest number of characters",
    "minimum": "At least",
    "exclusiveMinimum": "More than",
    "maximum": "At most",
    "exclusiveMaximum": "Less than",
    "multipleOf": "A multiple of",
    "default": "Default",
}
_LIST = "use a list of a class with two fields, the key and the value"
_TYPES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def strictly(schema: Schema, where: str, hidden: str = "") -> Schema:
    """The document within these limits: what it allows, `schema` allows, except for formats and bounds.

    `where` begins every refusal, followed by the path, of which people do not know the `hidden` beginning.
    Raises UsageError for what strict mode cannot say.
    """
    definitions: dict[str, Schema] = schema.get("$defs", {})
    limited = _Limited(definitions, where, hidden)
    root = limited.schema({key: item for key, item in schema.items() if key != "$defs"}, "")
    if root.get("type") != "object":
        raise UsageError(f"{where}: strict mode takes only an object at the root; put the value into a class")
    found = reachable(root, {name: limited.schema(definition, name) for name, definition in definitions.items()})
    return {**root, "$defs": found} if found else root


class _Limited:
    def __init__(self, definitions: dict[str, Schema], where: str, hidden: str) -> None:
        self._definitions = definitions
        self._where = where
        self._hidden = hidden
        self._repeated: list[str] = []

    def schema(self, declared: Any, path: str) -> Schema:
        depth = len(self._repeated)
        try:
            return self._limited(self._plain(declared, path), path)
        finally:
            del self._repeated[depth:]

    def _limited(self, schema: Schema, path: str) -> Schema:
        if "$ref" in schema:
            return schema
        kept = {key: schema[key] for key in _KEPT if key in schema}
        told = _told(schema)
        if told:
            kept["description"] = told
        if "anyOf" in schema:
            parts = [self.schema(part, path) for part in schema["anyOf"]]
            return {**any_of(parts), **{key: kept[key] for key in ("title", "description") if key in kept}}
        if schema.get("type") == "object":
            return {**kept, **self._object(schema, path)}
        if schema.get("type") == "array":
            return {**kept, **self._array(schema, path)}
        if "type" not in schema:
            if "enum" not in schema:
                raise self._refused(path, "a value of any type", "name the type, or the types it may be")
            return any_of([{**kept, **part} for part in self._by_type(schema["enum"], path)])
        return kept

    def _plain(self, schema: Any, path: str) -> Schema:
        """Without other ways of saying the same."""
        if not isinstance(schema, dict):
            raise self._refused(path, "a value of any type", "name the type, or the types it may be")
        plain: Schema = dict(schema)
        if "oneOf" in plain:
            plain.setdefault("anyOf", plain.pop("oneOf"))
        if "const" in plain:
            plain.setdefault("enum", [plain.pop("const")])
        if len(plain.get("anyOf", ())) == 1:
            plain = {**plain.pop("anyOf")[0], **plain}
        parts = plain.pop("allOf", [])
        if len(parts) == 1 and set(parts[0]) == {"$ref"}:
            plain["$ref"] = parts[0]["$ref"]
        elif parts or "not" in plain or "if" in plain:
            raise self._refused(path, "several schemas at once, or the opposite of one", "declare a simpler type")
        target = target_of(plain)
        if target is None:
            return plain
        more = {key: item for key, item in plain.items() if key != "$ref"}
        if not more or target in self._repeated:  # what contains itself cannot be said again and again
            return {"$ref": plain["$ref"]}
        # beside a reference nothing else may be said, so what it refers to is said again
        self._repeated.append(target)
        return self._plain({**self._definitions[target], **more}, path)

    def _object(self, schema: Schema, path: str) -> Schema:
        properties = schema.get("properties")
        more = schema.get("additionalProperties", properties is None)
        if more is not False or "patternProperties" in schema:
            raise self._refused(path, "a dict, whose keys are open", _LIST)
        found = {name: self.schema(part, f"{path}.{name}") for name, part in (properties or {}).items()}
        return {"properties": found, "required": list(found), "additionalProperties": False}

    def _array(self, schema: Schema, path: str) -> Schema:
        if "prefixItems" in schema:
            items = schema["prefixItems"]
            if any(item != items[0] for item in items):
                raise self._refused(path, "a tuple of several types", "use a class, which gives its parts names")
            return {"items": self.schema(items[0], f"{path}[]")}
        if "items" not in schema:
            if schema.get("maxItems") == 0:
                raise self._refused(path, "an empty tuple", "leave it out")
            raise self._refused(path, "a list of anything", "name the type of its items, as in list[str]")
        return {"items": self.schema(schema["items"], f"{path}[]")}

    def _by_type(self, values: list[Any], path: str) -> list[Schema]:
        found: dict[str, list[Any]] = {}
        for value in values:
            if type(value) not in _TYPES:
                raise self._refused(path, f"the value {value!r}", "let it be a string, a number or a bool")
            found.setdefault(_TYPES[type(value)], []).append(value)
        return [{"type": name, "enum": same} for name, same in found.items()]

    def _refused(self, path: str, what: str, instead: str) -> UsageError:
        path = path.removeprefix(self._hidden).removeprefix(".")
        at = f", at {path}" if path else ""
        return UsageError(f"{self._where}{at}: strict mode cannot describe {what}; {instead}")


def _told(schema: Schema) -> str:
    """The description, and in words what other keywords say, for a model to keep to if it can."""
    sentences = [schema["description"]] if schema.get("description") else []
    for keyword, words in _TOLD.items():
        if keyword in schema and schema[keyword] not in (MIN_INT, MAX_INT):
            sentences.append(f"{words}: {json.dumps(schema[keyword], ensure_ascii=False)}")
    if len(sentences) == bool(schema.get("description")):
        return sentences[0] if sentences else ""
    return ". ".join(sentence.removesuffix(".") for sentence in sentences) + "."
