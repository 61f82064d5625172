"""What an answer over HTTP means: taken, later, or never."""

from __future__ import annotations

import gc
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from perdure import PerdureError, TerminalError
from perdure.cloudevents.publishing import Unpublished
from perdure_adapters.relay import HttpPublisher
from relay.events import event
from relay.receiver import Receiver


async def refused(receiver: Receiver, **options: Any) -> PerdureError:
    """The error that a publisher raises for one event."""
    async with HttpPublisher(receiver.url, **options) as publisher:
        with pytest.raises(PerdureError) as caught:
            await publisher.publish(event(id="e-1"))
    return caught.value


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content", "299 Yes"])
async def test_any_2xx_is_success(receiver: Receiver, status: str) -> None:
    receiver.says(status)
    async with HttpPublisher(receiver.url) as publisher:
        await publisher.publish(event())
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
async def test_it_may_pass(receiver: Receiver, status: int) -> None:
    receiver.says(f"{status} No", body=b"busy")
    error = await refused(receiver)
    assert type(error) is Unpublished and error.retry_after is None
    assert f"{receiver.url} answered {status}" in str(error) and "(busy)" in str(error)
    assert len(receiver.requests) == 1  # trying again is the relay's affair


@pytest.mark.parametrize(
    "status", [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422]
)
async def test_it_will_not_pass(receiver: Receiver, status: int) -> None:
    receiver.says(
        f"{status} No", f"location: {receiver.url}/elsewhere", body=b"" if status == 304 else b"no such topic"
    )
    error = await refused(receiver)
    assert type(error) is TerminalError
    assert f"{receiver.url} answered {status}" in str(error) and "app.retry_outbox('e-1')" in str(error)
    assert status == 304 or "(no such topic)" in str(error)
    assert len(receiver.requests) == 1  # no redirection is followed


async def test_only_the_beginning_of_an_answer_is_quoted(receiver: Receiver) -> None:
    receiver.says("400 Bad Request", body=b"no\0\r\n\x1b[31m  such\xff " + b"x" * 1_000_000)
    error = await refused(receiver)
    assert "(no [31m such\ufffd xxx" in str(error) and "...)" in str(error)
    assert str(error).isprintable() and len(str(error)) < 400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        ("Sat, 21 Nov 2026 18:00:30 GMT", 30.0),
        ("Saturday, 21-Nov-26 18:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 17:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", 1.5),
        ("soon", None),
        ("9" * 400, None),
        ("Sat, 99 Nov 2026 18:00:30 GMT", None),
    ],
)
async def test_how_long_to_wait(receiver: Receiver, value: str, seconds: float | None) -> None:
    receiver.says("503 Busy", f"Retry-After: {value}", "Date: Sat, 21 Nov 2026 18:00:00 GMT")
    error = await refused(receiver)
    assert isinstance(error, Unpublished) and error.retry_after == seconds


async def test_a_date_without_the_servers_own_is_compared_with_ours(receiver: Receiver) -> None:
    until = datetime.now(UTC) + timedelta(hours=2)
    receiver.says("429 Busy", f"Retry-After: {format_datetime(until, usegmt=True)}")
    error = await refused(receiver)
    assert isinstance(error, Unpublished) and error.retry_after == pytest.approx(7200, abs=600)


async def test_no_answer_in_time(receiver: Receiver) -> None:
    receiver.hold = anyio.Event()
    error = await refused(receiver, timeout=0.25)
    assert type(error) is Unpublished and "did not answer within 0.25 s" in str(error)
    assert len(receiver.requests) <= 1  # none, if all that time passed before it was sent


async def test_half_an_answer_is_none(receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 202 Accepted\r\ncontent-"
    error = await refused(receiver, timeout=timedelta(seconds=0.5))
    assert type(error) is Unpublished and "did not answer" in str(error)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 202 Accepted\r\ncont", b"\x00nonsense\r\n\r\n"])
async def test_the_connection_is_cut(receiver: Receiver, answer: bytes) -> None:
    receiver.answer, receiver.cut = answer, True
    error = await refused(receiver)
    assert type(error) is Unpublished and f"{receiver.url} was not reached" in str(error)


@pytest.mark.parametrize("cut", [True, False])
async def test_what_has_been_answered_counts_however_it_ends(receiver: Receiver, cut: bool) -> None:
    receiver.answer, receiver.cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbeg", cut
    assert await outcome(receiver) is None
    receiver.answer = receiver.answer.replace(b"200 OK", b"400 Bad Request")
    error = await outcome(receiver)
    assert type(error) is TerminalError and "(beg)" in str(error)


async def outcome(receiver: Receiver) -> PerdureError | None:
    """What a publisher raises that had time enough for the beginning of an answer."""
    for timeout in (0.25, 2, 10, 60):
        async with HttpPublisher(receiver.url, timeout=timeout) as publisher:
            try:
                await publisher.publish(event(id="e-1"))
            except Unpublished:
                continue
            except PerdureError as error:
                return error
            return None
    raise AssertionError("there is never an answer")


async def test_nobody_listens(free_port: int) -> None:
    async with HttpPublisher(f"http://127.0.0.1:{free_port}/") as publisher:
        with pytest.raises(Unpublished, match="was not reached"):
            await publisher.publish(event())


async def test_a_cancelled_event_leaves_nothing_behind(receiver: Receiver) -> None:
    receiver.hold = anyio.Event()
    async with HttpPublisher(receiver.url, connections=1) as publisher:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(publisher.publish, event())
                while not receiver.under_way:
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        receiver.hold.set()
        await publisher.publish(event())  # its one connection is free
    gc.collect()
    assert len(receiver.requests) == 2


def test_it_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(Unpublished("later", retry_after=2.5)))
    assert (type(error), str(error), error.retry_after) == (Unpublished, "later", 2.5)
    assert Unpublished("later").retry_after is None
