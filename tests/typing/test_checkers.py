"""What users see of perdure's types, in mypy --strict and in pyright's strict mode.

`cases` must pass; in `cases_bad` every line marked `# E:` must be an error, and no other line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".mypy_cache" / "cases"
FOLDERS = ("cases", "cases_bad")
#: Lines and messages, by file.
Errors: TypeAlias = dict[str, list[tuple[int, str]]]

BAD = sorted((HERE / "cases_bad").glob("*.py"))


def run(*command: str, folder: Path) -> str:
    """Raises CalledProcessError unless the checker came to an end: 0 is no errors, 1 some."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode not in (0, 1):
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def mypy() -> Errors:
    """Without the repository's settings: users have their own."""
    options = ["--config-file=", "--strict", "--no-error-summary", "--output=json", f"--cache-dir={CACHE}"]
    found: Errors = {}
    for name in FOLDERS:  # one at a time: there are modules of one name in both
        output = run("mypy", *options, ".", folder=HERE / name)
        for line in output.splitlines():
            message: dict[str, Any] = json.loads(line)
            if message["severity"] == "error":
                file = f"{name}/{Path(message['file']).name}"
                found.setdefault(file, []).append((message["line"], message["message"]))
    return found


def pyright(folder: Path) -> Errors:
    """With a configuration in `folder`."""
    settings = {
        "include": [os.path.relpath(HERE / name, folder) for name in FOLDERS],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, folder=folder)
    report: dict[str, Any] = json.loads(output)
    assert report["summary"]["filesAnalyzed"] >= 2 * len(BAD)
    found: Errors = {}
    for message in report["generalDiagnostics"]:
        if message["severity"] == "error":
            path = Path(message["file"])
            line = message["range"]["start"]["line"] + 1  # pyright counts from 0
            found.setdefault(f"{path.parent.name}/{path.name}", []).append((line, message["message"]))
    return found


def marked(path: Path) -> set[int]:
    lines = enumerate(path.read_text().splitlines(), 1)
    return {number for number, line in lines if re.search(r"# E: \S", line)}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])  # one test for each: it takes long to start
def test_good_code_has_no_errors_and_every_mistake_is_one(checker: str, tmp_path: Path) -> None:
    errors = mypy() if checker == "mypy" else pyright(tmp_path)
    assert {file: found for file, found in errors.items() if file.startswith("cases/")} == {}
    assert BAD and all(marked(path) for path in BAD)
    for path in BAD:
        found = errors.get(f"cases_bad/{path.name}", [])
        assert {number for number, _ in found} == marked(path), (path.name, found)
