"""Workflows that the tests talk to, and a way to call an ingress without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from perdure import App, Event, Workflow, activity, receive, wait_event, workflow
from perdure_adapters.asgi import ingress

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def _told(event: Event[Any]) -> dict[str, Any]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(),
        "extensions": dict(event.extensions),
        "data": event.data,
    }


@workflow
async def sees() -> dict[str, Any]:
    return _told(await wait_event("seen"))


@workflow
async def sees_bytes() -> bytes:
    return (await wait_event("seen", bytes)).data


@workflow
async def waits() -> str:
    """Until it is told to end."""
    return str((await receive("end", str)).data)


@activity
async def pack(number: int) -> int:
    return number


@workflow(starts_on="order.created")
async def fulfil(number: int) -> int:
    return await pack(number)


WORKFLOWS: list[Workflow[..., Any]] = [sees, sees_bytes, waits, fulfil]


def event(id: str = "1", **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": "seen", **more}


@asynccontextmanager
async def calling(app: App, **settings: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of `ingress(app, **settings)`, which runs where the test runs."""
    transport = httpx2.ASGITransport(ingress(app, **settings), raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


def problem(response: httpx2.Response, status: int) -> str:
    """Its detail; what it looks like is checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document.keys() == {"type", "title", "status", "detail", "retryable"}
    assert document["status"] == status and document["title"]
    assert document["retryable"] is (status in (408, 429, 500, 503))
    assert ("retry-after" in response.headers) is document["retryable"]
    assert "Traceback" not in response.text and "perdure." not in document["detail"]
    detail: str = document["detail"]
    return detail
