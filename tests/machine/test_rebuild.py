"""Live and replay agree: whatever the program, whatever the order of answers, at every prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from machine.driver import Driver, Program, rebuild, state
from machine.programs import Node, make, programs
from perdure.machine.events import from_row
from perdure.machine.machine import Machine


@contextmanager
def driven(program: Program, choices: st.DataObject, steps: int) -> Iterator[Driver]:
    """Answer commands in an order that Hypothesis chooses, with a cancellation now and then."""
    driver = Driver(program)
    try:
        for _ in range(steps):
            commands = driver.open
            if driver.ended or not commands:
                break
            move = choices.draw(st.integers(-1, 2 * len(commands) - 1))
            if move >= 0:
                driver.answer(commands[move % len(commands)], "7")
            elif not driver.machine.root.cancelled:
                driver.cancel()
        yield driver
    finally:
        driver.machine.close()


@given(node=programs, choices=st.data(), steps=st.integers(0, 25))
@settings(max_examples=300, deadline=None)
def test_rebuilding_equals_living_at_every_prefix(node: Node, choices: st.DataObject, steps: int) -> None:
    program = Program(make(node))
    with driven(program, choices, steps) as driver, closing(Machine(program, "one")) as live:
        for count, event in enumerate(driver.stream, 1):
            live.feed(from_row(event.row()))
            with closing(rebuild(program, driver.stream[:count])) as rebuilt:
                assert state(rebuilt) == state(live)
        assert state(live) == state(driver.machine)


@given(node=programs, choices=st.data(), steps=st.integers(0, 25), cut=st.integers(0, 100))
@settings(max_examples=200, deadline=None)
def test_a_rebuilt_machine_goes_on_like_the_first(node: Node, choices: st.DataObject, steps: int, cut: int) -> None:
    program = Program(make(node))
    with driven(program, choices, steps) as driver:
        cut = cut % len(driver.stream) + 1
        with closing(rebuild(program, driver.stream[:cut])) as second:
            for event in driver.stream[cut:]:
                second.feed(from_row(event.row()))
            assert state(second) == state(driver.machine)
