"""What every file of the repository keeps to."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST = 400

# Written so that this file does not match itself.
REGISTRIES = re.compile(
    r"\bpypi\.org\b|\bpythonhosted\.org\b|\bregistry\.npmjs\.|\bregistry\.yarnpkg\.|\bcrates\.io\b|\bproxy\.golang\.org\b"
    r"|https?://\S+/simple\b"
)
HOMES = re.compile(r"(?<![\w.~-])/(?:home|Users)/\w|(?<![\w.~-])/roo[t]/")


def texts(root: Path, tracked: list[Path]) -> dict[Path, str]:
    """The text files among them."""
    contents = {path: (root / path).read_bytes() for path in tracked}
    return {path: data.decode(errors="replace") for path, data in contents.items() if b"\0" not in data}


def test_no_file_is_long(root: Path, sources: list[Path]) -> None:
    folders = {"runtime", "adapters", "schema", "tests", "examples", "benchmarks"}
    python = [path for path in sources if path.suffix == ".py" and path.parts[0] in folders]
    assert len(python) > 50
    lengths = {path: len((root / path).read_text().splitlines()) for path in python}
    assert {str(path): length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_file_names_a_package_registry(root: Path, tracked: list[Path]) -> None:
    """Where packages come from is the business of whoever installs them."""
    found = {path: REGISTRIES.search(text) for path, text in texts(root, tracked).items()}
    assert {str(path): match[0] for path, match in found.items() if match} == {}


def test_no_file_names_a_place_on_somebodys_machine(root: Path, tracked: list[Path]) -> None:
    here = re.compile(re.escape(str(root)) + r"\b")
    found = {path: HOMES.search(text) or here.search(text) for path, text in texts(root, tracked).items()}
    assert {str(path): match[0] for path, match in found.items() if match} == {}
