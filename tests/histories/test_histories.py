"""Streams that released code wrote go on on today's code. They are only added to, never edited."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from histories.workflows import WORKFLOWS
from perdure import InvalidInput, NonDeterminism, UnknownWorkflow, activity, sleep, workflow
from perdure.testing import replay

HISTORIES = sorted(Path(__file__).parent.glob("*/*.json"))


def test_there_are_histories_of_every_kind_of_event() -> None:
    kinds = {event["kind"] for path in HISTORIES for event in orjson.loads(path.read_bytes())}
    assert kinds >= {
        "WorkflowStarted",
        "StepCompleted",
        "StepFailed",
        "AttemptFailed",
        "TimerFired",
        "PatchRecorded",
        "CancelRequested",
        "WorkflowCompleted",
        "WorkflowFailed",
        "WorkflowCancelled",
    }


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recorded_history_goes_on(path: Path, tmp_path: Path) -> None:
    replay(path, workflows=WORKFLOWS, instance_id=path.stem)
    events = orjson.loads(path.read_bytes())
    for length in range(1, len(events)):
        prefix = tmp_path / "prefix.json"
        prefix.write_bytes(orjson.dumps(events[:length]))
        replay(str(prefix), workflows=WORKFLOWS, instance_id=path.stem)


def test_code_that_differs_is_told(tmp_path: Path) -> None:
    @activity
    async def another() -> None: ...

    @workflow(name="values")
    async def rewritten(names: list[str]) -> None:
        await another()

    path = next(path for path in HISTORIES if path.stem == "values")
    with pytest.raises(NonDeterminism, match="another"):
        replay(path, workflows=[rewritten])


def test_what_is_no_history_is_told(tmp_path: Path) -> None:
    @workflow
    async def other() -> None:
        await sleep(1)

    path = next(path for path in HISTORIES if path.stem == "values")
    with pytest.raises(UnknownWorkflow, match="values"):
        replay(path, workflows=[other])
    for text in ("", "{}", "[1]", '[{"seq": 1}]', "[]"):
        (tmp_path / "no.json").write_text(text)
        with pytest.raises(InvalidInput, match="history"):
            replay(tmp_path / "no.json", workflows=[other])
    with pytest.raises(InvalidInput, match="no history"):
        replay(tmp_path / "absent.json", workflows=[other])
    events = orjson.loads(path.read_bytes())
    (tmp_path / "hole.json").write_bytes(orjson.dumps([events[0], events[2]]))
    with pytest.raises(InvalidInput, match="1, 2, 3"):
        replay(tmp_path / "hole.json", workflows=WORKFLOWS)
