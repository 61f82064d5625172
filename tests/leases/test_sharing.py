"""Who gets which partition, whoever comes and goes."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from perdure.leases.sharing import fair_share, plan
from perdure.ports import Census, Holding, Member

names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)


def member(id: str, beats: int = 1, expires_at: int = 100) -> Member:
    return Member(id, beats, expires_at, ())


@given(alive=names, partitions=st.integers(1, 100))
def test_shares_are_even_and_add_up(alive: list[str], partitions: int) -> None:
    shares = [fair_share(one, alive, partitions) for one in alive]
    assert sum(shares) == partitions
    assert max(shares) - min(shares) <= 1


@given(
    alive=names,
    dead=st.lists(st.sampled_from("uvw"), max_size=2, unique=True),
    owners=st.lists(st.sampled_from([None, *"abcdefuvwx"]), min_size=1, max_size=40),
    forgetful=st.booleans(),
)
def test_any_state_becomes_fair_within_a_few_rounds(
    alive: list[str], dead: list[str], owners: list[str | None], forgetful: bool
) -> None:
    """Each in turn does what its plan says; claims and releases take effect at once."""
    members = [member(id) for id in (*alive, *dead)]
    holdings = {number: Holding(number, owner, 1) for number, owner in enumerate(owners)}
    held: dict[str, set[int]] = {
        me: set() if forgetful else {p for p, holding in holdings.items() if holding.owner == me} for me in alive
    }
    for _ in range(len(alive) + 2):
        for me in alive:
            aim = plan(me, held[me], Census(0, members, list(holdings.values())), [member(id) for id in dead])
            for holding in aim.claim:
                assert holdings[holding.partition] == holding
                assert holding.owner is None or holding.owner not in set(alive) - {me}
                assert (holding.partition in aim.stolen) == (holding.owner is not None)
                holdings[holding.partition] = Holding(holding.partition, me, holding.epoch + 1)
                held[me].add(holding.partition)
            going = [*aim.forsaken, *[holdings[p] for p in sorted(held[me])[: aim.excess]]]
            for holding in going:
                holdings[holding.partition] = evolve(holding, owner=None, epoch=holding.epoch + 1)
                held[me].discard(holding.partition)
    for me in alive:
        mine = {p for p, holding in holdings.items() if holding.owner == me}
        assert mine == held[me], "what is owned is also served"
        assert len(mine) == fair_share(me, alive, len(owners))


def test_one_that_is_not_a_member_does_nothing() -> None:
    census = Census(0, [member("a")], [Holding(0, None, 0)])
    aim = plan("b", (), census, [])
    assert (list(aim.claim), aim.excess, list(aim.forsaken)) == ([], 0, [])
