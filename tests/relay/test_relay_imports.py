"""Each publisher needs its own library, and not the other's."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOADED = "print('loaded', *sorted({'httpx2', 'nats'} & {name.partition('.')[0] for name in sys.modules}))"


def said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = f"""
import sys
import perdure_adapters.relay
import perdure.cloudevents.publishing
{_LOADED}
from perdure_adapters.relay import HttpPublisher
{_LOADED}
"""
    assert said(code) == ["loaded", "loaded httpx2"]


def test_there_are_no_others() -> None:
    with pytest.raises(ImportError, match="KafkaPublisher"):
        from perdure_adapters.relay import KafkaPublisher  # noqa: F401


@pytest.mark.parametrize(
    ("name", "library", "extra", "other"),
    [("HttpPublisher", "httpx2", "relay", "NatsPublisher"), ("NatsPublisher", "nats", "nats", "HttpPublisher")],
)
def test_a_library_that_is_missing(name: str, library: str, extra: str, other: str) -> None:
    """The other publisher does without it."""
    code = f"""
import sys
sys.modules[{library!r}] = None
try:
    from perdure_adapters.relay import {name}
except ImportError as error:
    print(error)
from perdure_adapters.relay import {other}
print({other}.__name__)
"""
    missing, found = said(code)
    assert f"{name} needs {library}" in missing and f"install perdure[{extra}]" in missing
    assert found == other
