"""CloudEvents in over HTTP, and a look at instances, as an ASGI application. It needs `perdure[asgi]`."""

from __future__ import annotations

try:
    from perdure_adapters.asgi.bearer import bearer_token
    from perdure_adapters.asgi.callers import Authenticator
    from perdure_adapters.asgi.ingress import ingress
    from perdure_adapters.asgi.signature import hmac_signature
except ModuleNotFoundError as error:
    raise ImportError(
        f"the ingress needs {error.name}, which is not installed; install perdure[asgi], or for perdure serve "
        "perdure[cli,serve]"
    ) from error

__all__ = ["Authenticator", "bearer_token", "hmac_signature", "ingress"]
