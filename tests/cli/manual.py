"""The generated part of docs/reference/command-line.md: what each command's --help says.

    PYTHONPATH=tests python -m cli.manual

writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from docs.pages import ROOT
from perdure_adapters.cli.program import program

PAGE = ROOT / "docs" / "reference" / "command-line.md"
BEGIN = "<!-- what follows is generated: `just manual` -->"
#: Columns, whatever the terminal has.
_WIDTH = 80


def manual() -> str:
    return "\n\n".join([BEGIN, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    parent = click.Context(program, info_name="perdure", terminal_width=_WIDTH, max_content_width=_WIDTH)
    for name, command in program.commands.items():
        settings = {**program.context_settings, "max_content_width": _WIDTH}
        with click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, **settings) as context:
            yield f"### `perdure {name}`\n\n```text\n{command.get_help(context).rstrip()}\n```"


def written() -> str:
    """The page as it has to be."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[0] + manual()


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
