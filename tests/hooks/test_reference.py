"""The reference names every method and every field."""

from __future__ import annotations

import inspect
import re

import attrs

from docs.pages import page
from hooks.listening import METHODS
from perdure import hooks
from perdure.hooks import Hooks

PAGE = page("reference/hooks.md")


def test_every_method_is_there_with_what_it_is_told() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| `(\w+)` \|$", PAGE.split("## Trace context")[0], re.MULTILINE))
    asked = re.findall(r"^\| `(\w+)` \| ", PAGE.split("## Trace context")[1].split("## What is told")[0], re.MULTILINE)
    assert sorted([*rows, *asked]) == METHODS
    for name, told in rows.items():
        _, parameter = inspect.signature(getattr(Hooks, name)).parameters.values()
        assert parameter.annotation == told


def test_every_fact_is_there_with_its_fields() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\| (.*?) ?\|$", PAGE.split("## What is told")[1], re.MULTILINE)
    named = {name: (base, set(re.findall(r"`([a-z_]+)`", fields))) for name, base, fields in rows}
    assert set(named) | {"About", "Recorded", "RecordedStep", "Hooks"} == set(hooks.__all__)
    for name, (base, fields) in named.items():
        fact = getattr(hooks, name)
        if base:
            assert fact.__mro__[1].__name__ == base
            own = {one.name for one in attrs.fields(fact) if not one.inherited}
        elif attrs.has(fact):
            own = {one.name for one in attrs.fields(fact)}
        else:
            own = {one for one in vars(fact) if not one.startswith("_")}
        assert fields >= own, name
