"""Log records that say which instance they are about."""

from __future__ import annotations

import logging

from perdure.definitions.ambient import running_activity
from perdure.machine.machine import current

#: What the filter adds to a record.
_LABELS = ("instance_id", "workflow", "run", "step", "attempt", "is_replaying")


class LogFilter(logging.Filter):
    """Gives every record `instance_id`, `workflow`, `run`, `step`, `attempt` and `is_replaying`, of the code that logs.

    Add it to a handler (to a logger it would not see what its children log), or to the QueueHandler where there is
    one: it has to run where the record is made. `step` is the activity's number in the run, or how many things the
    workflow has asked for by then; `attempt` is None in a workflow. Outside of both all are None, except
    for what perdure itself says of an instance. With `replayed=False` what workflow code logs again when it is replayed
    is dropped; where it cannot be known whether it was logged before, as after a crash, it is logged.
    """

    def __init__(self, *, replayed: bool = True) -> None:
        super().__init__()
        self._replayed = replayed

    def filter(self, record: logging.LogRecord) -> bool:
        machine = current()
        running = running_activity.get(None) if machine is None else None
        labels: tuple[object, ...] = (None,) * len(_LABELS)
        if machine is not None:
            replaying = machine.position <= machine.head
            if not self._replayed and machine.position <= machine.seen:
                return False
            name, run = machine.program.name, machine.run_number
            labels = (machine.instance_id, name, run, machine.last, None, replaying)
        elif running is not None:
            info = running.info()
            labels = (info.instance_id, info.workflow, info.run, info.step, info.attempt, False)
        for name, value in zip(_LABELS, labels, strict=True):
            if not hasattr(record, name):  # perdure's own say it themselves
                setattr(record, name, value)
        return True
