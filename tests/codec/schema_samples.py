"""Validators of schemas, changes to JSON data, and what schemas and codecs do not agree on."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, validators

from perdure.codec.moments import load_datetime, load_time


def _is_datetime(text: object) -> bool:
    return not isinstance(text, str) or load_datetime(text) is not None


def _is_time(text: object) -> bool:
    return not isinstance(text, str) or load_time(text) is not None


FORMATS = FormatChecker(("date", "uuid"))
FORMATS.checks("our-datetime", (ValueError, KeyError))(_is_datetime)
FORMATS.checks("our-time", (ValueError, KeyError))(_is_time)

_OURS = {"A date with a time in ISO 8601": "our-datetime", "A time of day in ISO 8601": "our-time"}


Exact: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda checker, value: type(value) is int),
)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema that is one itself.

    Other than most, it knows dates with times, of which the schema only speaks, takes 1.0 for no
    integer, and no line's end for the end of a text.
    """
    Draft202012Validator.check_schema(schema)
    found: Draft202012Validator = Exact(_exact(schema), format_checker=FORMATS)
    return found


def _exact(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_exact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _exact(item) for key, item in schema.items()}
    for words, name in _OURS.items():
        if schema.get("type") == "string" and words in schema.get("description", ""):
            found["format"] = name
    if isinstance(schema.get("pattern"), str):
        found["pattern"] = schema["pattern"].replace("$", r"\Z")
    return found


STRUCTURE: list[Any] = [None, True, 0, -1, 1, 1.5, [], {}, [None], {"_type": "nobody"}, {"value": 1}]
VALUES: list[Any] = [
    *STRUCTURE,
    2**64,
    -(2**63) - 1,
    2**63,
    1.0,
    "",
    "zzz",
    "red",
    "RED",
    "2024-05-31",
    "12.50",
    "PT5S",
    "P",
    "P1D\n",
    "\n",
    "P1DT",
    "P2W1DT3H4M5.5S",
    "YQ==",
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    [1, 2],
    ["a", "b"],
    [["a", 1]],
    {"name": "x"},
    {"_type": "datetime", "value": "2024-05-31"},
]
KEYS = ["zzz", "5", "-0", "05", "red", "1", "_type", "name", "value", ""]


def changed(data: Any, random: Random, values: list[Any]) -> Any:
    """A copy with something dropped, added, renamed, repeated or put in another's place."""
    holder = {"root": copy.deepcopy(data)}
    spots: list[tuple[Any, Any]] = []
    _collect(holder, spots)
    parent, key = random.choice(spots)
    here = parent[key]
    actions = ["replace", "replace"]
    if isinstance(here, dict):
        actions += ["add", *(["drop", "drop", "rename"] if here else [])]
    if isinstance(here, list):
        actions += ["append", *(["pop", "repeat", "swap"] if here else [])]
    action = random.choice(actions)
    if action == "replace":
        parent[key] = copy.deepcopy(random.choice(values))
    elif action == "add":
        here[random.choice(KEYS)] = copy.deepcopy(random.choice(values))
    elif action == "drop":
        del here[random.choice(list(here))]
    elif action == "rename":
        here[random.choice(KEYS)] = here.pop(random.choice(list(here)))
    elif action == "append":
        here.append(copy.deepcopy(random.choice(values)))
    elif action == "pop":
        here.pop(random.randrange(len(here)))
    elif action == "repeat":
        here.append(copy.deepcopy(random.choice(here)))
    else:
        here[0], here[-1] = here[-1], here[0]
    return holder["root"]


def _collect(data: Any, spots: list[tuple[Any, Any]]) -> None:
    for key in data if isinstance(data, dict) else range(len(data)):
        spots.append((data, key))
        if isinstance(data[key], (dict, list)):
            _collect(data[key], spots)


def lacks_tag(data: Any, again: Any) -> bool:
    """Whether a tag is in `again` and not at the same place of `data`."""
    if isinstance(again, list) and isinstance(data, list):
        return any(map(lacks_tag, data, again))
    if not isinstance(again, dict):
        return False
    if not isinstance(data, dict) or ("_type" in again and "_type" not in data):
        return "_type" in again
    return any(lacks_tag(data[key], item) for key, item in again.items() if key in data)
