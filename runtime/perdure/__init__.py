"""Durable workflows as event-sourced actors."""

from perdure.app import App
from perdure.blocking.app import SyncApp, SyncHandle, SyncUsing
from perdure.cloudevents.intake import Delivered
from perdure.cloudevents.outbox import OutboxRow
from perdure.cloudevents.publishing import Publisher, Unpublished
from perdure.definitions.activity import Activity, SyncActivity, activity
from perdure.definitions.ambient import ActivityInfo
from perdure.definitions.retry import Retry
from perdure.definitions.sessions import Session
from perdure.definitions.workflow import Workflow, workflow
from perdure.durations import Seconds
from perdure.errors import (
    ActivityFailed,
    ChannelModeConflict,
    Conflict,
    DuplicateDefinition,
    ForeignAwait,
    InstanceEnded,
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
from perdure.hooks import Hooks
from perdure.inspection.explaining import Owner, Why
from perdure.inspection.health import Health
from perdure.inspection.timeline import Step
from perdure.inspection.verification import Verdict
from perdure.inspection.waits import Wait
from perdure.instances import CompensationInfo, HistoryEvent, InstanceInfo, Page, Status
from perdure.logs import LogFilter
from perdure.operations.children import recur, spawn
from perdure.operations.concurrency import Task, TaskGroup, Winner, fan_out, gather, race, shield
from perdure.operations.context import WorkflowInfo, activity_info, info, patched, random, rng, uuid4
from perdure.operations.emitting import emit
from perdure.operations.events import Event, wait_event
from perdure.operations.messages import Message, messages, publish, receive, send, subscribe, unsubscribe
from perdure.operations.sagas import compensate
from perdure.operations.sessions import session
from perdure.operations.time import now, sleep, sleep_until, timeout
from perdure.stopping import Stopping
from perdure.using import Using

__all__ = [
    "Activity",
    "ActivityFailed",
    "ActivityInfo",
    "App",
    "ChannelModeConflict",
    "CompensationInfo",
    "Conflict",
    "Delivered",
    "DuplicateDefinition",
    "Event",
    "ForeignAwait",
    "Handle",
    "Health",
    "HistoryEvent",
    "Hooks",
    "InstanceEnded",
    "InstanceInfo",
    "InstanceNotFound",
    "InvalidInput",
    "LeaseLost",
    "LogFilter",
    "Message",
    "NonDeterminism",
    "NotCancellable",
    "NotDurableWarning",
    "OutboxRow",
    "Owner",
    "Page",
    "PerdureError",
    "Publisher",
    "Retry",
    "RetryExhausted",
    "Seconds",
    "Session",
    "Status",
    "Step",
    "Stopping",
    "StoreError",
    "StoreUnavailable",
    "SyncActivity",
    "SyncApp",
    "SyncHandle",
    "SyncUsing",
    "Task",
    "TaskGroup",
    "TerminalError",
    "UnknownWorkflow",
    "Unpublished",
    "UsageError",
    "Using",
    "Verdict",
    "Wait",
    "Why",
    "Winner",
    "Workflow",
    "WorkflowCancelled",
    "WorkflowFailed",
    "WorkflowInfo",
    "activity",
    "activity_info",
    "compensate",
    "emit",
    "fan_out",
    "gather",
    "info",
    "messages",
    "now",
    "patched",
    "publish",
    "race",
    "random",
    "receive",
    "recur",
    "rng",
    "send",
    "session",
    "shield",
    "sleep",
    "sleep_until",
    "spawn",
    "subscribe",
    "timeout",
    "unsubscribe",
    "uuid4",
    "wait_event",
    "workflow",
]
