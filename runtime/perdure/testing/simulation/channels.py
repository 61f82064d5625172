"""Channels: who was subscribed when, and who was to get what was published."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perdure.machine.events import (
    ENDINGS,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
    WorkflowContinued,
    WorkflowStarted,
)
from perdure.ports import QUEUED
from perdure.testing.simulation.ledger import Ledger, Sent, Told, Violation

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World


def check_channels(world: World, ledger: Ledger) -> None:
    """Raises Violation."""
    inboxes: dict[str, set[str]] = defaultdict(set)
    for posted in world.log.posted.values():
        request = posted.request
        if request.kind == "message":
            inboxes[posted.message].add("" if request.partition == QUEUED else request.instance_id)
    published = [sent for sent in ledger.sent.values() if sent.target is None]
    happened: list[tuple[int, Told | Sent]] = [(told.at.moment, told) for told in ledger.order]
    happened += [(sent.moment, sent) for sent in published]
    happened.sort(key=lambda one: one[0])
    channels = _Channels(ledger)
    for _, one in happened:
        if isinstance(one, Told):
            channels.follow(one)
        elif one.id not in ledger.uncertain:
            channels.check(one, inboxes[one.id])
    for (channel, instance), mode in world.database.subscriptions.items():
        if channels.subscribed[channel].get(instance) != mode:
            raise Violation(f"{instance} is subscribed to {channel!r} ({mode}), and its stream does not say so")


class _Channels:
    """Within one unit, subscriptions change before anything is published."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._changed = {
            (told.event.name, told.at.instance, told.at.unit)
            for told in ledger.order
            if isinstance(told.event, Subscribed | Unsubscribed)
        }
        self._ends = {(told.at.instance, told.at.unit) for told in ledger.order if isinstance(told.event, ENDINGS)}
        self.subscribed: dict[str, dict[str, str]] = defaultdict(dict)
        self._competing: dict[str, bool] = {}
        self._modes: dict[str, list[tuple[int, str]]] = defaultdict(list)

    def follow(self, told: Told) -> None:
        event, instance = told.event, told.at.instance
        if isinstance(event, Subscribed):
            for other, mode in self.subscribed[event.name].items():
                if other != instance and mode != event.mode:
                    raise Violation(f"{instance} and {other} are both subscribed to {event.name!r}, in opposite modes")
            self.subscribed[event.name][instance] = event.mode
            self._competing[event.name] = event.mode == "competing"
            self._modes[event.name].append((told.at.moment, event.mode))
        elif isinstance(event, Unsubscribed):
            self.subscribed[event.name].pop(instance, None)
        elif isinstance(event, SubscriptionRefused):
            if all(mode == event.mode for _, mode in self._modes[event.name]):
                raise Violation(f"{instance} was refused {event.name!r} ({event.mode}), and nobody had another mode")
        elif isinstance(event, ENDINGS):
            for subscribers in self.subscribed.values():
                subscribers.pop(instance, None)
        elif isinstance(event, WorkflowContinued):
            successor = self._ledger.stories[instance].runs[told.at.run + 1][0].event
            assert isinstance(successor, WorkflowStarted)
            mine = {channel: some[instance] for channel, some in self.subscribed.items() if instance in some}
            if successor.subscriptions != mine:
                raise Violation(f"run {told.at.run} of {instance} had {mine}, the next {successor.subscriptions}")

    def check(self, sent: Sent, inboxes: set[str]) -> None:
        if self._competing.get(sent.channel):
            if inboxes != {""}:
                raise Violation(f"message {sent.id} was not put into the queue of {sent.channel!r}, but {inboxes}")
            return
        subscribers = set(self.subscribed[sent.channel])
        for instance in subscribers ^ inboxes:
            if (sent.channel, instance, sent.unit) not in self._changed and (instance, sent.unit) not in self._ends:
                how = "lacks" if instance in subscribers else "has"
                raise Violation(f"{instance} {how} message {sent.id}, published on {sent.channel!r} by {sent.sender}")
