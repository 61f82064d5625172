"""Retry policies by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import InvalidInput, Retry, UsageError


def test_a_retry_policy_is_checked() -> None:
    wrong: Any
    for wrong in ({"attempts": 0}, {"initial": -1}, {"backoff": 0.5}, {"jitter": 2}, {"give_up_on": (int,)}):
        with pytest.raises((UsageError, InvalidInput), match=next(iter(wrong))):
            Retry(**wrong)


def test_delays_grow_to_their_cap_with_jitter_in_bounds() -> None:
    policy = Retry(initial=1, backoff=2, max_interval=5, jitter=0.1)
    assert [policy.delay(attempt, 0.5) for attempt in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]
    assert policy.delay(1, 0) == pytest.approx(0.9)
    assert policy.delay(1, 1) == pytest.approx(1.1)
    assert Retry(initial=0, backoff=999).delay(10_000, 0.5) == 0
    assert Retry(initial=2, backoff=1, jitter=0).delay(10**9, 0.5) == 2
    assert Retry(initial=2, backoff=999, jitter=0).delay(10**9, 0.5) == 60
