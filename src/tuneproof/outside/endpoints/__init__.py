"""A section of task.yaml → a model behind an API that answers requests.

Only the named provider's SDK is imported, and only here.
"""

from __future__ import annotations

import os

from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.errors import NotReady
from tuneproof.outside.endpoints.asking import Api, ApiEndpoint, Meter, Patience
from tuneproof.outside.parts import require


def endpoint_for(
    section: EndpointSection, patience: Patience | None = None, meter: Meter | None = None
) -> ApiEndpoint:
    """Open the model that `section` names; nothing is sent yet.

    Args:
        section: which model, and how it is asked.
        patience: how failures are borne.
        meter: asked before every call, retries among them, and told how each ended; None counts nothing.

    Raises:
        MissingPart: the SDKs are not installed.
        NotReady: the environment variable with its key is missing, or holds what can be no key.
    """
    key = _key(section.key_name)
    require("api")
    return ApiEndpoint(_api(section, key), patience or Patience(), meter)


def _api(section: EndpointSection, key: str | None) -> Api:
    match section.provider:
        case "openai":
            from tuneproof.outside.endpoints.openai_endpoint import openai_api

            return openai_api(section, key)
        case "anthropic":
            from tuneproof.outside.endpoints.anthropic_endpoint import anthropic_api

            return anthropic_api(section, key)
        case "ollama":
            from tuneproof.outside.endpoints.ollama_endpoint import ollama_api

            return ollama_api(section, key)


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise NotReady(
            f"The environment variable {name} is not set: no key for this API.",
            remedy=f"export {name}=… (a frontier can also be measured elsewhere: tuneproof compare --export "
            "frontier).",
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise NotReady(
            f"The environment variable {name} holds what can be no key: it has spaces or unusual characters.",
            remedy=f"export {name}=…, with nothing but the key",
        )
    return key
