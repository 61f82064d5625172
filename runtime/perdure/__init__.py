"""Durable workflows as event-sourced actors."""

from perdure.app import App
from perdure.definitions.activity import Activity, SyncActivity, activity
from perdure.definitions.ambient import ActivityInfo
from perdure.definitions.retry import Retry
from perdure.definitions.workflow import Workflow, workflow
from perdure.durations import Seconds
from perdure.errors import (
    ActivityFailed,
    ChannelModeConflict,
    Conflict,
    DuplicateDefinition,
    ForeignAwait,
    InstanceNotFound,
    InvalidInput,
    LeaseLost,
    NonDeterminism,
    NotCancellable,
    NotDurableWarning,
    PerdureError,
    RetryExhausted,
    StoreError,
    StoreUnavailable,
    TerminalError,
    UnknownWorkflow,
    UsageError,
    WorkflowCancelled,
    WorkflowFailed,
)
from perdure.handle import Handle
from perdure.instances import HistoryEvent, InstanceInfo, Page, Status
from perdure.operations.concurrency import Task, TaskGroup, Winner, fan_out, gather, race, shield
from perdure.operations.context import WorkflowInfo, activity_info, info, patched, random, rng, uuid4
from perdure.operations.time import now, sleep, sleep_until, timeout

__all__ = [
    "Activity",
    "ActivityFailed",
    "ActivityInfo",
    "App",
    "ChannelModeConflict",
    "Conflict",
    "DuplicateDefinition",
    "ForeignAwait",
    "Handle",
    "HistoryEvent",
    "InstanceInfo",
    "InstanceNotFound",
    "InvalidInput",
    "LeaseLost",
    "NonDeterminism",
    "NotCancellable",
    "NotDurableWarning",
    "Page",
    "PerdureError",
    "Retry",
    "RetryExhausted",
    "Seconds",
    "Status",
    "StoreError",
    "StoreUnavailable",
    "SyncActivity",
    "Task",
    "TaskGroup",
    "TerminalError",
    "UnknownWorkflow",
    "UsageError",
    "Winner",
    "Workflow",
    "WorkflowCancelled",
    "WorkflowFailed",
    "WorkflowInfo",
    "activity",
    "activity_info",
    "fan_out",
    "gather",
    "info",
    "now",
    "patched",
    "race",
    "random",
    "rng",
    "shield",
    "sleep",
    "sleep_until",
    "timeout",
    "uuid4",
    "workflow",
]
