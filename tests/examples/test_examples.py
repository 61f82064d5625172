"""Each example ends by itself, and goes on after a kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[str]]:
    """Runs an example on a database of its own; with `until`, kills it once it has printed that."""

    def run(name: str, until: str | None = None) -> list[str]:
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), str(tmp_path / "example.db")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if until is not None and until in line:
                    process.kill()
                    return lines
        assert until is None, f"it never printed {until!r}"
        assert process.returncode == 0
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
