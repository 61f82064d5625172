"""why, show, send, publish, emit, outbox, retry, verify and purge, on each database."""

from __future__ import annotations

import io
import re
import sys
import threading

import pytest

from cli.prompt import Prompt
from perdure import App

ORDER = '{"item": "desk"}'


@pytest.fixture
def shop(prompt: Prompt, durable_url: str) -> Prompt:
    """With an order that waits for a note, and one that was declined."""
    prompt.open(durable_url)
    prompt("migrate", "shop:app")
    prompt("start", "shop:app", "order", ORDER, "--id", "o")
    prompt("start", "shop:app", "decline", ORDER, "--id", "d")
    prompt.until("o", "waiting")
    prompt.until("d", "failed")
    return prompt


def test_a_night_on_call(shop: Prompt) -> None:
    why = shop("why", "shop:app", "o").out
    assert why.startswith("o waits since ")
    assert re.search(r"for message on channel 'notes' \(receive, timeout in [1-4] min\); no worker is alive", why)
    assert shop("why", "shop:app", "o", "--json").json["problem"] == "no worker"
    assert "'release' failed" in shop("why", "shop:app", "d").out

    assert shop("verify", "shop:app").out == ""
    shop.change("place = await reserve(item)", "await sleep(1); place = await reserve(item)")
    said = shop("verify", "shop:app", code=1)
    assert "1 live instance: 0 fit, 1 would be stuck" in said.err
    header, row = said.rows
    found = dict(zip(header, row, strict=True))
    assert (found["id"], found["version"], found["fate"], found["event"]) == ("o", "3", "stuck", "2")
    assert (found["step"], found["code"]) == ("#1 activity 'reserve'", "#1 timer 'sleep'")
    (finding,) = shop("verify", "shop:app", "--json", code=1).json["findings"]
    assert finding["where"].startswith(f"{shop.directory}/shop.py:")
    assert "today's code does not fit it" in shop("why", "shop:app", "o").out
    shop.change("await sleep(1); place", "place")

    shop.change("up = False", "up = True")
    assert shop("retry", "shop:app", "--compensations", "d").out.startswith("d: ")
    shop.until("d", "failed")
    assert shop("show", "shop:app", "d", "--json").json["compensation"] == "complete"
    assert "nothing to try again" in shop.complaint(1, "retry", "shop:app", "--compensations", "d")

    shop("send", "shop:app", "o", "notes", "a note")
    shop.until("o", "completed")
    shown = shop("show", "shop:app", "o", "--json").json
    assert shown["result"] == "shelf of desk: a note"
    assert [(step["kind"], step["name"], step["outcome"]) for step in shown["steps"]] == [
        ("activity", "reserve", "done"),
        ("receive", "notes", "done"),
        ("emit", "order.noted", "done"),
    ]
    assert all(step["began_at"] for step in shown["steps"])

    assert shop("purge", "shop:app", "--older-than", "1d", "--yes").out == "deleted 0 instances that had ended\n"
    dry = shop("purge", "shop:app", "--older-than", "0s", "--dry-run", "--json").json
    assert dry == {"would_delete": 2}
    assert len(shop("list", "shop:app").rows) == 3
    assert shop("purge", "shop:app", "--older-than", "0s", "--yes", "--json", "--batch", "1").json == {"deleted": 2}
    assert len(shop("list", "shop:app").rows) == 1


