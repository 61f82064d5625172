"""The server: what is registered with it, and how it is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import mcp_types as t
from mcp.server import Server, ServerRequestContext
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp

from perdure import App, UsageError, Workflow
from perdure_adapters.mcp.answers import answered, protocol
from perdure_adapters.mcp.endpoint import Endpoint
from perdure_adapters.mcp.instances import Instances
from perdure_adapters.mcp.listening import Announcer, Bus
from perdure_adapters.mcp.prompts import Prompts
from perdure_adapters.mcp.registered import Registered, registered
from perdure_adapters.mcp.resources import Resources
from perdure_adapters.mcp.stdio import serve_stdio
from perdure_adapters.mcp.tasks import EXTENSION, TaskParams, Tasks, TaskUpdateParams, knows_tasks
from perdure_adapters.mcp.tools import Tools
from perdure_adapters.mcp.watching import Listen

F = TypeVar("F", bound=Callable[..., Any])

_Context = ServerRequestContext[Any, Any]


class MCPServer:
    """Offers workflows of `app` to clients of the Model Context Protocol: `register` them, then serve with `run_stdio`
    or `asgi`. The app is opened by its owner.

    `name` and `version` are what clients are told, and `instructions`, in words for their models. `token_verifier`
    checks the bearer tokens of callers over HTTP, such as `static_token(...)` does; `auth` describes where tokens come
    from. Raises UsageError for `auth` without `token_verifier`.
    """

    def __init__(
        self,
        app: App,
        *,
        name: str,
        version: str,
        token_verifier: TokenVerifier | None = None,
        auth: AuthSettings | None = None,
        instructions: str | None = None,
    ) -> None:
        if auth is not None and token_verifier is None:
            raise UsageError("MCPServer(auth=...) says where tokens come from; give token_verifier= too, to check them")
        self._app = app
        self._verifier = token_verifier
        self._auth = auth
        self._workflows: dict[str, Registered] = {}
        self._instances = Instances(app, self._workflows)
        self._tools = Tools(self._instances)
        self._tasks = Tasks(self._instances)
        self._resources = Resources(self._instances)
        self._prompts = Prompts(app, self._instances)
        self._bus = Bus()
        announcer = Announcer(self._bus)
        self._sdk: Server[Any] = Server(
            name,
            version=version,
            instructions=instructions,
            lifespan=announcer.lifespan,
            get_tool_input_schema=lambda _: None,  # no argument of ours is asked for in a header
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_subscriptions_listen=Listen(self._bus, self._instances),
        )
        self._sdk.add_notification_handler("notifications/initialized", t.NotificationParams, announcer.initialized)
        self._sdk.extensions[EXTENSION] = {}
        self._sdk.add_request_handler("tasks/get", TaskParams, self._tasks.get)
        self._sdk.add_request_handler("tasks/update", TaskUpdateParams, self._tasks.update)
        self._sdk.add_request_handler("tasks/cancel", TaskParams, self._tasks.cancel)

    @property
    def sdk(self) -> Server[Any]:
        """The SDK's server underneath, for what is not here; a test may give it to the SDK's `Client`."""
        return self._sdk

    def register(self, workflow: Workflow[..., Any], /, *, description: str | None = None) -> None:
        """Offer a workflow: as four tools, `{name}_start`, `_status`, `_result` and `_cancel`; to clients that know
        tasks also as one, by its own name; and its instances as resources.

        `description` is for the client's model, by default the beginning of the function's docstring. Once the server
        serves, call it in its event loop: clients are told. Raises UsageError for a name that cannot be a tool's or is
        one already, for a parameter `instance_id`, and for a workflow that the app does not know.
        """
        one = registered(self._app, workflow, description)
        if one.name in self._workflows:
            raise UsageError(f"workflow {one.name!r} is registered already; register it once")
        taken = {name: other.name for other in self._workflows.values() for name in other.names}
        for name in one.names:
            if name in taken:
                raise UsageError(
                    f"workflows {one.name!r} and {taken[name]!r} would both have a tool {name!r}; rename one, with "
                    "@workflow(name=...)"
                )
        self._workflows[one.name] = one
        self._bus.tell(ToolsListChanged())

    def unregister(self, workflow: Workflow[..., Any], /) -> None:
        """Offer it no longer. Its instances go on. Raises UsageError where it is not registered."""
        if self._workflows.pop(workflow.name, None) is None:
            raise UsageError(f"workflow {workflow.name!r} is not registered; there is nothing to do")
        self._bus.tell(ToolsListChanged())

    def resource(
        self,
        uri_template: str,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
    ) -> Callable[[F], F]:
        """Decorates a function that gives a resource: text, bytes, or data to be written as JSON.

        Its parameters are the variables of the template, "shop://orders/{id}" for one; they are strings. A plain
        function runs in a thread. Raises UsageError.
        """

        def decorate(fn: F) -> F:
            self._resources.add(fn, uri_template, name, description, mime_type)
            self._bus.tell(ResourcesListChanged())
            return fn

        return decorate

    def prompt(self, *, name: str | None = None, description: str | None = None) -> Callable[[F], F]:
        """Decorates a function that gives a prompt: a text, or a list of the SDK's PromptMessage.

        Its parameters are the prompt's arguments; they are strings. Raises UsageError.
        """

        def decorate(fn: F) -> F:
            self._prompts.add(fn, name, description)
            self._bus.tell(PromptsListChanged())
            return fn

        return decorate

    async def run_stdio(self) -> None:
        """Serve the process that has started this one, until it closes stdin, or SIGTERM comes.

        What is printed meanwhile goes to stderr. Raises UsageError where the app is not open.
        """
        await self._app.health()
        await serve_stdio(self._sdk)

    def asgi(self, *, insecure: bool = False, lifespan: bool = False, path: str = "/mcp") -> ASGIApp:
        """An ASGI application that serves MCP at `path`, to be served alone or mounted in another.

        Without `token_verifier` only callers on the same machine are answered, unless `insecure` says that something
        else keeps strangers out. With `lifespan` it opens and closes the app. Raises UsageError.
        """
        if insecure and self._verifier is not None:
            raise UsageError("asgi() takes insecure=True only without token_verifier=; leave out one of them")
        if not path.startswith("/"):
            raise UsageError(f"asgi(path={path!r}): begin it with a slash")
        return Endpoint(
            self._app,
            self._sdk,
            path=path,
            verifier=self._verifier,
            auth=self._auth,
            insecure=insecure,
            lifespan=lifespan,
        )

    async def _list_tools(self, ctx: _Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        tasks = knows_tasks(ctx)
        tools = [tool for one in self._workflows.values() for tool in one.tools.values()]
        return t.ListToolsResult(tools=tools + [one.task for one in self._workflows.values() if tasks])

    async def _call_tool(self, ctx: _Context, params: t.CallToolRequestParams) -> Any:
        arguments = params.arguments or {}
        for one in self._workflows.values():
            for verb, tool in one.tools.items():
                if tool.name == params.name:
                    return await answered(tool.name, self._tools.call(ctx, one, verb, arguments))
            if one.name == params.name and knows_tasks(ctx):
                return await answered(one.name, self._tasks.create(one, arguments))
        raise MCPError(code=t.INVALID_PARAMS, message=f"Unknown tool: {params.name[:200]}")

    async def _list_resources(self, ctx: _Context, params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
        return t.ListResourcesResult(resources=self._resources.plain())

    async def _list_templates(
        self, ctx: _Context, params: t.PaginatedRequestParams | None
    ) -> t.ListResourceTemplatesResult:
        return t.ListResourceTemplatesResult(resource_templates=self._resources.templates())

    async def _read_resource(self, ctx: _Context, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
        with protocol("resources/read"):
            return await self._resources.read(str(params.uri))

    async def _list_prompts(self, ctx: _Context, params: t.PaginatedRequestParams | None) -> t.ListPromptsResult:
        return t.ListPromptsResult(prompts=self._prompts.shown())

    async def _get_prompt(self, ctx: _Context, params: t.GetPromptRequestParams) -> t.GetPromptResult:
        with protocol("prompts/get"):
            return await self._prompts.get(params.name, params.arguments or {})
