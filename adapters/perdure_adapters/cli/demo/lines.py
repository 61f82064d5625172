"""The demo as lines of text: for pipes, logs and terminals without colours."""

from __future__ import annotations

import sys

from perdure_adapters.cli.demo.progress import News, Progress


class Lines:
    """A `View` that prints a line per event."""

    def says(self, at: float, text: str) -> None:
        self._print(at, f"-- {text}")

    def step(self, at: float, news: News, worker: int) -> None:
        again = "  (cut off by the kill, run again)" if news.again else ""
        self._print(at, f"{news.order:<8}  {news.step:<22}  worker {worker}{again}")

    def refresh(self, at: float, progress: Progress) -> None:
        pass

    def _print(self, at: float, text: str) -> None:
        sys.stdout.write(f"{at:6.2f} s  {text}\n")
        sys.stdout.flush()