def test_the_outbox(shop: Prompt) -> None:
    id = shop("emit", "shop:app", "order.seen", '{"n": 1}', "--source", "/shop", "--subject", "o").out.strip()
    given = ("--id", "e2", "--time", "2030-01-02T03:04:05Z", "--extension", "tenant=x", "--json")
    assert shop("emit", "shop:app", "order.heard", "no json", "--source", "/shop", *given).json == {"id": "e2"}
    header, *rows = shop("outbox", "shop:app", "--status", "pending").rows
    assert header[:5] == ["id", "status", "type", "subject", "attempts"]
    assert [row[:5] for row in rows] == [
        ["e2", "pending", "order.heard", "", "0"],
        [id, "pending", "order.seen", "o", "0"],
    ]
    page = shop("outbox", "shop:app", "--limit", "1", "--json").json
    (event,) = page["events"]
    assert event["event"] == {
        "type": "order.heard",
        "source": "/shop",
        "subject": None,
        "time": "2030-01-02T03:04:05Z",
        "data": "no json",
        "extensions": {"tenant": "x"},
    }
    rest = shop("outbox", "shop:app", "--cursor", page["cursor"])
    assert [row[0] for row in rest.rows[1:]] == [id]
    assert "there are more: --cursor" in shop("outbox", "shop:app", "--limit", "1").err
    assert "no dead event 'e2'" in shop.complaint(1, "retry", "shop:app", "e2")


class Strict:
    async def publish(self, event: object, /) -> None:
        from perdure import TerminalError

        raise TerminalError("there is no such topic")


def test_a_dead_event_is_tried_again(prompt: Prompt) -> None:
    prompt("migrate", "shop:app")
    for id in ("e1", "e2"):
        prompt("emit", "shop:app", "a", "1", "--source", "/s", "--id", id)
    prompt.change("lease=1000)", "lease=1000, publisher=__import__('cli.test_operating').test_operating.Strict())")

    async def given_up(app: App) -> None:
        import anyio

        with anyio.fail_after(60):
            while len(await app.outbox(status="dead")) < 2:
                await anyio.sleep(0.01)

    prompt.work(given_up)
    rows = prompt("outbox", "shop:app", "--status", "dead").rows[1:]
    assert [(row[0], row[4], row[7]) for row in rows] == [
        (id, "1", "TerminalError: there is no such topic") for id in ("e2", "e1")
    ]
    assert prompt("retry", "shop:app", "e1", "e2", "--json").json == {"retried": ["e1", "e2"]}
    assert prompt("outbox", "shop:app", "--status", "dead", "--json").json["events"] == []


def test_data_of_messages(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt("migrate", "shop:app")

    def heard(*arguments: str) -> list[object]:
        prompt("start", "shop:app", "hear", ORDER, "--id", "h")
        prompt("send", "shop:app", "h", "notes", *arguments)
        prompt.until("h", "completed")
        result: list[object] = prompt("show", "shop:app", "h", "--json").json["result"]
        prompt("purge", "shop:app", "--older-than", "0s", "--yes")
        return result

    assert heard('{"a": [1]}') == [{"a": [1]}, {}]
    assert heard("plain text", "--metadata", "priority=high", "--metadata", "x=a=b") == [
        "plain text",
        {"priority": "high", "x": "a=b"},
    ]
    assert heard() == [None, {}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"from": "stdin"}\n')))
    assert heard("-") == [{"from": "stdin"}, {}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"two\nlines\n")))
    assert heard("-") == ["two\nlines", {}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ORDER.encode())))
    assert prompt("start", "shop:app", "hear", "-", "--id", "i").out == "i\n"
    assert prompt("send", "shop:app", "i", "notes", "1", "--id", "m", "--json").json["sent"] is True
    assert prompt("publish", "shop:app", "news", '{"a": 1}', "--metadata", "k=v", "--id", "n").out
    assert prompt("publish", "shop:app", "news", "--json").json == {"channel": "news", "published": True}


def test_what_the_users_code_prints_is_not_the_answer(prompt: Prompt) -> None:
    prompt("migrate", "shop:app")
    prompt("start", "shop:app", "order", ORDER, "--id", "o")
    for command in (("why", "o"), ("show", "o"), ("verify",), ("list",)):
        name, *arguments = command
        said = prompt(name, "shop:app", *arguments, "--json")
        assert said.json
        assert "the shop is open" in said.err
        assert ("replayed" in said.err) == (name != "list")


