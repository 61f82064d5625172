"""Who says how a model is asked: the call, the definition, the LLM, the app."""

from __future__ import annotations

from typing import Any

import pytest

from llm.model_server import ModelServer, fails
from perdure import App, Retry, UsageError, activity, workflow
from perdure_adapters.llm import (
    LLM,
    DurableAgent,
    NotConfigured,
    set_app_defaults,
)
from perdure_adapters.llm.settings import Settings, combined

bare = LLM()
chosen = LLM(model="of the llm", temperature=0.2, top_p=0.2, seed=2, timeout=20)


@bare.durable_call()
def from_bare() -> str:
    return "from bare"


@chosen.durable_call(model="of the definition", temperature=0.3, top_p=0.3)
def from_chosen() -> str:
    return "from chosen"


@workflow
async def everywhere() -> None:
    await bare.call("bare")
    await chosen.call("chosen")
    await chosen.call("said", model="of the call", temperature=0.4)
    await chosen.call("without", temperature=None, top_p=None)
    await from_bare()
    await from_chosen()
    await DurableAgent(chosen, model="of the agent").chat("agent")


async def test_the_nearest_one_holds(server: ModelServer) -> None:
    async with App("memory://precedence", workflows=[everywhere]) as app:
        set_app_defaults(app, model="replaced")
        set_app_defaults(app, model="of the app", temperature=0.1, top_p=0.1, seed=1, max_tokens=9)
        await (await app.start(everywhere)).result(timeout=60)
    names = ("model", "temperature", "top_p", "seed", "max_tokens")
    assert {seen.said: [seen.body.get(name) for name in names] for seen in server.seen} == {
        "bare": ["of the app", 0.1, 0.1, 1, 9],
        "chosen": ["of the llm", 0.2, 0.2, 2, 9],
        "said": ["of the call", 0.4, 0.2, 2, 9],
        "without": ["of the llm", None, None, 2, 9],
        "from bare": ["of the app", 0.1, 0.1, 1, 9],
        "from chosen": ["of the definition", 0.3, 0.3, 2, 9],
        "agent": ["of the agent", 0.2, 0.2, 2, 9],
    }


@activity
async def ask_of_an_activity() -> str:
    return (await bare.call("hello")).text


@workflow
async def asking() -> str:
    return await ask_of_an_activity()


async def test_each_app_has_its_own(server: ModelServer) -> None:
    async with App("memory://one", workflows=[asking]) as one, App("memory://two", workflows=[asking]) as two:
        set_app_defaults(one, model="first")
        set_app_defaults(two, base_url=server.url, model="second")
        for app in (one, two):
            await (await app.start(asking)).result(timeout=60)
    assert [seen.body["model"] for seen in server.seen] == ["first", "second"]


def test_a_key_stays_with_its_provider() -> None:
    app = Settings("openai", "gpt", "http://here/v1", "openai's", 9, {"seed": 1})
    assert combined([Settings(), app]).api_key == "openai's"
    assert combined([Settings("openai", "other"), app]).base_url == "http://here/v1"
    other = combined([Settings("anthropic"), app])
    assert (other.model, other.base_url, other.api_key) == (None, None, None)
    assert (other.timeout, other.params) == (9, {"seed": 1})
    assert combined([Settings("anthropic"), Settings(None, "claude", None, "its"), app]).api_key == "its"


def test_a_key_is_not_for_an_address_that_is_nearer_than_its_provider() -> None:
    app = Settings("openai", "gpt", None, "openai's")
    assert combined([Settings(None, "m", "http://other/v1"), app]).api_key is None
    assert combined([Settings(None, "m", "http://other/v1", "its"), app]).api_key == "its"
    assert not combined([Settings("openai"), Settings(None, "m", "http://other/v1")]).trusted
    private = Settings("openai", "gpt", None, None, 9, {"extra_headers": {"X-Key": "secret"}, "seed": 1})
    assert combined([Settings(None, "m", "http://other/v1"), private]).params == {"seed": 1}
    assert combined([Settings("anthropic"), private]).params == {"seed": 1}
    assert combined([Settings("openai"), private]).params == private.params
    assert combined([Settings("openai", "m", "http://proxy/v1"), app]).api_key == "openai's"
    assert combined([Settings(), app]).api_key == "openai's"


