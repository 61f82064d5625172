"""openai is imported at the first request, and missed when the package is."""

from __future__ import annotations

import subprocess
import sys


def done(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout.strip()


def test_importing_loads_no_openai() -> None:
    code = "import sys, perdure_adapters.llm; print({'openai', 'mcp', 'httpx2', 'pydantic'} & sys.modules.keys())"
    assert done(code) == "set()"


def test_what_is_missing_is_said_at_once() -> None:
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for missing in ("openai", "docstring_parser"):
    try:
        import perdure_adapters.llm
    except ImportError as error:
        print(error)
    for name in [name for name in sys.modules if name.startswith("perdure_adapters")]:
        del sys.modules[name]
"""
    assert done(code).splitlines() == [
        f"perdure_adapters.llm needs {missing}, which is not installed; install perdure[llm]"
        for missing in ("openai", "docstring_parser")
    ]
