"""Types as forms of MCP's elicitation: flat objects of strings, numbers, booleans and choices.

A type that is no such object is asked for as one field `value`: a simple one as itself, any other as JSON text. `None`
is a form without fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import orjson
from attrs import frozen

from perdure import InvalidInput
from perdure.codec import Codec
from perdure.codec.schemas import schema_of

#: What the content is: the data's own fields; its field `value`; that field's text read as JSON; or nothing.
Shape: TypeAlias = Literal["fields", "value", "json", "nothing"]

_ABOUT = ("title", "description", "default")
_KEPT: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "format"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
    "boolean": (),
}
_FORMATS = ("email", "uri", "date", "date-time")
#: From here on, bounds say no more than what fits into a database.
_BOUNDLESS = 2**53


@frozen
class Form:
    """`nulls` are fields that have to be there and may be null. Forms know no null: they are left out instead."""

    shape: Shape
    schema: dict[str, Any]
    nulls: tuple[str, ...]
    about: str

    def data(self, content: Any) -> Any:
        """JSON data, not yet compared with the type. Raises InvalidInput."""
        if not isinstance(content, dict):
            raise InvalidInput("an answer that is accepted has an object as its content; send one")
        if self.shape == "fields":
            return {**dict.fromkeys(self.nulls), **content}
        if self.shape == "nothing":
            return None
        if not content.keys() <= {"value"}:
            raise InvalidInput('the content is to be {"value": ...}; send that alone')
        if "value" not in content:
            if self.nulls:
                return None
            raise InvalidInput("value: it is missing; give one")
        if self.shape == "value":
            return content["value"]
        if not isinstance(content["value"], str):
            raise InvalidInput("value: it is to be a string of JSON; give one")
        try:
            return orjson.loads(content["value"])
        except ValueError as error:
            raise InvalidInput(f"value: not JSON ({error}); write it as JSON") from None


def form_of(codec: Codec) -> Form:
    root = schema_of(codec, mode="input")
    schema = _resolved(root, root)
    described = schema.get("description")
    about = described if isinstance(described, str) else ""
    if schema.get("type") == "null":
        return Form("nothing", _object({}, []), (), about)
    simple = _simple(schema, root)
    if simple is not None:
        field, nullable = simple
        nulls: tuple[str, ...] = ("value",) if nullable else ()
        return Form("value", _object({"value": field}, [] if nullable else ["value"]), nulls, about)
    fields = _fields(schema, root)
    if fields is None:
        text = {"type": "string", "description": f"JSON that fits this schema: {orjson.dumps(root).decode()}"}
        return Form("json", _object({"value": text}, ["value"]), (), about)
    required = schema.get("required", ())
    nulls = tuple(name for name, (_, nullable) in fields.items() if nullable and name in required)
    shown = {name: field for name, (field, _) in fields.items()}
    return Form("fields", _object(shown, [name for name in required if name not in nulls]), nulls, about)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _fields(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, tuple[dict[str, Any], bool]] | None:
    """As `_simple` has them; None where it is no flat object."""
    if schema.get("type") != "object" or not schema.get("properties"):
        return None
    if isinstance(schema.get("additionalProperties"), dict) or "patternProperties" in schema:
        return None
    fields = {}
    for name, field in schema["properties"].items():
        simple = _simple(_resolved(field, root), root)
        if simple is None:
            return None
        fields[name] = simple
    return fields


def _simple(schema: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """As forms have it, and whether it may be null; None where they cannot have it."""
    about = {key: schema[key] for key in _ABOUT if schema.get(key) is not None}
    members = schema.get("anyOf")
    if members is not None:
        resolved = [_resolved(one, root) for one in members]
        rest = [one for one in resolved if one.get("type") != "null"]
        if len(rest) != 1 or len(rest) == len(resolved):
            return None
        simple = _simple(rest[0], root)
        return None if simple is None else ({**simple[0], **about}, True)
    kind = schema.get("type")
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if choices is not None:
        if not choices or not all(isinstance(one, str) for one in choices):
            return None
        return {"type": "string", "enum": list(choices), **about}, False
    if not isinstance(kind, str) or kind not in _KEPT or "contentEncoding" in schema:
        return None
    kept = {key: schema[key] for key in _KEPT[kind] if key in schema}
    if kept.get("format") not in _FORMATS:
        kept.pop("format", None)
    for bound in ("minimum", "maximum"):
        if bound in kept and abs(kept[bound]) >= _BOUNDLESS:
            del kept[bound]
    return {"type": kind, **kept, **about}, False


def _resolved(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """Without a reference at its top."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    target: Any = root
    for part in reference.removeprefix("#").split("/"):
        if part:
            target = target[part.replace("~1", "/").replace("~0", "~")]
    own = {key: value for key, value in schema.items() if key not in ("$ref", "$defs")}
    return {**_resolved(target, root), **own}