def test_instances_of_workflows_that_this_app_does_not_know_are_told_apart(prompt: Prompt) -> None:
    prompt("migrate", "shop:app")
    prompt("start", "shop:app", "order", ORDER, "--id", "o")
    prompt("start", "shop:app", "hear", ORDER, "--id", "h")
    prompt.change("[order, decline, hear]", "[hear]")
    said = prompt("verify", "shop:app")
    assert "2 live instances: 1 fit, 1 of workflow 'order', unknown to this app" in said.err
    assert prompt("verify", "shop:app", "--json").json["unknown"] == {"order": 1}
    assert "no workflow 'order'; there are hear" in prompt.complaint(1, "verify", "shop:app", "--workflow", "order")
    assert "this app does not know workflow 'order'" in prompt("why", "shop:app", "o").out


#: What the blocking code below waits for.
unblocked = threading.Event()


def test_code_that_blocks_and_code_that_raises(prompt: Prompt) -> None:
    prompt("migrate", "shop:app")
    prompt("start", "shop:app", "order", ORDER, "--id", "o")
    prompt("start", "shop:app", "hear", ORDER, "--id", "h")
    prompt.change('print("replayed")', "__import__('cli.test_operating').test_operating.unblocked.wait()")
    prompt.change('message = await receive("notes")', "1 / 0")
    unblocked.clear()
    try:
        said = prompt("verify", "shop:app", "--patience", "5", code=1)
    finally:
        unblocked.set()
    assert {row[0]: row[4] for row in said.rows[1:]} == {"o": "blocks", "h": "fails"}
    assert "1 would fail, 1 blocks" in said.err


def test_purging_asks_first(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt("migrate", "shop:app")
    prompt("start", "shop:app", "decline", ORDER, "--id", "d")
    prompt.until("d", "failed")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    complaint = prompt.complaint(2, "purge", "shop:app", "--older-than", "0s")
    assert "1 instance that had ended would be deleted, and nobody can be asked; give --yes" in complaint
    for answer, left in (("n", 2), ("y", 1)):
        stdin = io.StringIO(f"{answer}\n")
        monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, "stdin", stdin)
        said = prompt("purge", "shop:app", "--older-than", "0s", code=0 if answer == "y" else 130)
        assert "Delete 1 instance that had ended, and earlier runs, from sqlite:///shop.db?" in said.err
        assert len(prompt("list", "shop:app").rows) == left


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_bench_leaves_nothing(prompt: Prompt, backend: str) -> None:
    prompt("migrate", "shop:app")
    small = ("--instances", "5", "--steps", "2", "--starts", "2", "--backend", backend)
    found = prompt("bench", "shop:app", *small, "--json").json
    assert found["steps_per_second"] > 0
    assert 0 < found["start_to_result_ms_median"] <= found["start_to_result_ms_p99"]
    assert (found["instances"], found["steps"], found["starts"]) == (5, 2, 2)
    assert services(prompt) == set()


def services(prompt: Prompt) -> set[str]:
    """Those that have rows in the database."""
    import sqlite3

    from perdure_adapters.tables import KEYS

    with sqlite3.connect(prompt.directory / "shop.db") as connection:
        found = {row[0] for table in KEYS for row in connection.execute(f"select distinct service from {table}")}
    connection.close()
    return found - {"default"}


def test_bench_says_what_it_could_not_delete(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    from perdure import StoreUnavailable
    from perdure_adapters.sqlite import SQLiteStore

    async def away(store: SQLiteStore, limit: int) -> int:
        raise StoreUnavailable("the disk is away")

    prompt("migrate", "shop:app")
    monkeypatch.setattr(SQLiteStore, "erase", away)
    small = ("--instances", "1", "--steps", "1", "--starts", "1")
    complaint = prompt.complaint(1, "bench", "shop:app", *small)
    (service,) = services(prompt)
    assert (
        f"rows of service '{service}' are left in the database: the disk is away, and delete them by hand" in complaint
    )
