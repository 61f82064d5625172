"""Who is let in: tokens, signatures, this machine alone; and pages in browsers never."""

from __future__ import annotations

import uuid
from typing import Any

import httpx2
import pytest
from starlette.types import Scope

from asgi.shop import STRUCTURED, WORKFLOWS, calling, event, problem, waits
from perdure import App, StoreUnavailable, UsageError
from perdure_adapters.asgi import bearer_token, hmac_signature, ingress

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

OLD, NEW = "an-old-token-of-mine", "a-new-token-of-mine"
PATHS = [
    ("POST", "/"),
    ("GET", "/instances/it"),
    ("POST", "/cancel/it"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/"),
]


def _app() -> App:
    return App(f"memory://{uuid.uuid4().hex}", workflows=WORKFLOWS)


async def _post(client: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    return await client.post("/", json=event(), headers={"content-type": STRUCTURED, **headers})


async def test_tokens() -> None:
    async def directory(token: str) -> str | None:
        return "ada" if token == "asked" else None

    async with _app() as app, calling(app, authenticate=bearer_token(OLD, NEW, directory)) as client:
        for token in (OLD, NEW, "asked"):
            assert (await _post(client, {"authorization": f"Bearer {token}"})).status_code == 202
        for bad in ("", "Bearer", "Bearer ", f"Basic {OLD}", f"Bearer {OLD}x", f"Bearer {OLD[:-1]}", "Bearer é"):
            response = await client.post("/", headers=[(b"authorization", bad.encode())])
            problem(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
        twice = [("authorization", f"Bearer {OLD}"), ("authorization", f"Bearer {NEW}")]
        problem(await client.post("/", headers=twice), 401)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_all_but_health_is_covered(method: str, path: str) -> None:
    async with _app() as app, calling(app, authenticate=bearer_token(OLD)) as client:
        problem(await client.request(method, path), 401)
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


async def test_what_an_authenticator_may_say() -> None:
    said: list[Any] = []

    async def authenticate(scope: Scope) -> str | None:
        assert scope["type"] == "http"
        answer = said[-1]
        if isinstance(answer, Exception):
            raise answer
        name: str | None = answer
        return name

    async with _app() as app, calling(app, authenticate=authenticate) as client:
        for answer, status in [
            (None, 401),
            ("", 401),
            (True, 401),
            (PermissionError("not you, Eve"), 403),
            (ValueError("the secret is xyzzy"), 500),
            (StoreUnavailable("the secret is xyzzy"), 503),
        ]:
            said.append(answer)
            detail = problem(await client.post("/"), status)
            assert "xyzzy" not in detail and "Eve" not in detail
        said.append("ada")
        assert (await _post(client, {})).status_code == 202


SECRET, OTHER = "sixteen bytes are the least", b"\x00" * 32


async def test_signatures() -> None:
    signer, other = hmac_signature(SECRET), hmac_signature(OTHER)
    body = b'{"specversion":"1.0","id":"1","source":"/s","type":"seen"}'
    head = {"content-type": STRUCTURED}
    async with _app() as app, calling(app, authenticate=hmac_signature(OTHER, SECRET)) as client:
        for one in (signer, other):
            signed = one.sign(body, headers=head)
            assert (await client.post("/", content=body, headers={**head, **signed})).status_code == 202
        good = signer.sign(body, headers=head)
        (value,) = good.values()
        for name, headers, text in [
            ("nothing", {}, body),
            ("another body", good, body.replace(b'"1"', b'"2"')),
            ("another content type", {**good, "content-type": "application/cloudevents-batch+json"}, body),
            ("an attribute more", {**good, "ce-id": "1"}, body),
            ("another secret", hmac_signature("x" * 16).sign(body, headers=head), body),
            ("another path", signer.sign(body, headers=head, path="/cancel/it"), body),
            ("another method", signer.sign(body, headers=head, method="GET"), body),
            ("long ago", signer.sign(body, headers=head, at=1_000_000_000), body),
            ("in the future", signer.sign(body, headers=head, at=10_000_000_000), body),
            ("another moment", {"perdure-signature": value.replace("t=", "t=0")}, body),
            ("malformed", {"perdure-signature": "t=x,v1=y"}, body),
        ]:
            response = await client.post("/", content=text, headers={**head, **headers})
            assert response.status_code == 401, name
            problem(response, 401)
        handle = await app.start(waits.options(id="é/1"))
        looked = await client.get("/instances/é/1", headers=signer.sign(method="GET", path="/instances/é/1"))
        assert looked.status_code == 200
        binary = {
            "ce-specversion": "1.0",
            "ce-id": "7",
            "ce-source": "/s",
            "ce-type": "seen",
            "content-type": "text/plain",
        }
        signed = signer.sign(b"x", headers=binary)
        assert (await client.post("/", content=b"x", headers={**binary, **signed})).status_code == 202
        problem(await client.post("/", content=b"x", headers={**binary, **signed, "ce-type": "paid"}), 401)
        document = await client.get("/openapi.json", headers=signer.sign(method="GET", path="/openapi.json"))
        caller = document.json()["components"]["securitySchemes"]["caller"]
        assert caller == {"type": "apiKey", "in": "header", "name": "perdure-signature"}
        signed = signer.sign(path="/cancel/é/1")
        assert (await client.post("/cancel/%C3%A9%2F1", headers=signed)).status_code == 202
        assert (await handle.info()).cancel_requested


async def test_a_signature_has_a_form_that_others_can_make() -> None:
    """The lines of the documentation, by hand."""
    import hashlib
    import hmac

    text = "1700000000\nPOST\n/\nce-a:2\nce-a1:1\ncontent-type:text/plain\n\nhello"
    digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers = {"Content-Type": "text/plain", "Ce-A1": "1", "ce-a": "2", "date": "today"}
    signed = hmac_signature(SECRET, header="X-Signature").sign(b"hello", headers=headers, at=1700000000.9)
    assert signed == {"x-signature": f"t=1700000000,v1={digest}"}


async def test_what_cannot_be_right_is_said_at_once() -> None:
    app = _app()
    for call in (
        bearer_token,
        lambda: bearer_token("short"),
        hmac_signature,
        lambda: hmac_signature("short"),
        lambda: ingress(app, max_body=0),
        lambda: ingress(app, max_batch=0),
        lambda: ingress(app, authenticate=bearer_token(OLD), insecure=True),
    ):
        with pytest.raises(UsageError):
            call()


async def _from(
    server: Any, host: str, client: Any = ("10.0.0.9", 5), *, more: tuple[str, ...] = (), insecure: bool = False
) -> int:
    """The status that a caller gets whose connection came to this address."""
    headers = [(b"host", host.encode()), *((name.encode(), b"x") for name in more)]
    scope = {"type": "http", "method": "GET", "path": "/instances/nobody", "headers": headers}
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("there is nothing to read")

    async def send(message: Any) -> None:
        sent.append(message)

    async with _app() as app:
        await ingress(app, insecure=insecure)({**scope, "server": server, "client": client}, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize(
    ("server", "host", "client"),
    [
        (("127.0.0.1", 80), "127.0.0.1", ("127.0.0.1", 9)),
        (("127.8.0.1", 80), "localhost:80", ("127.0.0.1", 9)),
        (("::1", 80), "[::1]:80", ("::1", 9)),
        (("::ffff:127.0.0.1", 80), "orders.localhost", ("::1", 9)),
        (("/run/perdure.sock", None), "localhost", None),
        (None, "localhost", None),
    ],
    ids=str,
)
async def test_without_authentication_this_machine_is_let_in(server: Any, host: str, client: Any) -> None:
    assert await _from(server, host, client) == 404


@pytest.mark.parametrize(
    ("server", "host", "more"),
    [
        (("10.0.0.1", 80), "127.0.0.1", ()),
        (("testserver", 80), "testserver", ()),
        (("localhost", 80), "localhost", ()),  # an address says where it came in, a name only what was asked for
        (("127.0.0.1", 80), "attacker.example", ()),  # a page whose name leads here
        (("127.0.0.1", 80), "127.0.0.1.attacker.example", ()),
        (("127.0.0.1", 80), "[::", ()),
        (("127.0.0.1", 80), "", ()),
        (("127.0.0.1", 80), "127.0.0.1", ("x-forwarded-for",)),
        (("127.0.0.1", 80), "127.0.0.1", ("forwarded",)),
        (("/run/perdure.sock", None), "localhost", ("x-real-ip",)),
        (("/run/perdure.sock", None), "orders.example.com", ()),  # who may write there may pass on what strangers say
        (None, "127.0.0.1", ()),
    ],
    ids=str,
)
async def test_without_authentication_strangers_are_not(server: Any, host: str, more: tuple[str, ...]) -> None:
    assert await _from(server, host, more=more) == 403
    assert await _from(server, host, more=more, insecure=True) == 404


async def test_pages_of_other_sites_cannot_change_anything() -> None:
    async with _app() as app, calling(app) as client:
        await app.start(waits.options(id="it"))
        for headers in (
            {"origin": "https://attacker.example"},
            {"origin": "null"},
            {"origin": "http://["},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1"},
        ):
            problem(await client.post("/cancel/it", headers=headers), 403)
        looked = await client.get("/instances/it", headers={"origin": "https://attacker.example"})
        assert looked.status_code == 200 and not looked.json()["cancel_requested"]
        assert not [name for name in looked.headers if name.startswith("access-control")]
        for headers in ({"origin": "http://127.0.0.1"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
            assert (await _post(client, headers)).status_code == 202
        assert (await client.post("/cancel/it")).status_code == 202
