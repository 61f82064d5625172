"""The pytest plugin: `--perdure-seeds N` sets how many worlds `simulate` and the `perdure_seed` fixture try.

A test that takes `perdure_seed` runs once for each seed. Async tests in modules that import something of
`perdure.testing` run under asyncio and trio, by anyio's own plugin, without a mark or a setting.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import Any

import pytest

_DEFAULT = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("perdure")
    group.addoption("--perdure-seeds", type=int, default=_DEFAULT, metavar="N", help="worlds a simulation tries (100)")


def _seeds(config: pytest.Config) -> int:
    return int(config.getoption("--perdure-seeds") or 0)


def pytest_configure(config: pytest.Config) -> None:
    seeds = _seeds(config)
    if seeds < 1:
        raise pytest.UsageError(f"--perdure-seeds {seeds}: give 1 or more")
    if seeds != _DEFAULT:
        from perdure.testing.simulation import settings

        settings.default_seeds = seeds


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, Any, Any]:
    if inspect.iscoroutinefunction(obj) and collector.istestfunction(obj, name) and _is_for_us(collector, obj):
        pytest.mark.anyio(obj)
    return (yield)


def _is_for_us(collector: pytest.Module | pytest.Class, test: Any) -> bool:
    """Whether the module uses perdure.testing, and has not chosen how the test is to run."""
    marks = [*collector.iter_markers(), *getattr(test, "pytestmark", ())]
    if {"asyncio", "trio", "anyio"} & {mark.name for mark in marks} or _others_take_all(collector.config):
        return False
    module = collector.getparent(pytest.Module)
    values = vars(module.obj).values() if module is not None else ()
    origins = (getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in values)
    return any(str(origin).startswith("perdure.testing") for origin in origins)


def _others_take_all(config: pytest.Config) -> bool:
    """Whether pytest-asyncio or pytest-trio run every async test of this project."""
    for setting, value in (("asyncio_mode", "auto"), ("trio_mode", True)):
        try:
            if config.getini(setting) == value:
                return True
        except (KeyError, ValueError):  # that plugin is not there
            continue
    return False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "perdure_seed" in metafunc.fixturenames:
        metafunc.parametrize("perdure_seed", range(_seeds(metafunc.config)))
