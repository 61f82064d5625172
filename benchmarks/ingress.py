"""Events over HTTP: how many a second are taken by one process, against one that answers 202 and keeps nothing.

    python -m benchmarks ingress

Server and client are processes of their own. Where there are several processors each has one to itself, and the
database shares the client's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, SocketStream
from attrs import frozen

from benchmarks.databases import chosen
from benchmarks.report import Figure, show

CONNECTIONS = 64
SECONDS = 3.0
BATCH = 100
_BACKENDS = ("asyncio", "trio")


def _request(content_type: str, body: bytes) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _event(number: int) -> dict[str, object]:
    data = {"order_id": f"order-{number}", "cents": 4200, "items": [{"sku": "lamp", "count": 2}]}
    return {
        "specversion": "1.0",
        "id": f"{os.getpid()}-{number}",
        "source": "/bench",
        "type": "payment.completed",
        "time": "2026-01-02T03:04:05Z",
        "data": data,
    }


def _single(number: int) -> bytes:
    return _request("application/cloudevents+json", json.dumps(_event(number)).encode())


def _batch(number: int) -> bytes:
    events = [_event(number * BATCH + place) for place in range(BATCH)]
    return _request("application/cloudevents-batch+json", json.dumps(events).encode())


async def _answered(stream: ByteReceiveStream) -> None:
    """Read one answer, as little of it as can be."""
    text = await stream.receive()
    while (end := text.find(b"\r\n\r\n")) < 0:
        text += await stream.receive()
    if not text.startswith(b"HTTP/1.1 202"):
        raise RuntimeError(text.decode(errors="replace"))
    start = text.lower().index(b"content-length:") + len(b"content-length:")
    whole = end + 4 + int(text[start : text.index(b"\r\n", start)])
    have = len(text)
    while have < whole:
        have += len(await stream.receive())


async def client(port: int, mode: str, seconds: float) -> None:
    """Keep all connections busy; print how many requests were answered, and in how many seconds."""
    make = _batch if mode == "batch" else _single
    number = count = 0
    until = time.perf_counter() + seconds

    async def talk(stream: SocketStream) -> None:
        nonlocal number, count
        async with stream:
            while time.perf_counter() < until:
                number += 1
                await stream.send(make(number))
                await _answered(stream)
                count += 1

    begun = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(CONNECTIONS):
            group.start_soon(talk, await anyio.connect_tcp("127.0.0.1", port))
    print(count, time.perf_counter() - begun)


async def server(fd: int, url: str) -> None:
    """With a URL the ingress on that database, else Starlette, answering 202."""
    import sniffio
    from hypercorn import Config
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from perdure import App, workflow
    from perdure_adapters.asgi import ingress

    if sniffio.current_async_library() == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # type: ignore[assignment]  # the same in another world

    async def accept(request: Request) -> JSONResponse:
        body = json.loads(await request.body())
        events = body if isinstance(body, list) else [body]
        return JSONResponse({"events": [{"id": event["id"], "source": event["source"]} for event in events]}, 202)

    @workflow
    async def nothing() -> None: ...

    config = Config()
    config.bind = [f"fd://{fd}"]
    config.accesslog = config.errorlog = None
    config.keep_alive_max_requests = 10**9
    if not url:
        await serve(Starlette(routes=[Route("/", accept, methods=["POST"])]), config)  # type: ignore[arg-type]
        return
    app = App(url, workflows=[nothing])
    await serve(ingress(app, lifespan=True), config)  # type: ignore[arg-type]  # Hypercorn's own type of the same


def _own(processor: int) -> None:
    """This process runs on one processor alone."""
    if hasattr(os, "sched_setaffinity"):
        places = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {places[min(processor, len(places) - 1)]})


def _worked(pid: int) -> float:
    """Seconds of processor that a process has had, its threads included; on Linux, else 0."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return 0.0
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _serving(backend: str, url: str) -> Iterator[tuple[int, int]]:
    """The server's port and process id."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(1000)
        command = [sys.executable, "-m", "benchmarks.ingress", "server", backend, str(one.fileno()), url]
        with subprocess.Popen(command, pass_fds=[one.fileno()], stdout=subprocess.DEVNULL) as running:
            port = one.getsockname()[1]
            one.close()
            try:
                yield port, running.pid
            finally:
                running.send_signal(signal.SIGINT)
                try:
                    running.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    running.kill()


@frozen
class Rate:
    """Events a second, and a second of the server's processor, which hardly depends on what else the machine does."""

    wall: float
    processor: float


def _measure(backend: str, url: str, mode: str) -> Rate:
    rates = []
    with _serving(backend, url) as (port, pid):
        command = [sys.executable, "-m", "benchmarks.ingress", "client", str(port), mode]
        for seconds in (1.0, SECONDS, SECONDS):  # the first one is to get warm
            before = _worked(pid)
            done = subprocess.run([*command, str(seconds)], capture_output=True, text=True, check=True)
            count, took = (float(word) for word in done.stdout.split())
            count *= BATCH if mode == "batch" else 1
            rates.append(Rate(count / took, count / max(_worked(pid) - before, 0.01)))
    return max(rates[1:], key=lambda rate: rate.wall)


def main() -> None:
    figures = []
    for backend in _BACKENDS:
        for mode in ("single", "batch"):
            what = f"{backend}, {'one by one' if mode == 'single' else f'batches of {BATCH}'}"
            bare = _measure(backend, "", mode)
            figures.append(Figure(f"keeping nothing ({what})", f"{bare.wall:,.0f}"))
            figures.append(Figure("  a second of its processor", f"{bare.processor:,.0f}"))
            for database in chosen():
                with database.fresh() as url:
                    rate = _measure(backend, url, mode)
                figures.append(
                    Figure(f"{database.name} ({what})", f"{rate.wall:,.0f}", f"{rate.wall / bare.wall:.2f}", "that")
                )
                figures.append(
                    Figure(
                        "  a second of its processor",
                        f"{rate.processor:,.0f}",
                        f"{rate.processor / bare.processor:.2f}",
                        "that",
                    )
                )
    show(f"Events accepted a second, durable, over {CONNECTIONS} connections, one processor for the server", figures)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    _own(0 if role == "server" else 1)
    if role == "server":
        anyio.run(server, int(arguments[1]), arguments[2], backend=arguments[0])
    else:
        anyio.run(client, int(arguments[0]), arguments[1], float(arguments[2]))
