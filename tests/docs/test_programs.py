"""Code in the documentation runs, compiles and passes the type checker."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import Block, all_blocks, output_after, programs

#: How long programs wait for a result: never that long, unless the machine is slow.
_PATIENCE = re.compile(r"(?<=\btimeout=)(?:5|10|20)(?=\))")


@pytest.mark.parametrize("program", programs(), ids=str)
def test_a_program_runs(program: Block, tmp_path: Path) -> None:
    named = re.match(r'"""(\w+\.py)"""', program.text)
    name = named[1] if named else "program.py"
    (tmp_path / name).write_text(_PATIENCE.sub("100", program.text), encoding="utf-8")
    command = [sys.executable, "-W", "error", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    expected = output_after(program)
    if expected is not None:
        pattern = re.escape(expected.text).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, done.stdout), f"expected:\n{expected.text}\ngot:\n{done.stdout}"


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_a_block_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_outputs_belong_to_programs() -> None:
    stated = [block for block in all_blocks("text") if block.note == "output"]
    assert stated == [after for program in programs() if (after := output_after(program)) is not None]


def test_programs_pass_a_strict_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    names = []
    for program in programs():
        name = re.sub(r"\W", "_", str(program)) + ".py"
        (tmp_path / name).write_text(program.text, encoding="utf-8")
        names.append(name)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
