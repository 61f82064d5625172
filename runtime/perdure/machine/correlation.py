"""Which event is for whom: paths into its data, and the values that are waited for there.

A wait's key is a hash of its type, its paths and the values; an event has one for each set of paths
that anybody ever waited with, so that finding who waits for it is a look into an index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

#: The paths of a wait without a match.
NO_PATHS = "[]"


def paths_of(match: Mapping[str, str]) -> str:
    """The set of paths as one text: JSON, in order."""
    return orjson.dumps(sorted(match)).decode()


def wait_key(type: str, match: Mapping[str, str]) -> str:
    """The key of a wait. `match` maps dotted paths to encoded JSON."""
    return _hash(type, paths_of(match), [match[path] for path in sorted(match)])


def event_key(type: str, data: Any, paths: str) -> str | None:
    """The key that an event has for a set of paths; None where there is nothing at one of them."""
    values = [value_at(data, path) for path in orjson.loads(paths)]
    if any(value is None for value in values):
        return None
    return _hash(type, paths, [value for value in values if value is not None])


def value_at(data: Any, path: str) -> str | None:
    """The encoded JSON at a dotted path, None where there is nothing. A whole number is a place in a list."""
    for part in path.split("."):
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()


def _hash(type: str, paths: str, values: Sequence[str]) -> str:
    """128 bits of SHA-256, as hex digits."""
    return hashlib.sha256("\0".join((type, paths, *values)).encode()).hexdigest()[:32]
