"""Hundreds at once, each as large as may be: the memory of the server stays within bounds."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import anyio
import anyio.to_thread
import orjson
import pytest

from asgi import serving
from asgi.shop import STRUCTURED, event
from asgi.wire import GONE, answer, connection, head

_POSTS = 1000
_BODY = 1_048_576 - 1024
#: Bytes of memory over those before. That is 64 MiB of bodies, those that are being parsed, and what Hypercorn reads
#: ahead: all of it together would be more than 1,000 MiB.
_MOST = 600 * 1024 * 1024


def _memory(pid: int, what: str) -> int:
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory a process has had")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_memory_is_bounded(sqlite_url: str) -> None:
    pad = event("......", type="nobody", data="x" * _BODY)
    template = orjson.dumps(pad)
    top, _, rest = template.partition(b"......")
    got: Counter[int] = Counter()
    with serving.listening() as one:
        port = one.getsockname()[1]
        with serving.process("asgi.served:asgi", one, "-w", "0", PERDURE_URL=sqlite_url) as server:
            await anyio.to_thread.run_sync(serving.ready, port)
            before = _memory(server.pid, "VmRSS")

            async def post(number: int) -> None:
                async with connection(port) as stream:
                    lines = head(f"Content-Type: {STRUCTURED}", f"Content-Length: {len(template)}")
                    try:
                        await stream.send(lines + top + b"%06d" % number)
                        await stream.send(rest)
                    except GONE:
                        pass  # there may be an answer all the same
                    got[(await answer(stream)).status] += 1

            with anyio.fail_after(200):
                async with anyio.create_task_group() as group:
                    for number in range(_POSTS):
                        group.start_soon(post, number)
            most = _memory(server.pid, "VmHWM")
            await anyio.to_thread.run_sync(serving.ready, port)
    assert sum(got.values()) == _POSTS
    assert got[202] >= 1
    assert set(got) <= {202, 429, 0}  # a client that goes on sending may not see the 429
    print(dict(got), f"{before / 2**20:.0f} MiB before, {most / 2**20:.0f} MiB at most")
    assert most - before < _MOST, f"{before:,} -> {most:,} bytes; {dict(got)}"
