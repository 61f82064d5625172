"""How far the orders are, folded from their histories and from the effects file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from attrs import define, field, frozen

from perdure import HistoryEvent
from perdure_adapters.cli.demo.effects import Effect
from perdure_adapters.cli.demo.workflow import Order


class State(Enum):
    TODO = "to do"
    RUNNING = "under way"
    CUT = "cut off by a kill"
    AGAIN = "under way again"
    DONE = "done"


@frozen
class News:
    """A step that was recorded as done by this process, perhaps only after a kill had cut it off."""

    order: str
    step: str
    worker: int
    again: bool


@define
class OrderProgress:
    """`done` and `running` map steps to the process that did them, or does."""

    order: Order
    done: dict[str, int] = field(factory=dict, init=False)
    running: dict[str, int] = field(factory=dict, init=False)
    cut: set[str] = field(factory=set, init=False)
    completed: bool = field(default=False, init=False)

    def state(self, step: str) -> State:
        if step in self.done:
            return State.DONE
        if step in self.running:
            return State.AGAIN if step in self.cut else State.RUNNING
        return State.CUT if step in self.cut else State.TODO


@define
class Progress:
    orders: dict[str, OrderProgress]

    @classmethod
    def of(cls, orders: Iterable[Order]) -> Progress:
        return cls({order.id: OrderProgress(order) for order in orders})

    @property
    def steps(self) -> int:
        return sum(len(one.order.steps) for one in self.orders.values())

    @property
    def done(self) -> int:
        return sum(len(one.done) for one in self.orders.values())

    @property
    def running(self) -> int:
        return sum(len(one.running) for one in self.orders.values())

    @property
    def unfinished(self) -> list[OrderProgress]:
        return [one for one in self.orders.values() if not one.completed]

    def happened(self, effects: Iterable[Effect]) -> None:
        """What the effects file says is under way. A step is done only when its result is recorded."""
        for effect in effects:
            one = self.orders[effect.order]
            if effect.phase == "started" and effect.step not in one.done:
                one.running[effect.step] = effect.worker

    def recorded(self, order: str, history: Sequence[HistoryEvent]) -> list[News]:
        """What an order's history says that was not known yet."""
        one = self.orders[order]
        news = []
        for event in history:
            if event.kind == "StepCompleted" and event.data["step"] not in one.done:
                step, worker = event.data["step"], event.data["worker"]
                one.done[step] = worker
                one.running.pop(step, None)
                news.append(News(order, step, worker, step in one.cut))
        one.completed = history[-1].kind == "WorkflowCompleted"
        return news

    def killed(self) -> int:
        """The worker is dead: what was under way is cut off. Gives the number of these steps."""
        count = self.running
        for one in self.orders.values():
            one.cut.update(one.running)
            one.running.clear()
        return count
