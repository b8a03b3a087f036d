"""A GGUF file, a system prompt and a chat template → an Ollama Modelfile that sends what training saw.

Ollama would otherwise guess a template from a list of known ones (within an edit distance of 100),
so the template is always written out, and a family we cannot translate stops the run.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from tuneproof.errors import BadInput
from tuneproof.names import check_name

CHATML_GO = """\
{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
"""ChatML as a Go template, by Ollama's docs/template.md (`.Messages`, `.Role`, `.Content`).

Ollama puts SYSTEM in front of `.Messages` when the request brings no system message, so `.System` is not
printed a second time. Two messages of one role in a row are joined by Ollama with a blank line before the
template sees them; a Jinja template would print two turns. Our prompts never have two in a row.
"""

_MAX_TEMPLATE = 65_536
_TRIPLE = '"""'
_TEMPLATE_BREAKS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a template can raise besides Jinja's own errors; any of them means: not ChatML."""

_LAYOUT = re.compile(
    r'FROM \./(?P<name>[^\n]+)\nTEMPLATE """(?P<template>.*?)"""\nSYSTEM """(?P<system>.*?)"""\n'
    r'(?P<parameters>(?:PARAMETER [^\n]+\n)+)LICENSE """(?P<licence>.*?)"""\n',
    re.DOTALL,
)


class Parameters(NamedTuple):
    """How the runtime samples and when it stops. The temperature is 0, as in every measurement."""

    num_ctx: int
    """Context window in tokens; Ollama's own default depends on the GPU's memory."""
    stops: tuple[str, ...]
    """End-of-turn texts; at least one, or the model may never stop."""
    num_predict: int | None = None
    """Most tokens in a reply; None leaves the runtime's default."""


class Modelfile(NamedTuple):
    """What a Modelfile of ours says."""

    gguf_name: str
    template: str
    system_prompt: str
    parameters: Parameters
    licence_text: str


def is_chatml(chat_template: str) -> bool:
    """Whether a Jinja chat template renders plain ChatML for conversations that start with a system message.

    The template is code from a model file: it runs in Jinja's immutable sandbox, on a probe of one and of
    two turns. Spaces around the contents are part of the probe, so a template that trims them is not plain.
    """
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if len(chat_template) > _MAX_TEMPLATE:
        return False
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols], cache_size=0
    )
    try:
        template = environment.from_string(chat_template)
        return all(
            template.render(
                messages=[dict(turn) for turn in probe],
                add_generation_prompt=True,
                bos_token="<bos-probe>",
                eos_token="<eos-probe>",
            )
            == chatml(probe)
            for probe in _PROBES
        )
    except (
        TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        return False


def chatml(messages: tuple[dict[str, str], ...]) -> str:
    """Render `messages` and the assistant's opening as ChatML, with no template at all."""
    turns = (f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


def render_modelfile(
    *, gguf_name: str, system_prompt: str, template: str, parameters: Parameters, licence_text: str
) -> str:
    """Write the Modelfile.

    Args:
        gguf_name: file name of the GGUF, in the same folder.
        system_prompt: the text that training and every arm used.
        template: the base's Jinja chat template, as stored with the adapter.
        parameters: sampling and stops.
        licence_text: notice or full text of the licence of the weights.

    Raises:
        BadInput: a value cannot be written without changing it, or the template is no ChatML.
    """
    if not is_chatml(template):
        raise BadInput(
            f"The base's chat template is not plain ChatML (it begins {template[:60]!r}).",
            remedy="Choose a ChatML base in `tuning.base` of task.yaml, or add this family's Go template "
            "beside CHATML_GO with a test that renders both.",
        )
    return "".join(
        (
            f"FROM ./{check_name(gguf_name, what='GGUF file name')}\n",
            f'TEMPLATE """{CHATML_GO}"""\n',
            f'SYSTEM """{_quotable(system_prompt, what="system prompt")}"""\n',
            *(f"PARAMETER {line}\n" for line in _parameter_lines(parameters)),
            f'LICENSE """{_quotable(licence_text, what="licence text")}"""\n',
        )
    )


def render_params(parameters: Parameters) -> str:
    """Write the `params` file that `ollama run hf.co/…` reads from a Hub repository."""
    _parameter_lines(parameters)
    values: dict[str, object] = {"temperature": 0, "num_ctx": parameters.num_ctx}
    if parameters.num_predict is not None:
        values["num_predict"] = parameters.num_predict
    values["stop"] = list(parameters.stops)
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def read_modelfile(text: str) -> Modelfile:
    """Read back a Modelfile that `render_modelfile` wrote.

    Raises:
        BadInput: the text has another layout.
    """
    match = _LAYOUT.fullmatch(text)
    if match is None:
        raise BadInput(
            f"The Modelfile is not laid out as tuneproof writes it (it begins {text[:60]!r}).",
            remedy="Run `tuneproof serve` again; it writes 8-serve/Modelfile.",
        )
    return Modelfile(
        gguf_name=check_name(match["name"], what="GGUF file name"),
        template=match["template"],
        system_prompt=match["system"],
        parameters=_read_parameters(match["parameters"]),
        licence_text=match["licence"],
    )


_PROBES: tuple[tuple[dict[str, str], ...], ...] = (
    (
        {"role": "system", "content": " Probe of a system prompt.\nSecond line. "},
        {"role": "user", "content": "\n A question with spaces. \n"},
    ),
    (
        {"role": "system", "content": "System."},
        {"role": "user", "content": "First {{ question }}?"},
        {"role": "assistant", "content": "First answer."},
        {"role": "user", "content": "Second question?"},
    ),
)


def _parameter_lines(parameters: Parameters) -> list[str]:
    num_ctx, stops, num_predict = parameters
    if num_ctx < 1 or (num_predict is not None and num_predict < 1):
        raise BadInput(
            f"num_ctx is {num_ctx} and num_predict is {num_predict}; both count tokens.",
            remedy="Set `serving.num_ctx` and `task.max_new_tokens` in task.yaml to 1 or more.",
        )
    if not stops:
        raise BadInput(
            "The Modelfile would have no stop text, so a reply could run to the end of the context.",
            remedy="Pass the tokenizer's end-of-turn token, for example <|im_end|>.",
        )
    lines = ["temperature 0", f"num_ctx {num_ctx}"]
    lines += [] if num_predict is None else [f"num_predict {num_predict}"]
    return lines + [f'stop "{_stop(stop)}"' for stop in stops]


def _stop(stop: str) -> str:
    if stop and stop == stop.strip() and stop.isprintable() and '"' not in stop:
        return stop
    raise BadInput(
        f"The stop text {stop[:60]!r} cannot be written on one line of a Modelfile.",
        remedy="Use a stop text without quotes, line breaks or control characters.",
    )


def _quotable(text: str, *, what: str) -> str:
    """Return `text` if Ollama's parser gives it back unchanged from between triple quotes.

    That parser drops every character that Go does not call printable, for example a no-break space.
    """
    odd = next((c for c in text if not (c.isprintable() or c in "\n\t")), None)
    if text.strip() and odd is None and _TRIPLE not in text:
        return text
    reason = "is empty"
    if odd is not None:
        reason = f"holds the character {odd!r}, which Ollama drops"
    elif text.strip():
        reason = 'holds """, which ends the quoted block'
    raise BadInput(
        f"The {what} {reason}.",
        remedy=f"Edit the {what} (the system prompt is in task.yaml): plain text, no triple double quotes.",
    )


def _read_parameters(lines: str) -> Parameters:
    pairs = [line.removeprefix("PARAMETER ").split(" ", 1) for line in lines.splitlines()]
    single = {name: value for name, value in pairs if name != "stop"}
    parameters = Parameters(
        num_ctx=int(single.get("num_ctx", "0")),
        stops=tuple(value[1:-1] for name, value in pairs if name == "stop"),
        num_predict=int(single["num_predict"]) if "num_predict" in single else None,
    )
    if [f"PARAMETER {line}" for line in _parameter_lines(parameters)] != lines.splitlines():
        raise BadInput(
            f"The Modelfile's parameters are not as tuneproof writes them: {' / '.join(lines.splitlines())}",
            remedy="Run `tuneproof serve` again; it writes 8-serve/Modelfile.",
        )
    return parameters
