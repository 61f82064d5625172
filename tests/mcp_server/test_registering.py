"""What can be registered, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mcp_server.shop import add, fulfil, secret
from perdure import App, UnknownWorkflow, UsageError, Workflow, workflow
from perdure_adapters.mcp import MCPServer


def server_of(*workflows: Workflow[..., Any]) -> MCPServer:
    return MCPServer(App("memory://", workflows=workflows), name="x", version="1")


def test_a_workflow_that_the_app_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownWorkflow, match="give it to App"):
        server_of(add).register(secret)
    with pytest.raises(UsageError, match="takes a @workflow function"):
        server_of(add).register(len)  # type: ignore[arg-type]


def test_a_workflow_is_registered_once_and_can_be_taken_back() -> None:
    server = server_of(add)
    server.register(add)
    with pytest.raises(UsageError, match="registered already"):
        server.register(add.options(id="x"))
    server.unregister(add)
    with pytest.raises(UsageError, match="is not registered"):
        server.unregister(add)
    server.register(add)


@pytest.mark.parametrize("name", ["with space", "ö", "x" * 122, "a/b"])
def test_a_name_that_no_tool_can_have_is_refused(name: str) -> None:
    @workflow(name=name)
    async def one() -> None: ...

    with pytest.raises(UsageError, match="cannot be a tool"):
        server_of(one).register(one)


@pytest.mark.parametrize("name", ["x" * 121, "shop.orders-v2_1"])
def test_a_name_that_a_tool_can_have_is_taken(name: str) -> None:
    @workflow(name=name)
    async def one() -> None: ...

    server_of(one).register(one)


def test_tools_of_one_name_are_refused() -> None:
    @workflow
    async def sum() -> None: ...

    @workflow
    async def sum_start() -> None: ...

    for first, second in ((sum, sum_start), (sum_start, sum)):
        server = server_of(sum, sum_start)
        server.register(first)
        with pytest.raises(UsageError, match="would both have a tool 'sum_start'"):
            server.register(second)


def test_a_parameter_instance_id_is_refused() -> None:
    @workflow
    async def one(instance_id: str) -> None: ...

    with pytest.raises(UsageError, match="rename the parameter"):
        server_of(one).register(one)


def test_it_says_which_extra_is_missing() -> None:
    program = "import sys; sys.modules['mcp'] = None; import perdure_adapters.mcp"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ImportError: the MCP server needs mcp, which is not installed; install perdure[mcp]" in done.stderr


def test_nothing_else_imports_the_sdk() -> None:
    program = "import sys, perdure, perdure_adapters.asgi; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_stdio_is_not_served_for_an_app_that_is_not_open() -> None:
    with pytest.raises(UsageError, match="the app is not open"):
        await server_of(add).run_stdio()


def test_a_description_goes_before_the_docstring() -> None:
    server = server_of(fulfil)
    server.register(fulfil, description="Sells something.")
    (registered,) = server._workflows.values()
    assert (registered.tools["start"].description or "").startswith("Sells something.\n")
