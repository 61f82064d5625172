"""Every method of Hooks is called, and told the truth."""

from __future__ import annotations

import uuid

import pytest

from hooks.listening import METHODS, Listener
from hooks.scenarios import SCENARIOS
from perdure import App, Hooks, UsageError
from perdure.hooks import WorkflowEnded


def test_every_method_has_a_scenario() -> None:
    assert sorted(SCENARIOS) == METHODS
    assert [name for name in vars(Hooks) if not name.startswith("_") and name not in METHODS] == []


def test_every_method_says_when_it_is_called() -> None:
    assert [name for name in METHODS if not getattr(Hooks, name).__doc__] == []


@pytest.mark.parametrize("play", dict.fromkeys(SCENARIOS.values()), ids=lambda play: play.__name__)
async def test_it_is_called(play: object) -> None:
    listener = Listener()
    await play(f"memory://{uuid.uuid4().hex}", listener)  # type: ignore[operator]
    expected = {method for method, scenario in SCENARIOS.items() if scenario is play}
    assert expected - set(listener.methods) == set()


@pytest.mark.parametrize("name", ["dying", "publishing"])
async def test_on_a_database(name: str, durable_url: str) -> None:
    (play,) = {scenario for scenario in SCENARIOS.values() if getattr(scenario, "__name__", "") == name}
    await play(durable_url, Listener())


def test_what_is_no_hook() -> None:
    with pytest.raises(UsageError, match=r"derive from perdure\.Hooks"):
        App("memory://", workflows=[], hooks=[Hooks])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="a list of hooks"):
        App("memory://", workflows=[], hooks=Hooks())  # type: ignore[arg-type]

    class Waits(Hooks):
        async def workflow_completed(self, workflow: WorkflowEnded, /) -> None: ...  # type: ignore[override]

    with pytest.raises(UsageError, match="workflow_completed is an `async def`"):
        App("memory://", workflows=[], hooks=[Waits()])
