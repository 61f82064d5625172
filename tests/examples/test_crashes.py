"""Each example's workflow ends alike, wherever its process dies. Under trio, whose clock can jump."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trio.testing import MockClock

from llm import research
from llm.model_server import Seen
from perdure import WorkflowFailed
from perdure.testing import crash_everywhere, fake
from perdure_adapters.llm import Request, Response, ToolCall

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


async def test_print_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = load("print_shop", monkeypatch)
    jobs = [shop.Job("cards", 20), shop.Job("posters", 60), shop.Job("tickets", 30)]
    assert await crash_everywhere(shop.print_shop, jobs) == ["cards", "posters", "tickets"]


async def test_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    payments = load("payments", monkeypatch)
    order = payments.Order("order-1", "desk", 42_900)
    assert await crash_everywhere(payments.sell, order, 3600.0) == "expired"
    assert await crash_everywhere(payments.deliver_goods, order) == "courier with a box with a desk"


async def test_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    trip = load("trip", monkeypatch)
    booked = await crash_everywhere(trip.travel, trip.Trip("trip-1", "Lisbon", 3))
    assert booked == ["flight-trip-1", "hotel-trip-1", "car-trip-1"]
    with pytest.raises(WorkflowFailed, match="no cars in Venice"):
        await crash_everywhere(trip.travel, trip.Trip("trip-2", "Venice", 2))


async def test_outbox_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = load("outbox_shop", monkeypatch)
    async with fake(shop.place, returns=None):  # there is no SQL here
        await crash_everywhere(shop.buy, shop.Order("order-1", "desk"))


async def test_order_service(monkeypatch: pytest.MonkeyPatch) -> None:
    service = load("order_service", monkeypatch)
    receipt = await crash_everywhere(service.sell, service.Order("desk", 42_900, "visa"))
    assert receipt == service.Receipt("desk", "429.00 from visa", "a box with a desk")
    with pytest.raises(WorkflowFailed, match="the card was declined"):
        await crash_everywhere(service.sell, service.Order("lamp", 5_900, "empty"))


async def test_research_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("research_agent", monkeypatch)

    def answered(request: Request) -> Response:
        body: dict[str, Any] = {"messages": request.messages, "tools": request.tools}
        if request.format is not None:
            body["response_format"] = request.format.schema
        message = research.answer(Seen("", {}, body)).body["choices"][0]["message"]
        calls = [ToolCall(call["id"], **call["function"]) for call in message.get("tool_calls", ())]
        return Response(message["content"] or "", tool_calls=calls)

    with fake(example.llm.activity, answered), fake(example.report, returns=Response("so")):  # no network
        text = await crash_everywhere(example.research, example.QUESTION)
    assert text == "Bees dance to tell where the food is\n\nso"


def test_every_example_is_here() -> None:
    names = {
        "front_desk",
        "order_service",
        "orders",
        "outbox_shop",
        "payments",
        "print_shop",
        "research_agent",
        "sleeper",
        "trip",
    }
    assert {path.stem for path in EXAMPLES.glob("*.py")} == names
