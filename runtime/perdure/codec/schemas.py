"""JSON Schema (dialect 2020-12) of what codecs take and give.

The shapes write it, so it says what they do. It cannot say all: the codec also refuses a float such as
1.0 for an int, more digits than a float holds, NUL and lone surrogates in strings, text that only
looks like a date, and what a class' own validators refuse. And it takes a little more: objects of a
union without their tag, where only one class fits, and other ways of writing dates and UUIDs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from perdure.codec.descriptions import shown_default
from perdure.codec.document import Document, Schema, record, with_text
from perdure.codec.parameters import Parameter, Parameters
from perdure.codec.strict import strictly
from perdure.codec.values import Codec

RESULT = "result"
"""Where a value is put that is not always an object, when there has to be one."""


def schema_of(codec: Codec, *, mode: Literal["input", "output"]) -> dict[str, Any]:
    """ "input": what `codec.from_data` takes. "output": what `codec.data` gives."""
    document = Document(mode)
    return document.finished(codec.shape.schema(document))


def wraps(codec: Codec) -> bool:
    """Whether the schema's root is something else than one object, so that the value goes under "result"."""
    document = Document("output")
    return not document.is_object(codec.shape.schema(document))


def wrapped_output_schema(codec: Codec) -> dict[str, Any]:
    """As `schema_of(…, mode="output")`, but always of an object: see `wraps`."""
    document = Document("output")
    schema = codec.shape.schema(document)
    return document.finished(schema if document.is_object(schema) else _wrapped(schema))


def strict_schema(codec: Codec) -> dict[str, Any]:
    """For a language model that is held to it: a root object (see `wraps`), all keys required, no others.

    Raises UsageError for what such schemas cannot say: dicts with open keys, Any, tuples of several types.
    """
    document = Document("strict")
    schema = codec.shape.schema(document)
    wrapped = wraps(codec)
    return strictly(document.finished(_wrapped(schema) if wrapped else schema), codec.name, f".{RESULT}" * wrapped)


def input_schema(
    parameters: Parameters, *, leave_out: Collection[str] = (), docs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The arguments by name as one object, as `parameters.from_data` takes them.

    `docs` describes the parameters that their annotations do not describe.
    """
    document = Document("input")
    return document.finished(_arguments(parameters, document, leave_out, docs or {}))


def strict_input_schema(
    parameters: Parameters, *, leave_out: Collection[str] = (), docs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """As `input_schema`, within the limits of `strict_schema`: a parameter with a default is required too."""
    document = Document("strict")
    return strictly(document.finished(_arguments(parameters, document, leave_out, docs or {})), parameters.where)


def _wrapped(schema: Schema) -> Schema:
    return record({RESULT: schema}, [RESULT])


def _arguments(
    parameters: Parameters, document: Document, leave_out: Collection[str], docs: Mapping[str, str]
) -> Schema:
    taken = [parameter for parameter in parameters.each() if parameter.name not in leave_out]
    properties: dict[str, Schema] = {}
    for parameter in taken:
        schema = _argument(parameter, parameters, document)
        schema = with_text(schema, parameter.text or docs.get(parameter.name))
        properties[parameter.name] = {**schema, **shown_default(parameter.codec.shape, parameter.default)}
    schema = record(properties, [parameter.name for parameter in taken if parameter.required])
    return {**schema, "additionalProperties": False}


def _argument(parameter: Parameter, parameters: Parameters, document: Document) -> Schema:
    schema = parameter.codec.shape.schema(document)
    if parameter.sort == "rest":
        return {"type": "array", "items": schema}
    if parameter.sort == "extra":
        taken = sorted(parameters.by_keyword)
        names: Schema = {"propertyNames": {"not": {"enum": taken}}} if taken else {}
        return {"type": "object", "additionalProperties": schema, **names}
    return schema
