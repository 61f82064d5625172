"""Where events go to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from relay import streams
from relay.lines import reserved
from relay.receiver import Receiver, listening
from relay.streams import Stream


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as one:
        yield one


@pytest.fixture
def free_port() -> Iterator[int]:
    """Nobody listens at it, until the test does."""
    with reserved() as port:
        yield port


@pytest.fixture
def nats_url() -> str:
    """A missing server is a skip at home, for all to see, and a failure where everything must be tested."""
    url = streams.server()
    if url is None:
        missing = "no NATS with JetStream was found: start `nats-server -js`, or name one in PERDURE_TEST_NATS"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return url


@pytest.fixture
async def stream(nats_url: str) -> AsyncIterator[Stream]:
    async with streams.opened(nats_url) as one:
        await one.create()
        yield one
