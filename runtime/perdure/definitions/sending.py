"""Messages from inside workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure.machine.machine import Machine
from perdure.machine.messages import Ask, Send
from perdure.mail.envelopes import envelope


async def send_from(machine: Machine, to: str, channel: str, data: object, metadata: Mapping[str, str] | None) -> None:
    message_id = machine.next_id
    text = envelope(
        message_id,
        channel,
        data,
        metadata,
        sender=machine.instance_id,
        at=machine.now,
        trace=machine.trace_context,
        max_payload=machine.max_payload,
    )
    command = Send(channel, to, message_id, text)
    machine.issue(command)
    await command


async def ask_from(machine: Machine, to: str, channel: str, data: object) -> Any:
    """The answer as it came."""
    ask_id = machine.next_id
    ask = {"id": ask_id, "instance": machine.instance_id, "run": machine.run_number, "command": machine.last + 1}
    text = envelope(
        ask_id,
        channel,
        data,
        None,
        sender=machine.instance_id,
        at=machine.now,
        trace=machine.trace_context,
        ask=ask,
        max_payload=machine.max_payload,
    )
    command = Ask(channel, to, ask_id, text)
    machine.issue(command)
    return await command