async def test_an_address_alone_is_not_sent_the_environments_key(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    llm = LLM("openai", model="m")
    await llm.call("hello", base_url=server.url)
    await llm.call("hello", base_url=server.url, provider="openai")
    await LLM("openai", model="m", base_url=server.url).call("hello")
    sent = [seen.headers["authorization"].removeprefix("Bearer ") for seen in server.seen]
    assert sent == ["unused", "sk-test-0123456789abcdef", "sk-test-0123456789abcdef"]


@pytest.mark.parametrize(
    ("provider", "environment", "sent"),
    [
        ("openai", {"OPENAI_API_KEY": "key-o"}, "key-o"),
        ("anthropic", {"ANTHROPIC_API_KEY": " key-a\n"}, "key-a"),
        ("gemini", {"GEMINI_API_KEY": "key-g", "GOOGLE_API_KEY": "other"}, "key-g"),
        ("gemini", {"GOOGLE_API_KEY": "key-h"}, "key-h"),
        ("gemini", {"OPENAI_API_KEY": "key-o"}, "unused"),
        (None, {"OPENAI_API_KEY": "key-o"}, "unused"),  # any server is not sent what belongs to another
    ],
)
async def test_keys_come_from_the_environment(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, provider: Any, environment: dict[str, str], sent: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    gateway = "\nAuthorization: Bearer gateway" if provider != "openai" else ""
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Gateway: secret{gateway}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    await LLM(provider, model="m", base_url=server.url).call("hello")
    (seen,) = server.seen
    assert seen.headers["authorization"] == f"Bearer {sent}"
    for header in ("openai-organization", "x-gateway"):
        assert (header in seen.headers) is (provider == "openai")


@pytest.mark.parametrize(
    ("provider", "named"),
    [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY"), ("gemini", "GEMINI_API_KEY or GOOGLE_API_KEY")],
)
async def test_a_missing_key_is_named(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, provider: Any, named: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(NotConfigured, match=f"there is no key: set {named} in the environment"):
        await LLM(provider, model="m").call("hello")


async def test_a_missing_model_is_said(server: ModelServer) -> None:
    with pytest.raises(NotConfigured, match="no model is named"):
        await LLM("openai").call("hello")


async def test_parameters_go_to_the_service(server: ModelServer) -> None:
    llm = LLM("openai", model="m", extra_body={"top_k": 5}, extra_headers={"X-Title": "perdure"})
    await llm.call("hello", max_completion_tokens=5, stop=["x"])
    (seen,) = server.seen
    assert (seen.body["top_k"], seen.body["max_completion_tokens"], seen.body["stop"]) == (5, 5, ["x"])
    assert seen.headers["x-title"] == "perdure"
    with pytest.raises(NotConfigured, match=r"top_k=...: chat completions have no such parameter"):
        await llm.call("hello", top_k=3)


async def test_a_call_may_have_a_policy_of_its_own(server: ModelServer) -> None:
    llm = LLM("openai", model="m", retry=Retry(attempts=1))

    @workflow
    async def ask() -> str:
        return (await llm.call("hello", retry=Retry(attempts=3, initial=0))).text

    server.script(fails(500), fails(500))
    async with App("memory://policy", workflows=[ask]) as app:
        assert await (await app.start(ask)).result(timeout=60) == "you said: hello"


async def test_messages_go_as_they_are(server: ModelServer) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": [{"type": "text", "text": "hm"}]},
        {"role": "user", "content": "x"},
    ]
    await LLM("openai", model="m").call_messages(messages)
    assert server.seen[0].messages == messages
    wrongs: list[Any] = [[], ["hello"], [{"content": "x"}]]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="messages"):
            await LLM("openai", model="m").call_messages(wrong)
    with pytest.raises(UsageError, match="the prompt: expected a str"):
        await LLM("openai", model="m").call(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "cohere"},
        {"model": ""},
        {"model": 3},
        {"base_url": ""},
        {"api_key": ""},
        {"api_key": 3},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "soon"},
        {"stream": True},
        {"n": 2},
        {"retry": 3},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        LLM(**wrong)


@pytest.mark.parametrize("headers", [["X"], {"X": 1}, {"X": "a\nb"}, {"X-\u00e4": "a"}])
async def test_headers_that_are_none_are_refused(server: ModelServer, headers: Any) -> None:
    with pytest.raises(NotConfigured, match="extra_headers"):
        await LLM("openai", model="m", extra_headers=headers).call("hello")
    assert server.seen == []


async def test_a_key_is_not_for_calls(server: ModelServer) -> None:
    with pytest.raises(UsageError, match="api_key cannot be given per call"):
        await LLM("openai", model="m").call("hello", api_key="sk-1")
    with pytest.raises(UsageError, match="retry"):
        set_app_defaults(App("memory://", workflows=[asking]), retry=Retry())
