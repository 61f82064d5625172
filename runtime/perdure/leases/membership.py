"""Which workers are alive, as one of them sees it.

A lease is dead when it has expired by the database's clock *and* the observer has seen no beat for
a third of a lease; or when the observer has seen no beat for one whole lease by its own monotonic
clock, whatever the database's clock says. Either clock may jump; a live worker loses nothing by it.
"""

from __future__ import annotations

from attrs import define, field

from perdure.ports import Census, Member


@define
class _Seen:
    beats: int
    since: float


@define
class Membership:
    """`lease` is in seconds, monotonic times too; the census' times are in microseconds."""

    me: str
    lease: float
    _seen: dict[str, _Seen] = field(factory=dict, init=False)

    def observe(self, census: Census, monotonic: float) -> None:
        """Take note of a census that was asked for at `monotonic`."""
        for member in census.members:
            seen = self._seen.get(member.id)
            if seen is None or seen.beats != member.beats:
                self._seen[member.id] = _Seen(member.beats, monotonic)
        present = {member.id for member in census.members}
        for gone in self._seen.keys() - present:
            del self._seen[gone]

    def dead(self, census: Census, monotonic: float) -> list[Member]:
        """Members whose lease is dead."""
        return [m for m in census.members if m.id != self.me and self._is_dead(m, census.now, monotonic)]

    def _is_dead(self, member: Member, now: int, monotonic: float) -> bool:
        seen = self._seen.get(member.id)
        if seen is None or seen.beats != member.beats:
            return False
        silent = monotonic - seen.since
        return silent >= self.lease or (member.expires_at <= now and silent >= self.lease / 3)

    def next_death(self, census: Census, monotonic: float) -> float | None:
        """Seconds until the first of the others could be dead, if none of them beats; None: no others."""
        waits = []
        for member in census.members:
            seen = self._seen.get(member.id)
            if member.id == self.me or seen is None:
                continue
            whole = seen.since + self.lease - monotonic
            third = seen.since + self.lease / 3 - monotonic
            expiry = (member.expires_at - census.now) / 1e6
            waits.append(max(0.0, min(whole, max(third, expiry))))
        return min(waits, default=None)
