"""The long profile: python -m chaos [--seconds N] [--seed S] [--database all] [--scenario NAME]; PYTHONPATH=tests."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
from attrs import evolve

from chaos import adversary, failover
from chaos.run import SCENARIOS, Scenario, run
from servers import mysql, postgresql

_DATABASES = ("sqlite", "postgresql", "mysql")
#: Seconds of faults in one run; longer ones only repeat themselves.
_RUN = 30.0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of faults, on each database")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--database", choices=[*_DATABASES, "all"], default="all")
    parser.add_argument("--scenario", choices=[*SCENARIOS, "failover"], default=None, help="only this one")
    parser.add_argument("--most", type=int, default=8, help="workers that a rolling run goes up to")
    return parser.parse_args()


@contextmanager
def fresh(database: str, place: Path) -> Generator[str]:
    """The URL of an empty database."""
    if database == "sqlite":
        yield f"sqlite:///{place}/perdure.db"
        return
    servers = {"postgresql": postgresql, "mysql": mysql}[database]
    assert servers.server() is not None, f"no server for {database}"
    with servers.fresh_database() as url:
        yield url


def play(database: str, what: Callable[[str, Path], Awaitable[object]]) -> bool:
    """Whether it went well. If not, its logs stay."""
    place = Path(tempfile.mkdtemp(prefix=f"chaos-{database}-"))
    try:
        with fresh(database, place) as url:
            print(anyio.run(what, url, place), flush=True)
    except Exception as error:  # the next run may tell more
        print(f"FAILED {type(error).__name__}: {error}\nlogs in {place}", flush=True)
        return False
    shutil.rmtree(place, ignore_errors=True)
    return True


def scenarios(database: str, only: str | None, most: int) -> list[Scenario]:
    """Those that mean something on this database."""
    if only is not None:
        return [evolve(SCENARIOS[only], most=most)]
    names = ["everything", "kills", "stops", "rolling"]
    if database != "sqlite":
        names.append("cuts")
    if database == "postgresql" and adversary.RESTART in os.environ:
        names.append("restarts")
    return [evolve(SCENARIOS[name], most=most) for name in names]


def torment(database: str, given: argparse.Namespace, seed: int) -> int:
    """How many runs failed."""
    failed = 0
    if given.scenario in (None, "failover"):
        failed += not play(database, partial(failover.measure, idleness=30.0))
    if given.scenario == "failover":
        return failed
    chosen = scenarios(database, given.scenario, given.most)
    share = given.seconds / len(chosen)
    rounds = max(1, round(share / _RUN))
    for number in range(rounds):
        for scenario in chosen:

            async def one(url: str, place: Path, scenario: Scenario = scenario, seed: int = seed + number) -> str:
                return await run(scenario, url, seed, share / rounds, place)

            failed += not play(database, one)
    return failed


def main(given: argparse.Namespace) -> int:
    seed = given.seed if given.seed is not None else secrets.randbelow(10**9)
    databases = _DATABASES if given.database == "all" else (given.database,)
    failed = sum(torment(database, given, seed) for database in databases)
    print(f"seed {seed}: {failed or 'no'} runs failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(options()))
