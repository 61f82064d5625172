"""Each example's workflow ends alike, wherever its process dies. Under trio, whose clock can jump."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trio.testing import MockClock

from perdure.testing import crash_everywhere

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


async def test_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = load("orders", monkeypatch)
    receipt = await crash_everywhere(orders.fulfil, orders.Order("order-1", "desk", card="visa"))
    assert receipt.parcel == "parcel-to-the-owner-of-visa"
    assert await crash_everywhere(orders.fulfil, orders.Order("order-2", "lamp", card="empty")) is None


async def test_sleeper(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = load("sleeper", monkeypatch)
    story = await crash_everywhere(sleeper.dinner)
    assert "the coffee took too long" in story


def test_every_example_is_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"orders", "sleeper"}
