"""What a machine's state comes to in its row, and when its instance is looked at again."""

from __future__ import annotations

from perdure import activity, gather, workflow
from perdure.machine.events import AttemptFailed, WorkflowStarted
from perdure.machine.machine import Machine
from perdure.worker.projection import open_state


@activity
async def step() -> None: ...


@workflow
async def two() -> None:
    await gather(step(), step())


def test_a_retry_that_is_due_and_does_not_run_is_a_deadline() -> None:
    machine = Machine(two, "i")
    machine.feed(WorkflowStarted("two", "{}", "0" * 32, seq=1, at=1))
    assert open_state(machine, 1, ()) == (("running", 0), None), "first attempts begin with their turn"
    machine.feed(AttemptFailed(1, "step", '{"type":"builtins:ValueError","message":""}', 1, 50, seq=2, at=2))
    assert open_state(machine, 10, ()) == (("running", 0), 50)
    assert open_state(machine, 60, ()) == (("running", 0), 50), "it came due in this very turn"
    assert open_state(machine, 60, {1: "running"}) == (("running", 0), None)
