"""A clock that tests put forward, so that nobody has to wait until something is due."""

from __future__ import annotations

import attrs

from perdure import App
from perdure.worker.clock import Clock


class _Clock(Clock):
    def __init__(self, passed: Passing) -> None:
        super().__init__()
        self._passed = passed

    def now(self) -> int:
        return super().now() + self._passed.microseconds


class Passing:
    """How much later it is, for the apps that are given it, than by the database's clock: nothing, at first."""

    def __init__(self) -> None:
        self.microseconds = 0
        self._clocks: list[_Clock] = []

    def on(self, app: App) -> App:
        """The app, by this clock. It is not open yet."""
        app._parts = attrs.evolve(app._parts, clock=self._clock)
        return app

    def hours(self, hours: float) -> None:
        """So many hours pass."""
        self.microseconds += int(hours * 3_600_000_000)
        for clock in self._clocks:
            clock.jumped()

    def _clock(self) -> Clock:
        self._clocks.append(_Clock(self))
        return self._clocks[-1]
