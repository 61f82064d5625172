"""What must be true when all is over, whatever happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from attrs import Factory, define

from chaos import ledger, letters, publishing
from chaos.database import Database, Written
from chaos.effects import Effect
from chaos.jobs import Job
from chaos.letters import Letters
from chaos.processes import Process
from faults.database import Row, check_streams

#: Steps that were seen recorded, and a moment (CLOCK_MONOTONIC) after that.
Observation = tuple[set[tuple[str, int]], float]

_ENDED = {"WorkflowCompleted": "completed", "WorkflowFailed": "failed", "WorkflowCancelled": "cancelled"}
#: Seconds after a SIGCONT in which a step may begin that was about to begin at the SIGSTOP.
_WAKING = 1.0


@define
class Findings:
    """`twice`: steps that began again because they were in flight at a fault; `zombies`: that began in the
    first moment of a worker that had been stopped just before they would have. `failures` must be empty.
    """

    instances: int = 0
    steps: int = 0
    twice: int = 0
    zombies: int = 0
    repeated: int = 0
    lost: int = 0
    letters: Letters = Factory(Letters)
    failures: list[str] = Factory(list)


async def check(
    database: Database,
    effects: Sequence[Effect],
    processes: Iterable[Process],
    accepted: Mapping[str, Job],
    observed: Sequence[Observation],
    place: Path,
    outages: int = 0,
) -> Findings:
    """`place` is where workers write what they do. `observed` is in order.

    `outages` of the database: each may cost every worker its lease, and what it hands back afterwards, as
    it should, is nobody's interruption.
    """
    findings = Findings()
    rows = await database.events()
    streams: dict[str, list[Written]] = defaultdict(list)
    runs: dict[tuple[str, int], list[Written]] = defaultdict(list)
    for row in rows:
        streams[row.instance_id].append(row)
        runs[row.instance_id, row.run].append(row)
    findings.instances = len(streams)
    findings.steps = sum(row.kind in ("StepCompleted", "StepFailed") for row in rows)
    statuses = await database.statuses()
    for run in runs.values():
        try:
            check_streams(run)
        except AssertionError as error:
            findings.failures.append(f"streams: {error}")
    for id, stream in streams.items():
        _single_writer(findings, stream)
        if statuses.get(id) != _ENDED.get(stream[-1].kind):
            findings.failures.append(f"{id} is {statuses.get(id)}, its last event {stream[-1].kind}")
    for id, job in accepted.items():
        _end(findings, job, streams.get(id, []))
    findings.letters = letters.check(rows, {id: job.feeds for id, job in accepted.items()})
    findings.failures += findings.letters.failures
    wakings = [stop for process in processes for stop in _wakings(process)]
    find_repeated(findings, effects, wakings, rows, observed, outages)
    await _money(database, findings, accepted)
    await _events(database, findings, rows, place)
    await _lists(database, findings, accepted)
    return findings


def _single_writer(findings: Findings, stream: Sequence[Written]) -> None:
    """Each commit wrote its events in one piece, and time never goes back."""
    marks = [(row.commit_id, row.at) for row in stream]
    pieces = 1 + sum(before[0] != after[0] for before, after in pairwise(marks))
    if pieces != len({commit for commit, _ in marks}):
        findings.failures.append(f"{stream[0].instance_id} has events of one commit apart: {marks}")
    if [at for _, at in marks] != sorted(at for _, at in marks):
        findings.failures.append(f"{stream[0].instance_id} has times that go back: {marks}")


def _end(findings: Findings, job: Job, stream: Sequence[Written]) -> None:
    last = stream[-1] if stream else None
    if last is None or last.kind not in _ENDED:
        findings.lost += 1
        findings.failures.append(f"{job.id} ({job.workflow.name}) was accepted, and its last event is {last}")
    elif not _as_predicted(job, last):
        findings.failures.append(f"{job.id} ended with {last}, not with {job.end}")
    adds = sorted(row.data for row in stream if row.name == "add" and row.kind == "StepCompleted")
    if adds != list(job.adds):
        findings.failures.append(f"{job.id} has added {adds}, not {job.adds}")


def _as_predicted(job: Job, last: Row) -> bool:
    kind, value = job.end
    if kind == "result":
        return (last.kind, last.data) == ("WorkflowCompleted", value)
    return last.kind == "WorkflowFailed"  # with which error, whoever waited for it has seen


def _wakings(process: Process) -> list[tuple[int, float, float]]:
    """What began in them was about to begin at the SIGSTOP; who sent the SIGCONT may note its time late."""
    return [(process.pid, stopped, resumed + _WAKING) for stopped, resumed in process.stops]


def find_repeated(
    findings: Findings,
    effects: Sequence[Effect],
    wakings: Sequence[tuple[int, float, float]],
    rows: Sequence[Row],
    observed: Sequence[Observation],
    outages: int = 0,
) -> None:
    """A step begins again only after an interruption that is recorded, and never once its result is.

    That it was recorded is known in two ways: it was seen in the database before; or the step after
    it has begun, which it may not before. The order is that of the clock: writing a line can take a worker
    longer than others need to take its work over.
    """
    excuses = Counter(
        (row.instance_id, row.command) for row in rows if row.kind in ("StepInterrupted", "AttemptFailed")
    )
    recorded: set[tuple[str, int]] = set()
    snapshots = iter(sorted(observed, key=lambda one: one[1]))
    snapshot = next(snapshots, None)
    farthest: dict[tuple[str, str], int] = {}
    begun: Counter[tuple[str, int]] = Counter()
    for effect in sorted(effects, key=lambda one: one.at):
        if effect.phase != "start":
            continue
        while snapshot is not None and effect.at > snapshot[1]:
            recorded |= snapshot[0]
            snapshot = next(snapshots, None)
        step, branch = (effect.instance_id, effect.command), (effect.instance_id, effect.branch)
        begun[step] += 1
        if step in recorded or effect.number < farthest.get(branch, 0):
            if any(pid == effect.pid and since <= effect.at <= until for pid, since, until in wakings):
                findings.zombies += 1
                excuses[step] += 1
            else:
                findings.repeated += 1
                findings.failures.append(f"a recorded step began again: {effect}")
        farthest[branch] = max(effect.number, farthest.get(branch, 0))
    for step, count in begun.items():
        findings.twice += count > 1
        if count > 1 + excuses[step] + outages:
            findings.failures.append(f"{step} began {count} times, with {excuses[step]} interruptions or failures")


async def _money(database: Database, findings: Findings, accepted: Mapping[str, Job]) -> None:
    balances = dict(await database.query("select id, balance from chaos_accounts"))
    if sum(balances.values()) != ledger.ACCOUNTS * ledger.BALANCE:
        findings.failures.append(f"the money does not add up: {balances}")
    sql = "select instance_id, number, source, target, amount from chaos_transfers"
    found = Counter(await database.query(sql))
    wanted = Counter(
        (id, number, *move)
        for id, job in accepted.items()
        if job.workflow.name == "transfers"
        for number, move in enumerate(job.arguments[0])
    )
    if found != wanted:
        findings.failures.append(f"transfers: too many {found - wanted}, missing {wanted - found}")
    for _, _, source, target, amount in found.elements():
        balances[source] += amount
        balances[target] -= amount
    if set(balances.values()) != {ledger.BALANCE}:
        findings.failures.append(f"without the transfers the balances would be {balances}")


async def _events(database: Database, findings: Findings, rows: Sequence[Written], place: Path) -> None:
    """Each transfer, and each that was taken back, is told of once; what is marked as published was."""
    wanted = sum(row.name in ("transfer", "take_back") and row.kind == "StepCompleted" for row in rows)
    found = await database.query("select id, status from perdure_outbox")
    if len(found) != wanted or len({id for id, _ in found}) != wanted:
        findings.failures.append(f"{wanted} transfers are recorded, and {len(found)} events in the outbox")
    sent = set(publishing.sent(place))
    unsent = [id for id, status in found if _text(status) == "published" and _text(id) not in sent]
    if unsent:
        findings.failures.append(f"marked as published, but never sent: {unsent}")


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


async def _lists(database: Database, findings: Findings, accepted: Mapping[str, Job]) -> None:
    found = defaultdict(list)
    for id, element in await database.query("select instance_id, element from chaos_elements order by position"):
        found[id].append(element)
    wanted = {id: list(range(job.arguments[0])) for id, job in accepted.items() if job.workflow.name == "listing"}
    if found != wanted:
        wrong = {id: found.get(id) for id in {*found, *wanted} if found.get(id) != wanted.get(id)}
        findings.failures.append(f"lists: {wrong}")
