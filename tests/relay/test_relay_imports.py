"""Each publisher needs its own library, and not the other's."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {"httpx2", "nats"}


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("import perdure_adapters.relay", set()),
        ("import perdure.cloudevents.publishing", set()),
        ("from perdure_adapters.relay import HttpPublisher", {"httpx2"}),
        ("from perdure_adapters.relay import NatsPublisher", {"nats"}),
    ],
)
def test_importing(statement: str, needed: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) & LIBRARIES == needed


def test_there_are_no_others() -> None:
    with pytest.raises(ImportError, match="KafkaPublisher"):
        from perdure_adapters.relay import KafkaPublisher  # noqa: F401


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("HttpPublisher", "httpx2", "relay"), ("NatsPublisher", "nats", "nats")]
)
def test_a_library_that_is_missing(name: str, library: str, extra: str) -> None:
    code = f"import sys\nsys.modules[{library!r}] = None\nfrom perdure_adapters.relay import {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert f"ImportError: {name} needs {library}" in done.stderr and f"install perdure[{extra}]" in done.stderr
