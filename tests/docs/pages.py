"""The documentation as data: pages, their blocks of code, their headings and links."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
_NOTE = re.compile(r"<!-- (\w+) -->")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@frozen
class Block:
    """A fenced block. `note` is the word in the HTML comment directly before it, "" without one."""

    page: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def page(name: str) -> str:
    """The text of a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(path: Path) -> list[Block]:
    found = []
    note, fence, start = "", None, 0
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                text = textwrap.dedent("\n".join(lines)) + "\n"
                found.append(Block(path, start, fence["language"], note, text))
                note, fence = "", None
            else:
                lines.append(line)
        elif (fence := _FENCE.match(line)) is not None:
            start, lines = number, []
        elif line.strip():
            comment = _NOTE.fullmatch(line.strip())
            note = comment[1] if comment else ""
    assert fence is None, f"{path}:{start}: this block does not end"
    return found


def all_blocks(language: str) -> list[Block]:
    return [block for path in pages() for block in blocks(path) if block.language == language]


def programs() -> list[Block]:
    """Blocks of Python that run as they are."""
    return [block for block in all_blocks("python") if block.note != "fragment"]


def output_after(program: Block) -> Block | None:
    """What the page says that this program prints, if it does."""
    after = [block for block in blocks(program.page) if block.line > program.line]
    return after[0] if after and after[0].note == "output" else None


def headings(text: str) -> list[str]:
    return _HEADING.findall(_without_blocks(text))


def anchors(text: str) -> set[str]:
    """The anchors that headings get: lower case, without punctuation, with hyphens for blanks."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(text))
    return {heading.replace(" ", "-") for heading in kept}


def links(text: str) -> list[str]:
    return _LINK.findall(_without_blocks(text))


def _without_blocks(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
