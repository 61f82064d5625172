"""The final account: what the histories record against what the effects file saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from attrs import frozen

from perdure import HistoryEvent
from perdure_adapters.cli.demo.effects import Effect
from perdure_adapters.cli.demo.workflow import Order

#: Events that allow a step to be started once more.
_STARTS_AGAIN = ("StepInterrupted", "AttemptFailed")


@frozen(kw_only=True)
class Account:
    """`interrupted` steps were under way at a kill, and ran again under the same idempotency key.
    `repeated` ones were started although their result was recorded. An order is lost when it did
    not complete, or lacks a step.
    """

    orders: int
    completed: int
    steps: int
    recorded: int
    kills: int
    interrupted: int
    repeated: int
    lost: int

    @property
    def good(self) -> bool:
        return self.completed == self.orders and self.recorded == self.steps and not self.repeated and not self.lost


def settle(
    orders: Sequence[Order],
    histories: Mapping[str, Sequence[HistoryEvent]],
    effects: Sequence[Effect],
    kills: int,
) -> Account:
    starts: dict[tuple[str, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        if effect.phase == "started":
            starts[effect.order, effect.step].append(effect)
    completed = recorded = interrupted = repeated = lost = 0
    for order in orders:
        history = histories.get(order.id, ())
        ended = bool(history) and history[-1].kind == "WorkflowCompleted"
        results = [event for event in history if event.kind == "StepCompleted"]
        steps = [event.data["step"] for event in results]
        completed += ended
        recorded += len(set(steps) & set(order.steps))
        repeated += len(steps) - len(set(steps))
        lost += not ended or set(steps) != set(order.steps)
        for result in results:
            began = starts[order.id, result.data["step"]]
            if _is_repeated(result, history, began):
                repeated += 1
            elif len(began) > 1:
                interrupted += 1
    return Account(
        orders=len(orders),
        completed=completed,
        steps=sum(len(order.steps) for order in orders),
        recorded=recorded,
        kills=kills,
        interrupted=interrupted,
        repeated=repeated,
        lost=lost,
    )


def _is_repeated(result: HistoryEvent, history: Sequence[HistoryEvent], starts: Sequence[Effect]) -> bool:
    """Whether the step was started after its result was recorded, more often than history accounts
    for, or under another idempotency key.

    The count needs no clock; the times find what an interruption that never started would hide.
    """
    allowed = 1 + sum(event.kind in _STARTS_AGAIN and event.command == result.command for event in history)
    recorded_at = int(result.at.timestamp() * 1e6)
    return len(starts) > allowed or any(
        start.at > recorded_at or start.key != result.data["reference"] for start in starts
    )
