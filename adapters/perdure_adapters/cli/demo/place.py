"""Where a run of the demo keeps its files; parent and workers agree on it by the environment."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from perdure import App, UsageError

_VARIABLE = "PERDURE_DEMO"
_SEED = "PERDURE_DEMO_SEED"
_WIDTH = "PERDURE_DEMO_WIDTH"

#: Seconds until others take over from a worker that was killed: short, so that the demo is.
LEASE = 1.0


@frozen
class Place:
    """`width` is how many activities the worker runs at once."""

    directory: Path
    seed: int
    width: int

    @classmethod
    def from_environment(cls) -> Place:
        """Raises UsageError outside of a demo."""
        directory = os.environ.get(_VARIABLE)
        if not directory:
            raise UsageError(f"{_VARIABLE} is not set; give it the directory that `perdure demo --keep` named")
        seed, width = (int(os.environ.get(name, "1")) for name in (_SEED, _WIDTH))
        return cls(Path(directory).absolute(), seed, width)

    @property
    def environment(self) -> dict[str, str]:
        return {_VARIABLE: str(self.directory), _SEED: str(self.seed), _WIDTH: str(self.width)}

    @property
    def database(self) -> Path:
        return self.directory / "orders.db"

    @property
    def effects(self) -> Path:
        return self.directory / "effects.jsonl"

    @property
    def log(self) -> Path:
        return self.directory / "workers.log"

    def app(self) -> App:
        from perdure_adapters.cli.demo.workflow import fulfil  # which needs the place itself

        return App(f"sqlite:///{self.database}", workflows=[fulfil], lease=LEASE, max_activities=self.width)
