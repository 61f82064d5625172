"""The short profile: each kind of fault for some seconds, on each kind of database."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from attrs import evolve

from chaos import failover, workflows
from chaos.processes import crew
from chaos.run import SCENARIOS, run
from perdure import App

#: The same faults again: PERDURE_SEED=... pytest tests/chaos
_SEED = int(os.environ.get("PERDURE_SEED", "20261121"))
_SECONDS = 4.0
_WIDTH = 8

pytestmark = [
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.one_store,
]  # that of the test's own process


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the workers' logs go."""
    directory = tmp_path / "workers"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("scenario", ["kills", "stops", "rolling"])
async def test_nothing_is_lost_or_repeated(scenario: str, durable_url: str, place: Path) -> None:
    print(await run(evolve(SCENARIOS[scenario], width=_WIDTH), durable_url, _SEED, _SECONDS, place))


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
async def test_connections_are_cut(server: str, request: pytest.FixtureRequest, place: Path) -> None:
    url: str = request.getfixturevalue(f"{server}_url")
    print(await run(evolve(SCENARIOS["cuts"], width=_WIDTH), url, _SEED, _SECONDS, place))


async def test_another_worker_takes_over(durable_url: str, place: Path) -> None:
    """How soon is for `just chaos` to tell: a lease as short as there would be lost by a pause of the machine."""
    measured = await failover.measure(durable_url, place, lease=8)
    print(measured)
    assert measured.handed_over < measured.first, "what is handed over does not wait for the end of a lease"
    assert measured.cancel_p50 < 2


async def test_ten_processes_start_at_once_on_an_empty_database(durable_url: str, place: Path) -> None:
    """Each of them would make the tables, settle the partitions, and take its share."""
    with crew(durable_url, place, Random(0), lease=30) as workers:
        processes = [workers.worker() for _ in range(10)]
        for process in processes:
            await workers.ready(process)
        assert not workers.fallen()
        async with App(durable_url, workflows=[workflows], worker=False) as app:
            handles = [await app.start(workflows.steady.options(id=f"s{n}"), 2, 0.01, 0.0) for n in range(20)]
            for handle in handles:
                await handle.result(timeout=60)
        await workers.finish()
        assert not workers.fallen()
