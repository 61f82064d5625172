"""The checker of messages itself: what it must not overlook."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.database import Written
from chaos.feeds import SOURCE, Feed
from chaos.letters import check


def _rows(id: str, *events: tuple[str, int | None, str, Any], run: int = 1) -> list[Written]:
    """A run, from its start to its end."""
    return [
        Written(id, seq, kind, command, name, data, run, 100 * run + seq, seq)
        for seq, (kind, command, name, data) in enumerate(events, 1)
    ]


_START: tuple[str, int | None, str, Any] = ("WorkflowStarted", None, "w", {"input": {}})
_END: tuple[str, int | None, str, Any] = ("WorkflowCompleted", None, "", None)


def _taken(channel: str, id: str) -> tuple[str, int, str, Any]:
    return "MessageReceived", 1, channel, {"id": id, "data": 1}


def _published(channel: str) -> list[Written]:
    return _rows("p", _START, ("MessagePublished", 1, channel, {"id": "m"}), _END)


@pytest.mark.parametrize(("takers", "lost", "twice"), [([1], 0, 0), ([0], 1, 0), ([2], 0, 1), ([1, 1], 0, 1)])
def test_a_message_of_a_queue(takers: list[int], lost: int, twice: int) -> None:
    rows = _published("queue-1")
    for number, count in enumerate(takers):
        rows += _rows(f"c{number}", _START, *[_taken("queue-1", "m")] * count, _END)
    letters = check(rows, {})
    assert (letters.lost, letters.twice > 0, not letters.failures) == (lost, twice > 0, takers == [1])


@pytest.mark.parametrize("heard", [0, 1, 2])
def test_a_message_to_all_subscribers(heard: int) -> None:
    subscribed = ("Subscribed", 1, "news", {"mode": "broadcast"})
    rows = _published("news") + _rows("s", _START, subscribed, *[_taken("news", "m")] * heard, _END)
    rows += _rows("t", _START, subscribed, _taken("news", "m"), _END)
    assert bool(check(rows, {}).failures) == (heard != 1)


@pytest.mark.parametrize("came", [0, 1, 2])
def test_an_event_that_a_client_delivered(came: int) -> None:
    received = ("EventReceived", 1, "chaos.paid", {"source": SOURCE, "id": "e"})
    rows = _rows("s", _START, *[received] * came, _END)
    assert bool(check(rows, {"s": [Feed("event", "chaos.paid", {}, "e")] * 2}).failures) == (came != 1)


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_question(answers: int) -> None:
    rows = _rows("s", _START, _taken("q", "m"), ("Replied", 2, "q", {"id": "m"}), _END)
    asked = ("QuestionAsked", 1, "q", {"to": "s", "id": "m"})
    rows += _rows("a", _START, asked, *[("QuestionAnswered", 1, "q", {"value": 1})] * answers, _END)
    assert bool(check(rows, {}).failures) == (answers != 1)


@pytest.mark.parametrize(("command", "value", "right"), [(1, 5, True), (2, 5, False), (1, 6, False)])
def test_a_child_and_its_parent(command: int, value: int, right: bool) -> None:
    parent = {"input": {}, "parent": {"id": "p", "run": 1, "command": command}}
    rows = _rows("c", ("WorkflowStarted", None, "w", parent), ("WorkflowCompleted", None, "", value))
    ended = ("ChildEnded", 1, "w", {"kind": "WorkflowCompleted", "data": 5})
    rows += _rows("p", _START, ("ChildStarted", 1, "w", {"id": "c"}), ended, _END)
    assert bool(check(rows, {}).failures) != right


def test_a_child_that_its_parent_does_not_know_of() -> None:
    rows = _rows("p", _START, _END)
    rows += _rows("c", ("WorkflowStarted", None, "w", {"parent": {"id": "p", "run": 1, "command": 1}}), _END)
    assert check(rows, {}).failures


@pytest.mark.parametrize("left", [3, 4])
def test_runs_follow_on_each_other(left: int) -> None:
    rows = _rows("r", _START, ("WorkflowContinued", None, "", {"left": 3}))
    begins = Written("r", 1, "WorkflowStarted", None, "w", {"input": {"left": left}}, 2, rows[-1].commit_id, 9)
    rows += [begins, Written("r", 2, "WorkflowCompleted", None, "", None, 2, 999, 9)]
    assert bool(check(rows, {}).failures) == (left != 3)


def test_a_run_without_an_end() -> None:
    assert check(_rows("r", _START), {}).failures
