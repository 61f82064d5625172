"""The demo's sample orders, which ship with the package."""

from __future__ import annotations

from importlib.resources import files
from itertools import count, cycle, islice
from random import Random
from typing import Any

import orjson

from perdure_adapters.cli.demo.workflow import Line, Order


def sample_orders(number: int, seed: int) -> list[Order]:
    """So many orders. Another seed deals the goods to other customers."""
    text = files("perdure_adapters.cli.demo").joinpath("orders.json").read_bytes()
    samples: list[dict[str, Any]] = orjson.loads(text)
    baskets = [sample["lines"] for sample in samples]
    if seed:
        Random(seed).shuffle(baskets)
    dealt = islice(zip(count(1001), cycle(samples), cycle(baskets), strict=False), number)
    return [Order(f"A-{id}", sample["customer"], [Line(**line) for line in basket]) for id, sample, basket in dealt]
