"""`perdure verify`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import json_option, print_json, print_line, printable, quietly
from perdure_adapters.cli.progress import Progress
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App, Verdict

_COLUMNS = ("id", "workflow", "version", "status", "fate", "event", "step", "code", "where", "error")
_FATES = {"stuck": "would be stuck", "fails": "would fail", "blocks": "blocks"}


class _Findings:
    """Prints what is wrong as it is found, and counts."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.kept: list[dict[str, Any]] = []
        self.fates: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.resuming = 0
        self._begun = False

    @property
    def bad(self) -> int:
        return sum(self.fates[fate] for fate in _FATES)

    def add(self, verdict: Verdict, progress: Progress) -> None:
        self.fates[verdict.fate] += 1
        if verdict.fate == "unknown":
            self.unknown[verdict.workflow] += 1
        elif verdict.fate == "fits":
            self.resuming += verdict.status == "stuck"
        elif self.as_json:
            self.kept.append(_fields(verdict))
        else:
            progress.clear()
            self._print(verdict)

    def _print(self, verdict: Verdict) -> None:
        if not sys.stdout.isatty():
            if not self._begun:
                print_line(_COLUMNS)
            fields = _fields(verdict)
            fields |= {"id": verdict.instance_id, "error": None if verdict.step else verdict.error}
            print_line([fields[name] for name in _COLUMNS])
        else:
            version = f", version {verdict.version}" if verdict.version else ""
            at = f" at event {verdict.event}" if verdict.event else ""
            click.secho(f"{verdict.instance_id} ({verdict.workflow}{version}) {_FATES[verdict.fate]}{at}", fg="red")
            known = {"history:": verdict.step, "code:": verdict.code, "at:": verdict.where}
            for name, text in known.items() if verdict.step else (("", verdict.error),):
                click.echo(printable(f"  {name:<8} {text}" if name else f"  {text}"))
        self._begun = True

    def summary(self) -> str:
        parts = [f"{self.fates['fits']:,} fit"]
        if self.resuming:
            parts[0] += f" ({self.resuming:,} of them stuck now)"
        parts += [f"{self.fates[fate]:,} {text}" for fate, text in _FATES.items() if self.fates[fate]]
        parts += [f"{count:,} of workflow {name!r}, unknown to this app" for name, count in self.unknown.items()]
        total = self.fates.total()
        if not total:
            return "no live instances"
        return f"{total:,} live instance{'' if total == 1 else 's'}: {', '.join(parts)}"


@click.command("verify")
@target_argument
@click.option("--workflow", help="Only instances of this workflow.")
@click.option(
    "--patience",
    type=click.FloatRange(0.01, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the code may compute before it counts as blocking.",
)
@json_option
def verify(app: App, workflow: str | None, patience: float, as_json: bool) -> int:
    """Run today's code on every live instance's events, and say which would be stuck.

    Read only: nothing is written, and no activity runs. Exits with 1 if an instance would be stuck, would fail at
    once, or if its code blocks, naming the step. Instances of workflows that this app does not know are counted apart.
    """
    findings = _Findings(as_json)

    async def go() -> None:
        async with Client(app) as client:
            if workflow is not None:
                client.workflow(workflow)
            with Progress() as progress:
                verdicts = client.app.verify(workflow=workflow, patience=patience)
                while True:
                    with quietly():
                        verdict = await anext(verdicts, None)
                    if verdict is None:
                        break
                    findings.add(verdict, progress)
                    progress.tell(findings.summary())

    run_async(go)
    if as_json:
        print_json(
            {
                "checked": findings.fates.total(),
                "fits": findings.fates["fits"],
                "resuming": findings.resuming,
                "unknown": dict(findings.unknown),
                "findings": findings.kept,
            }
        )
    else:
        click.echo(findings.summary(), err=True)
    return 1 if findings.bad else 0


def _fields(verdict: Verdict) -> dict[str, Any]:
    return {
        "instance_id": verdict.instance_id,
        "workflow": verdict.workflow,
        "version": verdict.version,
        "run": verdict.run,
        "status": verdict.status,
        "fate": verdict.fate,
        "event": verdict.event,
        "step": verdict.step,
        "code": verdict.code,
        "where": verdict.where,
        "error": verdict.error,
    }
