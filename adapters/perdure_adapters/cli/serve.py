"""`perdure serve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from perdure_adapters.cli.backend import backend_option
from perdure_adapters.cli.credentials import VARIABLE, authentication, authenticator
from perdure_adapters.cli.target import load_object, target_argument

if TYPE_CHECKING:
    from perdure import App

F = TypeVar("F", bound=Callable[..., Any])


def _asgi(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None or ctx.resilient_parsing:
        return None
    found = load_object(ctx, param, value, "application")
    if not callable(found):
        raise click.BadParameter(f"{value!r} cannot be called; name an ASGI application", ctx, param)
    return found


_SECONDS = click.FloatRange(min=0, max=86_400)

_OPTIONS = [
    click.option(
        "--bind",
        "-b",
        multiple=True,
        default=["127.0.0.1:8000"],
        show_default=True,
        metavar="ADDRESS",
        help="HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER; may be given several times.",
    ),
    click.option(
        "--workers",
        "-w",
        type=click.IntRange(1, 256),
        metavar="N",
        help="N processes that share the address, under a supervisor, which replaces those that crash. SIGHUP to it "
        "replaces all, one by one, with the code as it is then. Without it there is one process, and no supervisor.",
    ),
    click.option(
        "--asgi",
        callback=_asgi,
        metavar="MODULE:NAME",
        help="Serve this ASGI application, which mounts ingress(app) where you like, instead of the ingress alone. "
        "It says itself who may call.",
    ),
    click.option(
        "--token-file",
        metavar="PATH",
        help=f"Callers send `Authorization: Bearer TOKEN`. The file holds the tokens that are good, one a line. "
        f"Or one is in the environment, as {VARIABLE}.",
    ),
    click.option(
        "--hmac-secret-file", metavar="PATH", help="Callers sign their requests. The file holds secrets, one a line."
    ),
    click.option(
        "--authenticate",
        callback=authenticator,
        metavar="MODULE:NAME",
        help="An `async (scope) -> name or None` that says who calls.",
    ),
    click.option(
        "--insecure-no-auth",
        is_flag=True,
        help="Anybody who reaches the address may send events and cancel instances. Without authentication it is "
        "otherwise refused to listen for other machines, or to answer what a proxy passes on.",
    ),
    click.option("--certfile", metavar="PATH", help="The certificate, and its chain, for TLS."),
    click.option("--keyfile", metavar="PATH", help="Its private key."),
    click.option(
        "--grace",
        type=_SECONDS,
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="What requests get to end, at shutdown. After them activities get App(drain=...).",
    ),
    click.option(
        "--drain-delay",
        type=_SECONDS,
        default=0.0,
        show_default=True,
        metavar="SECONDS",
        help="At shutdown, go on for so long while /health/ready says 503, until load balancers have seen it.",
    ),
    click.option("--access-log", is_flag=True, help="Log each request."),
    click.option("--max-body", type=click.IntRange(1), metavar="BYTES", help="Of one request.  [default: 1048576]"),
    click.option("--max-batch", type=click.IntRange(1), metavar="N", help="Events in one request.  [default: 1000]"),
    click.option(
        "--max-requests",
        type=click.IntRange(1),
        default=2000,
        show_default=True,
        metavar="N",
        help="Under way at once, in one process; further ones get 503.",
    ),
    click.option(
        "--idle",
        type=click.FloatRange(min=0.1, max=86_400),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="Close connections that take longer to send a request's headers, or the next request.",
    ),
    click.option(
        "--backlog",
        type=click.IntRange(1),
        default=1024,
        show_default=True,
        metavar="N",
        help="Connections that the system keeps until they are accepted.",
    ),
    click.option("--leash", hidden=True),
]


def _options(fn: F) -> F:
    for option in reversed(_OPTIONS):
        fn = option(fn)
    return fn


@click.command("serve")
@target_argument
@backend_option
@_options
def serve(
    app: App,
    backend: str,
    bind: tuple[str, ...],
    workers: int | None,
    asgi: Any,
    token_file: str | None,
    hmac_secret_file: str | None,
    authenticate: Any,
    insecure_no_auth: bool,
    max_body: int | None,
    max_batch: int | None,
    leash: str | None,
    **settings: Any,
) -> int:
    """Run a worker that takes CloudEvents over HTTP, until SIGTERM or Ctrl-C, then drain.

    POST / takes events; /health/live and /health/ready answer load balancers; /openapi.json tells the rest.

    At the first signal /health/ready says 503, then no more connections are taken, requests under way get --grace
    seconds to end, and after them activities get the app's `drain` time. A second signal ends the draining. The exit
    code is 0 after an orderly end, 1 when it could not listen or start, 2 for wrong usage.
    """
    try:
        from perdure_adapters.asgi import ingress
        from perdure_adapters.cli.service import Service
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    if (settings["certfile"] is None) != (settings["keyfile"] is None):
        raise click.UsageError("TLS needs a certificate and its key; give both --certfile and --keyfile")
    if asgi is None:
        caller = authentication(token_file, hmac_secret_file, authenticate)
        if caller is not None and insecure_no_auth:
            raise click.UsageError("--insecure-no-auth, and yet there is a way to authenticate; leave out one of them")
        guarded = caller is not None or insecure_no_auth
        sizes: dict[str, Any] = {"max_body": max_body, "max_batch": max_batch}
        sizes = {name: size for name, size in sizes.items() if size is not None}
        served = ingress(app, authenticate=caller, insecure=insecure_no_auth, **sizes)
    elif any((token_file, hmac_secret_file, authenticate, insecure_no_auth, max_body, max_batch)):
        raise click.UsageError("with --asgi the application sets up its ingress itself; say this in ingress(...) there")
    else:
        served, guarded = asgi, True
    if workers is not None and app.url.startswith("memory:"):
        raise click.UsageError(
            "memory:// is the memory of one process, so workers would know nothing of each other; leave out --workers, "
            "or give the app a database, as in sqlite:///app.db"
        )
    service = Service(app=app, served=served, backend=backend, **settings)
    if leash is not None:
        return service.on(leash)
    return service.at(bind, workers, guarded=guarded)
