"""Each example ends by itself, and goes on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.patient import lapse
from llm import research
from llm.model_server import ModelServer

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENT = str(Path(__file__).with_name("patient.py"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[str]]:
    """Runs an example on a database of its own; with `until`, it is killed once it has printed that."""
    database = tmp_path / "example.db"

    def run(name: str, until: str | None = None) -> list[str]:
        command = [sys.executable, PATIENT, str(EXAMPLES / f"{name}.py"), str(database)]
        environment = os.environ if until is None else {**os.environ, "KILLED_AT": until}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, timeout=200, check=False)
        lines = [line.strip() for line in done.stdout.splitlines()]
        if until is None:
            assert done.returncode == 0
        else:
            assert done.returncode == -signal.SIGKILL, f"it never printed {until!r}"
            lapse(database)
        return lines

    return run


def test_orders(run: Callable[..., list[str]]) -> None:
    lines = run("orders")
    assert "order-2: declined, nothing was charged" in lines
    assert "order-2: putting lamp back" in lines
    assert "order-1: charging visa, attempt 2" in lines
    assert lines.count("order-1: shipping desk") == 1
    assert run("orders") == [line for line in lines if "Receipt(" in line or "declined" in line]


def test_orders_go_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    before = run("orders", until="order-1: charging visa, attempt 1")
    assert "order-1: reserving desk" in before
    after = run("orders")
    assert "order-1: reserving desk" not in after
    assert after.count("order-1: shipping desk") == 1
    assert any("Receipt(" in line for line in after)


def test_sleeper(run: Callable[..., list[str]]) -> None:
    lines = run("sleeper")
    assert lines[-5:-1] == [
        "there was soup with bread",
        "there was a pause",
        "first came patience",
        "the coffee took too long",
    ]
    assert run("sleeper") == lines[-5:]


def test_sleeper_goes_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    run("sleeper", until="cooking cake")
    after = run("sleeper")
    assert not {"cooking soup", "cooking bread"} & set(after)
    assert "the coffee took too long" in after


def test_print_shop(run: Callable[..., list[str]]) -> None:
    lines = run("print_shop")
    assert "0 of 4 are done" in lines
    assert lines[-1] == "printed: a book, cards, posters, tickets"
    printing = [line.partition(": printing ") for line in lines if ": printing " in line]
    assert sorted(title for _, _, title in printing) == ["a book", "cards", "posters", "tickets"]
    assert {press for press, _, _ in printing} == {"press A", "press B"}
    assert run("print_shop") == lines[-1:]


def test_print_shop_goes_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    before = run("print_shop", until="printing a book")
    after = run("print_shop")
    assert "printing cards" not in " ".join(after)  # its press went on to something else
    assert "printing a book" in " ".join(after)
    assert after[-1] == "printed: a book, cards, posters, tickets"
    twice = [line for line in before if ": printing " in line and line in after]
    assert len(twice) <= 2  # what was under way, by the same press as before


def test_payments(run: Callable[..., list[str]]) -> None:
    lines = run("payments")
    assert lines.count("packing a desk") == lines.count("packing a lamp") == 1
    outcomes = [
        "order-1: courier with a box with a desk",
        "order-2: courier with a box with a lamp",
        "order-3: expired",
    ]
    assert [line for line in lines if line in outcomes] == outcomes
    assert run("payments") == outcomes


def test_payments_go_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    run("payments", until="packing a desk")
    after = run("payments")
    assert "order-1: please pay 429.00" not in after
    assert after.count("packing a desk") == after.count("packing a lamp") == 1
    assert after[-1] == "order-3: expired"


def test_trip(run: Callable[..., list[str]]) -> None:
    lines = run("trip")
    outcomes = [
        "trip-1 is booked: flight-trip-1, hotel-trip-1, car-trip-1",
        "trip-2 has failed (no cars in Venice), undoing is complete: cancel_hotel, cancel_flight, tell",
    ]
    assert [line for line in lines if line in outcomes] == outcomes
    assert lines[-5:-1] == [
        "trip-2: cancelling hotel-trip-2, attempt 1",
        "trip-2: cancelling hotel-trip-2, attempt 2",
        "trip-2: cancelling flight-trip-2",
        "trip-2: sorry, there will be no trip",
    ]
    assert run("trip") == outcomes


def test_trip_goes_on_with_the_undoing_after_a_kill(run: Callable[..., list[str]]) -> None:
    run("trip", until="cancelling hotel-trip-2, attempt 1")
    after = run("trip")
    assert not any(": booking" in line for line in after)
    assert "trip-2: cancelling flight-trip-2" in after
    assert after[-1].endswith("undoing is complete: cancel_hotel, cancel_flight, tell")


def test_outbox_shop(run: Callable[..., list[str]]) -> None:
    lines = run("outbox_shop")
    assert lines[-1] == "orders: desk, lamp, rug"
    for order in ("order-1", "order-2", "order-3"):
        assert lines.count(f"{order}: written") == 1
        taken = [line for line in lines if line.startswith(order) and line.endswith(": 202")]
        assert taken == [f"{order}: order.placed: 202", f"{order}: order.packed: 202"]
    assert len([line for line in lines if line.endswith(": 500")]) == 2
    assert run("outbox_shop") == lines[-1:]


def test_outbox_shop_goes_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    before = run("outbox_shop", until=": 202")
    after = run("outbox_shop")
    assert after[-1] == "orders: desk, lamp, rug"
    for order in ("order-1", "order-2", "order-3"):
        taken = [line for line in [*before, *after] if line.startswith(order) and line.endswith(": 202")]
        assert set(taken) == {f"{order}: order.placed: 202", f"{order}: order.packed: 202"}
        assert (before + after).count(f"{order}: written") <= 1  # a kill directly after the commit leaves it unsaid


SOLD = [
    "sold: a box with a desk, paid with 4.00",
    "sold: a box with a lamp, paid with 4.00",
    "sold: a box with a rug, paid with 3.00",
]


def test_front_desk_goes_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    before = run("front_desk", until="order.created-order-2: taken")
    assert before.count("order.created-order-1: taken") == before.count("order.created-order-1: known") == 1
    after = run("front_desk")
    assert "order.created-order-1: taken" not in after
    assert [line for line in after if line in SOLD] == SOLD
    again = run("front_desk")
    assert not any(line.endswith((": taken", " a desk", " a lamp", " a rug")) for line in again)
    assert [line for line in again if line in SOLD] == SOLD


RECEIPTS = [
    "order-1: {'item': 'desk', 'payment': '429.00 from visa', 'parcel': 'a box with a desk'}",
    "order-2: sell 'order-2' failed with TerminalError: the card was declined",
]


def test_order_service_goes_on_after_a_kill(run: Callable[..., list[str]]) -> None:
    before = run("order_service", until="packing a desk")
    assert before[0] == "tools: sell_start, sell_status, sell_result, sell_cancel"
    after = run("order_service")
    assert "reserving a desk" not in after
    assert "putting the lamp back" in before + after
    assert after[-2:] == RECEIPTS
    told = [f"order-1: step {number}, {name}, is done" for number, name in enumerate(("reserve", "charge", "pack"), 1)]
    assert {line for line in before + after if line.startswith("order-1: step")} <= set(told)
    again = run("order_service")
    assert again[-2:] == RECEIPTS
    assert not any(line.startswith(("reserving", "packing", "putting")) for line in again)


def test_order_service_over_stdio_ends_with_its_client(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "order_service.py"), str(tmp_path / "example.db"), "--stdio"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(research.answer).running() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        yield server


def test_research_agent_goes_on_after_a_kill(run: Callable[..., list[str]], model: ModelServer) -> None:
    before = run("research_agent", until="searching for 'smell'")
    after = run("research_agent")
    assert "searching for 'dance bees'" in before
    assert not {"searching for 'dance bees'", "reading 'The waggle dance'"} & set(after)
    assert after[-3:-1] == ["Bees dance to tell where the food is", ""]
    assert after[-1].startswith("In short: A bee that has found food runs straight ahead")
    keys = model.keys
    assert max(keys.values()) <= 2  # what was under way, under the same key
    assert sum(keys.values()) - len(keys) <= 1
    assert run("research_agent") == after[-3:]
    assert model.keys == keys
