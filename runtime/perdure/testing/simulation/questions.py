"""Questions: answered at most once, with what was replied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from perdure.machine.events import QuestionAnswered, QuestionAsked, Replied
from perdure.testing.simulation.ledger import Ledger, Told, Violation

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World


def check_questions(world: World, ledger: Ledger) -> None:
    """Raises Violation."""
    replies: dict[str, Told] = {}
    for told in ledger.order:
        if isinstance(told.event, Replied):
            if told.event.id in replies:
                raise Violation(f"question {told.event.id} was answered twice")
            sent = ledger.sent.get(told.event.id)
            if sent is not None and sent.target != told.at.instance:
                raise Violation(f"question {told.event.id} is for {sent.target}, and {told.at.instance} answered it")
            replies[told.event.id] = told
    asked: dict[tuple[str, int, int], str] = {}
    answered: set[tuple[str, int, int]] = set()
    for told in ledger.order:
        place = told.at.instance, told.at.run, told.event.key()[0] or 0
        if isinstance(told.event, QuestionAsked):
            asked[place] = told.event.id
        elif isinstance(told.event, QuestionAnswered):
            if place in answered:
                raise Violation(f"question {asked[place]} of {told.at.instance} has two answers")
            answered.add(place)
            _check(asked[place], "value" in orjson.loads(told.event.answer), replies)
            reply = replies.get(asked[place])
            if reply is not None and reply.at.moment > told.at.moment:
                raise Violation(f"question {asked[place]} was answered before it was replied to")
    for id, value in world.replies.items():
        _check(id, value, replies)


def _check(id: str, value: bool, replies: dict[str, Told]) -> None:
    if value != (id in replies):
        raise Violation(f"question {id} was answered with {'a value' if value else 'an error'}, and its reply was not")
