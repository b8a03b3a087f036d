"""An input → chat messages → prompt text: the only place, for every arm, the trainer and the Modelfile.

A model's chat template is code that came with its weights. It runs in Jinja's immutable sandbox, with the
functions that Transformers gives it (`raise_exception`, `strftime_now`, the `generation` tag).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from tuneproof.artifacts import SplitRow, canonical_json, sha256_of

SWITCHES: dict[str, bool | str] = {"enable_thinking": False, "thinking": False, "date_string": "26 Jul 2024"}
"""What we set wherever a template reads a variable of this name.

A thinking model answers at once, in training and everywhere else (Qwen3: `enable_thinking`; Granite:
`thinking`). Llama 3.1 and 3.2 write today's date into the prompt; the fixed one is their own default.
"""

TEMPLATE_BREAKS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a template can raise besides Jinja's own errors."""

_LONGEST = 65_536
"""Characters of a chat template; the longest that we know has 20 thousand."""


class Message(TypedDict):
    """One chat turn, in the OpenAI form that all our runtimes accept."""

    role: str
    content: str


class TemplateError(Exception):
    """A chat template cannot be read, or refuses a conversation; the message says why."""


def messages_for(system_prompt: str, text: str, *, shots: Sequence[SplitRow] = ()) -> list[Message]:
    """Build the chat for one input.

    The system prompt is always sent: SmolLM2's template would otherwise put one of its own there.
    `shots` become finished turns before the question, in the given order.
    """
    chat: list[Message] = [{"role": "system", "content": system_prompt}]
    for shot in shots:
        chat += [{"role": "user", "content": shot.input}, {"role": "assistant", "content": shot.output}]
    return [*chat, {"role": "user", "content": text}]


def prompts_hash(system_prompt: str, texts: Sequence[str]) -> str:
    """SHA-256 over the zero-shot messages of all `texts`: a changed prompt or input changes it."""
    return sha256_of(canonical_json([messages_for(system_prompt, text) for text in texts]))


def template_switches(chat_template: str) -> dict[str, bool | str]:
    """Return the variables of `SWITCHES` that the template reads, with the value we give them.

    The template's syntax tree decides: a name inside a text or a comment is none.

    Raises:
        TemplateError: the template cannot be parsed.
    """
    from jinja2 import TemplateError as JinjaError
    from jinja2 import nodes

    try:
        tree = _environment("").parse(_not_too_long(chat_template))
    except (JinjaError, *TEMPLATE_BREAKS) as error:
        raise TemplateError(f"it cannot be parsed: {error}") from error
    read = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"}
    return {name: value for name, value in SWITCHES.items() if name in read}


def render_chat(
    chat_template: str,
    messages: Sequence[Mapping[str, str]],
    *,
    bos: str = "",
    eos: str = "",
    today: str = "1 Jan 2000",
    opening: bool = True,
) -> str:
    """Render a chat as text, with our switches set.

    Args:
        chat_template: the model's Jinja template.
        messages: the chat.
        bos: text of the token that begins every prompt of this model.
        eos: text of the tokenizer's end token.
        today: what the template's clock says.
        opening: whether the assistant's turn is opened for the answer.

    Raises:
        TemplateError: the template breaks or refuses this chat.
    """
    from jinja2 import TemplateError as JinjaError

    switches = template_switches(chat_template)
    variables = {"add_generation_prompt": opening, "bos_token": bos, "eos_token": eos, **switches}
    try:
        template = _environment(today).from_string(chat_template)
        return str(template.render(messages=[dict(message) for message in messages], **variables))
    except (JinjaError, *TEMPLATE_BREAKS) as error:
        raise TemplateError(str(error) or type(error).__name__) from error


def _not_too_long(chat_template: str) -> str:
    if len(chat_template) > _LONGEST:
        raise TemplateError(f"it has {len(chat_template)} characters, more than {_LONGEST}")
    return chat_template


def _environment(today: str) -> Any:
    """Set Jinja up as Transformers does (utils/chat_template_utils.py), with a clock that stands still."""
    from jinja2 import TemplateError as JinjaError
    from jinja2 import nodes, parser
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The tag around what the assistant says; for a prompt it changes nothing."""

        tags = {"generation"}

        def parse(self, stream: parser.Parser) -> list[nodes.Node]:
            next(stream.stream)
            return stream.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise JinjaError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation], cache_size=0
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda _format: today
    return environment


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
