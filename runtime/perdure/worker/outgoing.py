"""What an activity sends, kept until its result is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from attrs import define, field

from perdure.cloudevents.emitting import emission, traced
from perdure.mail.envelopes import envelope
from perdure.ports import Mail, Post, Publication


@define
class AttemptMail:
    """The messages of one attempt. `key` makes their ids unique. `now` is in microseconds, `trace` a trace context."""

    key: str
    sender: str
    now: Callable[[], int]
    max_payload: int
    trace: Callable[[], dict[str, str] | None] = lambda: None
    mail: Mail = field(factory=Mail)
    _count: int = 0

    def publish(self, channel: str, data: object, metadata: Mapping[str, str] | None) -> None:
        self.mail.publications.append(Publication(channel, self._envelope(channel, data, metadata)))

    def send(self, to: str, channel: str, data: object, metadata: Mapping[str, str] | None) -> None:
        self.mail.posts.append(Post(to, "message", self._envelope(channel, data, metadata), channel))

    def emit(
        self,
        type: str,
        data: object,
        source: str,
        subject: str | None,
        id: str | None,
        time: datetime | None,
        extensions: Mapping[str, str | int | bool],
    ) -> None:
        self._count += 1
        made = emission(
            type,
            data,
            source=source,
            subject=subject,
            id=id if id is not None else f"{self.key}.{self._count}",
            time=time,
            extensions=traced(extensions, self.trace()),
            now=self.now(),
            max_payload=self.max_payload,
        )
        self.mail.emissions.append(made)

    def _envelope(self, channel: str, data: object, metadata: Mapping[str, str] | None) -> str:
        self._count += 1
        return envelope(
            f"{self.key}.{self._count}",
            channel,
            data,
            metadata,
            at=self.now(),
            sender=self.sender,
            trace=self.trace(),
            max_payload=self.max_payload,
        )
