"""What the model answers in the example: always the same, and made of what it is told."""

from __future__ import annotations

import json

from llm.model_server import Reply, Seen, says

_SURE = {"The waggle dance": "high", "Radar tracking of recruits": "high", "Odour and recruitment": "medium"}


def answer(seen: Seen) -> Reply:
    """Any other request is answered by its own words."""
    if seen.body.get("tools"):
        return _research(seen)
    if "response_format" in seen.body:
        return _analysis(seen)
    if seen.said.startswith("Write one headline"):
        return says("Bees dance to tell where the food is", usage=(90, 9))
    if seen.said.startswith("Answer the question"):
        claims = [line[2:].partition(" (")[0] for line in seen.said.splitlines() if line.endswith("high)")]
        return says("In short: " + " ".join(claims), usage=(200, 80))
    return says(f"You said: {seen.said}")


def _research(seen: Seen) -> Reply:
    """It searches, reads what there is, and sums it up; once more when it is asked for doubts."""
    messages = seen.messages
    start = max(index for index, message in enumerate(messages) if message["role"] == "user")
    told = [message["content"] for message in messages[start + 1 :] if message["role"] == "tool"]
    doubting = "speaks against" in messages[start]["content"]
    if not told:
        return says(tools=[("search", {"words": "smell" if doubting else "dance bees"})], usage=(300, 20))
    titles = json.loads(told[0])
    if len(told) == 1:
        return says(tools=[("read", {"title": title}) for title in titles], usage=(320, 30))
    texts = [f"[{title}] {text.partition('. ')[0].rstrip('.')}." for title, text in zip(titles, told[1:], strict=True)]
    return says("\n".join(texts), usage=(500, 60))


def _analysis(seen: Seen) -> Reply:
    lines = [line for line in seen.said.splitlines() if line.startswith("[")]
    cited = {line[1:].partition("] ")[0]: line.partition("] ")[2] for line in lines}
    findings = [
        {"claim": claim, "source": source, "confidence": _SURE.get(source, "low")} for source, claim in cited.items()
    ]
    return says(json.dumps({"findings": findings, "open_questions": ["Does it pay everywhere?"]}), usage=(250, 70))
