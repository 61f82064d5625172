"""Workflows as tools, resources and tasks of the Model Context Protocol. It needs `perdure[mcp]`."""

from __future__ import annotations

try:
    from perdure_adapters.mcp.server import MCPServer
    from perdure_adapters.mcp.tokens import static_token
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0].removesuffix("_types")
    raise ImportError(f"the MCP server needs {missing}, which is not installed; install perdure[mcp]") from error

__all__ = ["MCPServer", "static_token"]
