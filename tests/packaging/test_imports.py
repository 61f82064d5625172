"""What imports what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"trio", "starlette", "click", "rich", "pydantic", "openai", "mcp", "hypercorn", "aiosqlite", "asyncpg"}
ADAPTERS = {"perdure_adapters", "perdure_schema", "sqlite3"}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after it."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["perdure", "perdure.testing"])
def test_the_runtime_loads_nothing_that_is_optional(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert "perdure" in loaded
    assert loaded & (HEAVY | ADAPTERS) == set()


def test_a_store_loads_no_command_line() -> None:
    assert loaded_by("import perdure_adapters.sqlite") & HEAVY == set()


def test_the_layers_hold(root: Path) -> None:
    program = Path(sys.executable).parent / "lint-imports"
    environment = {**os.environ, "NO_COLOR": "1"}
    command = [str(program), "--no-cache"]  # a cache next to the sources would be written by several runs at once
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
