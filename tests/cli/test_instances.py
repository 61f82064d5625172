"""start, list, show, history and cancel, with and without a worker."""

from __future__ import annotations

import json
import signal
import time

import pytest

from cli.prompt import Prompt
from cli.shell import SHOP, Shell


def wait_for(prompt: Prompt, id: str, status: str) -> None:
    deadline = time.monotonic() + 60
    while prompt("show", "shop:app", id, "--json").json["status"] != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_start_waits_for_a_worker(prompt: Prompt) -> None:
    prompt.write(SHOP)
    assert prompt("start", "shop:app", "total", '{"a": 1}', "--id", "t-1").out == "t-1\n"
    assert prompt("start", "shop:app", "total", '{"a": 5}', "--id", "t-1").out == "t-1\n"
    shown = prompt("show", "shop:app", "t-1", "--json").json
    assert (shown["status"], shown["input"], shown["version"]) == ("running", {"a": 1}, "3")
    (event,) = prompt("history", "shop:app", "t-1", "--json").json
    assert (event["seq"], event["kind"], event["name"]) == (1, "WorkflowStarted", "total")


def fields(output: str) -> dict[str, str]:
    """The first part of what `show` prints; the steps follow after an empty line."""
    return dict(line.split("\t") for line in output.split("\n\n")[0].splitlines())


@pytest.mark.usefixtures("worker")
def test_results_and_errors(prompt: Prompt) -> None:
    one = prompt("start", "shop:app", "total", '{"a": 40}', "--json").json["instance_id"]
    prompt("start", "shop:app", "quarrel", '{"why": "a\\tb"}', "--id", "q")
    wait_for(prompt, one, "completed")
    wait_for(prompt, "q", "failed")
    assert fields(prompt("show", "shop:app", one).out)["result"] == "42"
    assert fields(prompt("show", "shop:app", "q").out)["error"] == "TerminalError: a\\tb"
    header, *events = prompt("history", "shop:app", one).rows
    assert header == ["seq", "at", "kind", "name", "data"]
    assert [(event[2], event[3]) for event in events] == [
        ("WorkflowStarted", "total"),
        ("StepCompleted", "add"),
        ("WorkflowCompleted", ""),
    ]


def test_list(prompt: Prompt) -> None:
    prompt.write(SHOP)
    prompt("migrate", "shop:app")
    assert prompt("list", "shop:app").rows == [["id", "workflow", "status", "created", "ended"]]
    for number in (1, 2):
        prompt("start", "shop:app", "total", json.dumps({"a": number}), "--id", f"t-{number}")
    prompt("start", "shop:app", "nap", '{"seconds": 9}', "--id", "n-1")

    def ids(*options: str) -> list[str]:
        return [row[0] for row in prompt("list", "shop:app", *options).rows[1:]]

    assert ids() == ["n-1", "t-2", "t-1"]
    assert ids("--workflow", "total") == ["t-2", "t-1"]
    assert ids("--input", "a=2") == ["t-2"]
    assert ids("--status", "completed") == []
    page = prompt("list", "shop:app", "--json", "--limit", "2").json
    assert [one["instance_id"] for one in page["instances"]] == ["n-1", "t-2"]
    assert ids("--cursor", page["cursor"]) == ["t-1"]


@pytest.mark.usefixtures("worker")
def test_cancel(prompt: Prompt) -> None:
    prompt("start", "shop:app", "nap", '{"seconds": 1000}', "--id", "n")
    assert "recorded" in prompt("cancel", "shop:app", "n", "--reason", "woken").out
    wait_for(prompt, "n", "cancelled")
    last = prompt("history", "shop:app", "n", "--json").json[-1]
    assert (last["kind"], last["data"]["reason"]) == ("WorkflowCancelled", "woken")
    assert "ended" in prompt.complaint(1, "cancel", "shop:app", "n")


@pytest.mark.parametrize(("backend", "number"), [("asyncio", signal.SIGTERM), ("trio", signal.SIGINT)])
def test_run_ends_well(shell: Shell, backend: str, number: signal.Signals) -> None:
    process = shell.popen("run", "shop:app", "--backend", backend)
    assert process.stderr is not None
    assert "is running" in process.stderr.readline()
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    process.communicate()
