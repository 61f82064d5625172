"""What workflows have told each other, from all their streams: nothing may be lost, nothing come twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from attrs import Factory, define

from chaos.database import Written
from chaos.feeds import SOURCE, Feed
from chaos.messengers import QUEUE

_ENDINGS = ("WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled", "WorkflowContinued")


@define
class Letters:
    """`received` counts what came from channels and other instances, `events` CloudEvents. `failures` must be empty."""

    received: int = 0
    events: int = 0
    answers: int = 0
    children: int = 0
    lost: int = 0
    twice: int = 0
    failures: list[str] = Factory(list)

    def once(self, what: str, wanted: Iterable[object], found: Counter[object]) -> None:
        """Each of them is there once."""
        for one in wanted:
            if found[one] != 1:
                self.lost += found[one] == 0
                self.failures.append(f"{what} {one}: {found[one]} times")
        self._twice(what, found)

    def _twice(self, what: str, found: Counter[object]) -> None:
        for one, count in found.items():
            if count > 1:
                self.twice += 1
                self.failures.append(f"{what} {one}: {count} times")


def check(rows: Sequence[Written], feeds: Mapping[str, Sequence[Feed]], ended: Iterable[str] = ()) -> Letters:
    """`feeds`: what a client did, by instance. All workflows receive whatever is meant for them, but for those that
    are `ended` from outside.
    """
    kinds: dict[str, list[Written]] = defaultdict(list)
    for row in rows:
        kinds[row.kind].append(row)
    letters = Letters()
    _messages(letters, kinds, feeds, frozenset(ended))
    _questions(letters, kinds)
    _events(letters, kinds, feeds)
    _children(letters, rows, kinds)
    _runs(letters, rows)
    return letters


def _messages(
    letters: Letters, kinds: Mapping[str, list[Written]], feeds: Mapping[str, Sequence[Feed]], ended: frozenset[str]
) -> None:
    received: Counter[object] = Counter((row.instance_id, row.data["id"]) for row in kinds["MessageReceived"])
    letters.received = received.total()
    sent: list[object] = [(row.data["to"], row.data["id"]) for row in kinds["MessageSent"] + kinds["QuestionAsked"]]
    sent += [(id, feed.id) for id, some in feeds.items() for feed in some if feed.kind != "event"]
    taken: Counter[object] = Counter(row.data["id"] for row in kinds["MessageReceived"] if row.name.startswith(QUEUE))
    queued = [row.data["id"] for row in kinds["MessagePublished"] if row.name.startswith(QUEUE)]
    letters.once("from a queue", queued, taken)
    subscribers = defaultdict(set)
    for row in kinds["Subscribed"]:
        subscribers[row.name].add(row.instance_id)
    sent += [
        (id, row.data["id"])
        for row in kinds["MessagePublished"]
        if not row.name.startswith(QUEUE)
        for id in subscribers[row.name] - ended
    ]
    letters.once("message", sent, received)


def _questions(letters: Letters, kinds: Mapping[str, list[Written]]) -> None:
    answered: Counter[object] = Counter((row.instance_id, row.run, row.command) for row in kinds["QuestionAnswered"])
    letters.answers = answered.total()
    letters.once("answer", [(row.instance_id, row.run, row.command) for row in kinds["QuestionAsked"]], answered)
    letters.once("reply", (), Counter(row.data["id"] for row in kinds["Replied"]))


def _events(letters: Letters, kinds: Mapping[str, list[Written]], feeds: Mapping[str, Sequence[Feed]]) -> None:
    came: Counter[object] = Counter(
        (row.instance_id, row.data["source"], row.data["id"]) for row in kinds["EventReceived"]
    )
    letters.events = came.total()
    accepted = [(id, feed) for id, some in feeds.items() for feed in some if feed.kind == "event"]
    letters.once("event", [(id, SOURCE, feed.id) for id, feed in accepted if feed.name == "chaos.paid"], came)
    begun: Counter[object] = Counter(
        (row.data["input"]["key"], row.data["input"]["number"])
        for row in kinds["WorkflowStarted"]
        if row.name == "begun"
    )
    letters.once("start", [(id, feed.value["number"]) for id, feed in accepted if feed.name == "chaos.begun"], begun)


def _children(letters: Letters, rows: Sequence[Written], kinds: Mapping[str, list[Written]]) -> None:
    """Those who say they have a child, and those who say they are one, agree; and so do the ends."""
    born: Counter[object] = Counter()
    parents = {}
    for row in kinds["WorkflowStarted"]:
        parent = row.data.get("parent")
        if parent is not None and row.run == 1:
            born[row.instance_id, parent["id"], parent["run"], parent["command"]] += 1
            parents[parent["id"], parent["run"], parent["command"]] = row.instance_id
    known = Counter((row.data["id"], row.instance_id, row.run, row.command) for row in kinds["ChildStarted"])
    letters.children = born.total()
    letters.once("child", known, born)
    letters.once("child's start", born, Counter(known))
    last = {row.instance_id: row for row in rows}
    letters.once("child's end", (), Counter((row.instance_id, row.run, row.command) for row in kinds["ChildEnded"]))
    for row in kinds["ChildEnded"]:
        child = last.get(parents.get((row.instance_id, row.run, row.command), ""))
        if child is None or row.data != {"kind": child.kind, "data": child.data}:
            letters.failures.append(f"{row} is not how the child ended: {child}")


def _runs(letters: Letters, rows: Sequence[Written]) -> None:
    """Each run begins with what the one before left to it, and ends once."""
    ends = {(row.instance_id, row.run): row for row in rows}
    for row in rows:
        if row.seq == 1 and row.run > 1:
            before = ends.get((row.instance_id, row.run - 1))
            if before is None or before.kind != "WorkflowContinued" or before.data != row.data["input"]:
                letters.failures.append(f"{row} follows on {before}")
            elif before.commit_id != row.commit_id:
                letters.failures.append(f"{row} was not written together with {before}")
    for (id, run), end in ends.items():
        if end.kind not in _ENDINGS or (end.kind == "WorkflowContinued") != ((id, run + 1) in ends):
            letters.failures.append(f"run {run} of {id} ends with {end}")
