"""The tables that the stores of SQL databases share, with their primary keys. Each has a column `service`."""

from __future__ import annotations

KEYS = {
    "perdure_events": ("service", "instance_id", "run", "seq"),
    "perdure_instances": ("service", "id"),
    "perdure_runs": ("service", "instance_id", "run"),
    "perdure_inbox": ("id",),
    "perdure_channels": ("service", "channel"),
    "perdure_subscriptions": ("service", "channel", "instance_id"),
    "perdure_asks": ("service", "id"),
    "perdure_event_buffer": ("number",),
    "perdure_event_keys": ("service", "key", "number"),
    "perdure_waits": ("service", "key", "instance_id", "command"),
    "perdure_correlations": ("service", "type", "paths"),
    "perdure_seen": ("service", "target", "key"),
    "perdure_outbox": ("number",),
    "perdure_letters": ("id",),
    "perdure_partitions": ("service", '"partition"'),
    "perdure_workers": ("service", "id"),
}
