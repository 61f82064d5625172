"""When a lease is dead, by two clocks of which either may jump. Leases of 10 s here."""

from __future__ import annotations

import pytest

from perdure.leases.membership import Membership
from perdure.ports import Census, Member


def census(now: float, beats: int = 5, expires_at: float = 110) -> Census:
    return Census(int(now * 1e6), [Member("other", beats, int(expires_at * 1e6), ()), Member("me", 1, 0, ())], [])


@pytest.mark.parametrize(
    ("silent", "database", "dead"),
    [
        (0.0, 105, False),  # alive
        (9.9, 105, False),  # silent, but not expired, and not for a whole lease
        (10.0, 105, True),  # silent for a whole lease, whatever the database's clock says
        (3.4, 111, True),  # expired, and silent for a third of a lease
        (3.2, 111, False),  # expired by a clock that may have jumped: not silent for long enough
        (0.0, 9999, False),
    ],
)
def test_a_lease_is_dead(silent: float, database: float, dead: bool) -> None:
    membership = Membership("me", 10.0)
    membership.observe(census(100), 1000.0)
    found = membership.dead(census(database), 1000.0 + silent)
    assert [member.id for member in found] == (["other"] if dead else [])


def test_a_beat_starts_the_silence_anew() -> None:
    membership = Membership("me", 10.0)
    membership.observe(census(100), 1000.0)
    membership.observe(census(109, beats=6), 1009.0)
    assert membership.dead(census(111, beats=6), 1011.0) == []
    assert membership.dead(census(111, beats=7), 1019.5) == [], "a beat not yet taken note of counts as well"


def test_nobody_declares_itself_dead() -> None:
    membership = Membership("me", 10.0)
    membership.observe(census(100), 1000.0)
    assert "me" not in [member.id for member in membership.dead(census(999), 2000.0)]


def test_when_to_look_again() -> None:
    membership = Membership("me", 10.0)
    assert membership.next_death(census(100), 1000.0) is None
    membership.observe(census(100), 1000.0)
    assert membership.next_death(census(100), 1000.0) == 10.0, "expiry and a whole lease fall together here"
    assert membership.next_death(census(105), 1001.0) == 5.0, "at expiry"
    assert membership.next_death(census(120), 1001.0) == pytest.approx(10 / 3 - 1), "a third of a lease at least"
    assert membership.next_death(census(0), 1008.0) == 2.0, "a whole lease at most"
