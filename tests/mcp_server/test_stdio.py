"""The server as a process of its own, over its stdin and stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio.to_thread
import sniffio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_server.connecting import MODERN, TasksClient, data_of, text_of
from mcp_server.shop import OFFERED

TESTS = Path(__file__).parents[1]


async def test_all_tools_are_used_over_stdio_and_a_restart_loses_nothing(sqlite_url: str, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "PERDURE_URL": sqlite_url, "PYTHONUNBUFFERED": ""}
    arguments = ["-m", "mcp_server.served", sniffio.current_async_library()]
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    log = tmp_path / "log"
    with log.open("w") as errors:
        async with Client(stdio_client(parameters, errlog=errors), mode=MODERN, extensions=[TasksClient()]) as client:
            await use(client)
    ended_cleanly(log.read_text())
    assert "packing " in log.read_text()
    command = [sys.executable, *arguments]
    answer, said, code = await anyio.to_thread.run_sync(legacy_until_a_signal, command, environment)
    assert data_in(answer) == {"result": "awake"}
    assert code == 0
    ended_cleanly(said)


async def use(client: Client) -> None:
    assert len((await client.list_tools()).tools) == 5 * len(OFFERED)
    for name, arguments, result in (
        ("fulfil", {"order": {"id": "1", "cents": 5}}, {"order": "1", "cents": 5, "gift": False}),
        ("ship", {"parcel": {"weight": 1, "labels": []}, "to": {"city": "O", "street": "G"}}, {"result": ["O", "G"]}),
        ("invoice", {"bill": {"customer": "Ada", "cents": 5}}, {"customer": "Ada", "cents": 5}),
    ):
        id = data_of(await client.call_tool(f"{name}_start", arguments))["instance_id"]
        assert data_of(await client.call_tool(f"{name}_result", {"instance_id": id, "wait": 60})) == result
        assert data_of(await client.call_tool(f"{name}_status", {"instance_id": id}))["status"] == "completed"
        assert "ended" in text_of(await client.call_tool(f"{name}_cancel", {"instance_id": id}))
    assert data_of(await client.call_tool("add", {"a": 1, "b": 2})) == {"result": 3.0}
    id = data_of(await client.call_tool("naps_start", {"seconds": 3600.0}))["instance_id"]
    data_of(await client.call_tool("naps_cancel", {"instance_id": id}))
    assert "cancelled" in text_of(await client.call_tool("naps_result", {"instance_id": id, "wait": 60}))
    data_of(await client.call_tool("naps_start", {"seconds": 0.5, "instance_id": "nap"}))


def ended_cleanly(said: str) -> None:
    assert said.endswith("the app is closed\n")
    assert "Traceback" not in said
    assert "opening\n" in said and "closing\n" in said, "what is printed goes to stderr"


def data_in(answer: dict[str, Any]) -> Any:
    return answer["result"]["structuredContent"]


def legacy_until_a_signal(command: list[str], environment: dict[str, str]) -> tuple[dict[str, Any], str, int]:
    """Line by line: shake hands, ask for a result, and end it while stdin is still open. The last answer, what it
    writes to stderr, and its exit code.
    """
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    call = {"name": "naps_result", "arguments": {"instance_id": "nap", "wait": 60}}
    pipe = subprocess.PIPE
    answers = []
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            for message in (
                {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about},
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
            ):
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()
                if "id" in message:
                    answers.append(json.loads(process.stdout.readline()))
            assert answers[0]["result"]["capabilities"]["tools"] == {"listChanged": True}
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            out, said = process.communicate()
        finally:
            process.kill()
    assert out == ""
    return answers[1], said, process.returncode
