"""The demo live in a terminal: an order per row, a mark per step, coloured by worker."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from attrs import define, field
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from perdure_adapters.cli.demo.crew import Crew
from perdure_adapters.cli.demo.progress import News, OrderProgress, Progress, State

_COLOURS = ("blue", "magenta", "green")
_MARKS = {State.TODO: "·", State.RUNNING: "▸", State.CUT: "✗", State.AGAIN: "↻", State.DONE: "✓"}
#: Lines of what was said, and lines of everything else but the orders.
_SAID = 6
_FRAME = 6


@define
class Screen:
    """A `View`; a context manager that gives the terminal back on leaving."""

    console: Console
    crew: Crew
    _said: list[Text] = field(factory=list, init=False)
    _live: Live = field(init=False)
    _progress: Progress | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        # Drawn when there is something new, and in our own thread: a refresh thread would only flicker.
        self._live = Live(console=self.console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def says(self, at: float, text: str) -> None:
        style = "bold red" if "SIGKILL" in text else ""
        self._said.append(Text.assemble((f"{at:6.2f} s  ", "dim"), (text, style)))
        if self._progress is not None:
            self.refresh(at, self._progress)

    def step(self, at: float, news: News, worker: int) -> None:
        pass  # the next refresh shows it

    def refresh(self, at: float, progress: Progress) -> None:
        self._progress = progress
        self._live.update(self._picture(at, progress), refresh=True)

    def _picture(self, at: float, progress: Progress) -> Group:
        head = Text.assemble(
            ("perdure demo", "bold"),
            f"   {progress.done} of {progress.steps} steps done",
            (f"   {at:.1f} s", "dim"),
        )
        return Group(head, self._table(progress), self._legend(), *self._said[-_SAID:])

    def _table(self, progress: Progress) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("order", "customer", "reserve", "charge", "ship", "confirm"):
            table.add_column(column, no_wrap=True)
        rows = list(progress.orders.values())
        room = max(3, self.console.height - _FRAME - _SAID)
        if len(rows) > room:  # those that are over leave the screen first
            over = [one for one in rows if one.completed]
            rows = [*over[len(over) - max(0, room - len(progress.unfinished)) :], *progress.unfinished][:room]
        for one in rows:
            *reserved, charge, ship, confirm = (self._mark(one, step) for step in one.order.steps)
            table.add_row(one.order.id, one.order.customer, Text(" ").join(reserved), charge, ship, confirm)
        return table

    def _mark(self, one: OrderProgress, step: str) -> Text:
        state = one.state(step)
        mark = _MARKS[state]
        if state is State.DONE:
            return self._by(self.crew.number_of(one.done[step]), mark)
        if state in (State.RUNNING, State.AGAIN):
            return self._by(self.crew.number_of(one.running[step]), mark)
        return Text(f"{mark} ", "bold red" if state is State.CUT else "dim")

    def _by(self, worker: int, mark: str) -> Text:
        return Text(f"{mark}{worker}", _COLOURS[(worker - 1) % len(_COLOURS)])

    def _legend(self) -> Text:
        names = (
            (State.DONE, "n done by worker n"),
            (State.RUNNING, "n under way"),
            (State.CUT, " cut off by a kill"),
        )
        parts = [f"{_MARKS[state]}{name}" for state, name in (*names, (State.AGAIN, "n run again"))]
        return Text("   ".join(parts), "dim")
