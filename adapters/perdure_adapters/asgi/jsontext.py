"""JSON from strangers: taken only where every reader of it sees the same thing."""

from __future__ import annotations

import re
from typing import Any

import orjson

from perdure_adapters.asgi.problem import Problem

#: A string, and the colon behind it where it is a key. Possessive: it never looks at a character twice.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?+', re.DOTALL)
_LONG = re.compile(rb"\d{19}")
#: A string, or an integer that may not fit 64 bits.
_INTEGERS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(?<![\d.eE+-])(-?\d{19,}+)(?![.eE\d])', re.DOTALL)


def json_value(body: bytes, what: str) -> Any:
    """Raises Problem 400 for what is no JSON in UTF-8, for keys that are there twice, and for integers over 64 bits,
    which would be rounded.
    """
    try:
        value = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Problem(400, f"{what} is not JSON in UTF-8 ({error}); send it as RFC 8259 says") from None
    if _LONG.search(body) is not None:
        for digits in _INTEGERS.findall(body):
            if digits and (len(digits) > 21 or not -(2**63) <= int(digits) < 2**64):
                raise Problem(400, f"{what} holds an integer that does not fit 64 bits; send it as a string")
    try:
        again = orjson.dumps(value) if b"{" in body else b""
    except TypeError:  # it reads deeper than it writes
        raise Problem(400, f"{what} is nested too deep; send it flatter") from None
    if again and _keys(body) != _keys(again):  # what is there twice was kept once
        raise Problem(400, f"{what} is an object that has a key twice, or has such an object in it; send each key once")
    return value


def _keys(text: bytes) -> int:
    return sum(1 for colon in _STRINGS.findall(text) if colon)
