"""A teacher → whose terms apply to its outputs, and whether a person has acknowledged them.

Training on a model's outputs is allowed by some terms and not by others, and only a person can say that they
have read them. The addresses below are hints: terms move and change.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from tuneproof.artifacts import EndpointSection, Record

TERMS_FILE = "terms.jsonl"
"""At the root of a project; lines are only ever added."""
KNOWN_ON = "2026-11-24"
"""When the list below was written."""
KNOWN_TERMS = {
    "api.openai.com": "https://openai.com/policies/services-agreement/",
    "api.anthropic.com": "https://www.anthropic.com/legal/commercial-terms",
    "generativelanguage.googleapis.com": "https://ai.google.dev/gemini-api/terms",
    "api.mistral.ai": "https://mistral.ai/terms",
    "openrouter.ai": "https://openrouter.ai/terms",
    "api.together.xyz": "https://www.together.ai/terms-of-service",
    "api.fireworks.ai": "https://fireworks.ai/terms-of-service",
    "api.groq.com": "https://groq.com/terms-of-use",
}
"""Host of an API → where its terms for business users stand."""

_OWN = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "ollama": "http://localhost",
}
_USUAL_PORTS = {"http": 80, "https": 443}


class Acknowledged(Record):
    """One line of `terms.jsonl`: a person has read a teacher's terms."""

    teacher: str
    """Its id."""
    host: str
    """Where it answers, with the port; never a user name or password."""
    path: str = ""
    """Of the address; one gateway may lead to servers with different terms."""
    provider: str = "openai"
    """Whose way of talking it speaks."""
    url: str
    """The terms."""
    at: str
    """UTC, ISO 8601."""
    by: str
    """Who."""


def host_of_teacher(teacher: EndpointSection) -> str:
    """Return host and port at which a teacher answers; to be published, so without the path."""
    return _place_of(teacher)[0]


def address_of_teacher(teacher: EndpointSection) -> str:
    """Return host, port and path; never a user name, a password or a query."""
    return "".join(_place_of(teacher))


def _place_of(teacher: EndpointSection) -> tuple[str, str]:
    try:
        parts = urlsplit(teacher.base_url or _OWN[teacher.provider])
        usual = parts.port in (None, _USUAL_PORTS.get(parts.scheme))
        host = str(parts.hostname) if usual else f"{parts.hostname}:{parts.port}"
        return host, parts.path.rstrip("/")
    except ValueError:
        return "an address that cannot be read", ""


def hint_for(teacher: EndpointSection) -> str:
    """Say where the terms of a teacher stood when the list was written, or where to look."""
    host = host_of_teacher(teacher)
    if known := KNOWN_TERMS.get(host.partition(":")[0]):
        return f"those of {host} stood at {known} on {KNOWN_ON}"
    return (
        f"for {host} no address is known here; of a model on a server of your own it is the model's licence"
    )


def acknowledged(lines: Iterable[Acknowledged], teacher: EndpointSection, url: str) -> Acknowledged | None:
    """Return the last acknowledgement of exactly this teacher, address, provider and terms."""
    wanted = acknowledgement(teacher, url, at="", by="")
    same = (line for line in reversed(list(lines)) if line.model_copy(update={"at": "", "by": ""}) == wanted)
    return next(same, None)


def acknowledgement(teacher: EndpointSection, url: str, *, at: str, by: str) -> Acknowledged:
    """Write the line that says that a person has read the terms at `url`."""
    host, path = _place_of(teacher)
    return Acknowledged(
        teacher=teacher.model, host=host, path=path, provider=teacher.provider, url=url, at=at, by=by
    )
