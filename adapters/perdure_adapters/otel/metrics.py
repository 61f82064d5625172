"""What is counted and measured. Durations are in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from perdure.hooks import Gauges

#: Bounds of what lies between a commit and a long wait.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Instruments by what they are for. `workers` are those that are open."""

    def __init__(self, meter: Meter) -> None:
        self.workers: list[Gauges] = []
        self.started = meter.create_counter("perdure.workflow.started", "{workflow}", "Instances started")
        self.completed = meter.create_counter("perdure.workflow.completed", "{workflow}", "Instances completed")
        self.failed = meter.create_counter("perdure.workflow.failed", "{workflow}", "Instances failed")
        self.cancelled = meter.create_counter("perdure.workflow.cancelled", "{workflow}", "Instances cancelled")
        self.stuck = meter.create_counter("perdure.workflow.stuck", "{workflow}", "Times that an instance got stuck")
        self.resumed = meter.create_counter("perdure.workflow.resumed", "{workflow}", "Times that one was rebuilt")
        self.activities_failed = meter.create_counter("perdure.activity.failed", "{activity}", "Failed for good")
        self.retries = meter.create_counter("perdure.activity.retries", "{retry}", "Retries scheduled")
        self.interruptions = meter.create_counter(
            "perdure.activity.interruptions", "{interruption}", "Attempts whose worker or database was lost"
        )
        self.published = meter.create_counter("perdure.outbox.published", "{event}", "Events published")
        self.unpublished = meter.create_counter("perdure.outbox.retries", "{retry}", "Events to be tried again")
        self.dead = meter.create_counter("perdure.outbox.dead", "{event}", "Events given up")
        self.leases_lost = meter.create_counter("perdure.lease.lost", "{partition}", "Partitions lost")

        def seconds(name: str, description: str) -> Callable[..., None]:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_BOUNDS).record

        self.run_duration = seconds("perdure.workflow.duration", "From a run's start to its end")
        self.activity_duration = seconds("perdure.activity.duration", "From when it was asked for to its result")
        self.commit_duration = seconds("perdure.commit.duration", "One transaction of the worker's")
        self.timer_lag = seconds("perdure.timer.lag", "How late a timer fired")
        self.inbox_lag = seconds("perdure.inbox.lag", "From sending a message to its receipt by the code")
        self.outbox_age = seconds("perdure.outbox.age", "From emitting an event to its being published")
        self.commit_turns = meter.create_histogram(
            "perdure.commit.turns", "{turn}", "Turns in one transaction", explicit_bucket_boundaries_advisory=_SIZES
        ).record

        self._gauge(meter, "perdure.worker.instances", "{workflow}", "In memory", lambda one: one.resident)
        self._gauge(meter, "perdure.worker.ready", "{workflow}", "Waiting for a turn", lambda one: one.ready)
        self._gauge(meter, "perdure.worker.activities", "{attempt}", "Under way", lambda one: one.activities)
        self._gauge(meter, "perdure.worker.partitions", "{partition}", "Under the lease", lambda one: one.partitions)
        self._gauge(meter, "perdure.lease.age", "s", "Since the lease was renewed", lambda one: one.lease_age)
        self._gauge(
            meter, "perdure.outbox.oldest", "s", "The oldest event it is to publish", lambda one: one.outbox_age
        )

    def _gauge(self, meter: Meter, name: str, unit: str, description: str, read: Callable[[Gauges], float]) -> None:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(read(one), {"perdure.worker": one.worker_id, "perdure.service": one.service})
                for one in list(self.workers)
            ]

        meter.create_observable_gauge(name, [observe], unit, description)
