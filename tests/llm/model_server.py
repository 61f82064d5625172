"""A model's server for tests and for the example, over OpenAI's protocol: no network, and always the same answers.

    python tests/llm/model_server.py --port 8321

Then `OPENAI_BASE_URL=http://127.0.0.1:8321/v1 OPENAI_API_KEY=x` is all that a program needs to use it.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attrs import define, field, frozen


@frozen
class Reply:
    """`body` is sent as JSON, or as it is if it is text. The server waits `delay` seconds before it answers."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    delay: float = 0.0


@frozen
class Seen:
    """A request. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body["messages"]
        return messages

    @property
    def said(self) -> str:
        """What was said last."""
        return str(self.messages[-1]["content"])


def says(
    text: str | None = None,
    *,
    tools: Sequence[tuple[str, object]] = (),
    usage: tuple[int, int] = (7, 5),
    finish: str | None = None,
    model: str = "offline",
    delay: float = 0.0,
    **message: Any,
) -> Reply:
    """A model's answer. `tools` are names and arguments; arguments that are text are sent as they are."""
    said: dict[str, Any] = {"role": "assistant", "content": text, **message}
    if tools:
        said["tool_calls"] = [
            {
                "id": f"call_{index}_{name}",
                "type": "function",
                "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
            }
            for index, (name, given) in enumerate(tools)
        ]
    choice = {"index": 0, "message": said, "finish_reason": finish or ("tool_calls" if tools else "stop")}
    counted = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": counted,
    }
    return Reply(body, headers={"x-request-id": "req_1"}, delay=delay)


def fails(status: int, message: str = "no", *, headers: Mapping[str, str] | None = None) -> Reply:
    error = {"error": {"message": message, "type": "error", "code": None, "param": None}}
    return Reply(error, status, {"x-request-id": "req_2", **(headers or {})})


def echo(seen: Seen) -> Reply:
    return says(f"you said: {seen.said}")


@define
class ModelServer:
    """Gives the replies of `queue`, one after the other, and then what `answer` makes of each request."""

    answer: Callable[[Seen], Reply] = echo
    port: int = 0
    queue: deque[Reply | Callable[[Seen], Reply]] = field(factory=deque)
    seen: list[Seen] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)
    _closing: threading.Event = field(factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def keys(self) -> Counter[str]:
        """How many requests there were for each idempotency key."""
        with self._lock:
            return Counter(seen.key for seen in self.seen)

    def reply(self, seen: Seen) -> Reply:
        with self._lock:
            self.seen.append(seen)
            found = self.queue.popleft() if self.queue else self.answer
            reply = found if isinstance(found, Reply) else found(seen)
        self._closing.wait(reply.delay)
        return reply

    def script(self, *replies: Reply | Callable[[Seen], Reply]) -> None:
        """What comes next, and nothing that was seen."""
        self.queue = deque(replies)
        self.seen = []

    @contextmanager
    def running(self) -> Iterator[ModelServer]:
        """In threads of this process."""
        model = self

        class Handler(_Handler):
            server_model = model

        with _Server(("127.0.0.1", self.port), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._closing.set()
                server.shutdown()
                thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # else those that come at once wait for a second
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_model: ModelServer

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path != "/v1/chat/completions":
            reply = fails(404, f"there is no {self.path}")
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = self.server_model.reply(Seen(self.path, headers, json.loads(content)))
        body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    """Serve the example's answers until Ctrl-C."""
    from llm import research

    parser = argparse.ArgumentParser(description="A model's server that needs no network.")
    parser.add_argument("--port", type=int, default=8321)
    with ModelServer(research.answer, parser.parse_args().port).running() as server, suppress(KeyboardInterrupt):
        print(f"OPENAI_BASE_URL={server.url} OPENAI_API_KEY=x", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from llm.model_server import main as main_of_the_package

    main_of_the_package()
