"""A GGUF file, a system prompt and a chat template → an Ollama Modelfile that sends what training saw.

Ollama would otherwise guess a template from a list of known ones (within an edit distance of 100),
so the template is always written out, and a family we cannot translate stops the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tuneproof.errors import BadInput
from tuneproof.names import check_name
from tuneproof.prompt import TemplateError, render_chat

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

NO_THOUGHT = "<think>\n\n</think>\n\n"
"""What a Qwen3 template puts before the answer when thinking is off."""

LLAMA_HEAD = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
"""What Llama 3.1 and 3.2 put before the system prompt, with the date of `prompt.SWITCHES`."""

LLAMA_GO = """\
{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>

"""
"""Llama 3. The begin token is not printed: Ollama's tokenizer puts it there, as llama.cpp's does."""

GEMMA_GO = """\
{{ $open := false }}{{ range .Messages }}{{ if eq .Role "system" }}<start_of_turn>user
{{ .Content }}

{{ $open = true }}{{ else if eq .Role "user" }}{{ if not $open }}<start_of_turn>user
{{ end }}{{ .Content }}<end_of_turn>
{{ $open = false }}{{ else }}<start_of_turn>model
{{ .Content }}<end_of_turn>
{{ end }}{{ end }}<start_of_turn>model
"""
"""Gemma 3: the system prompt opens the first user turn."""

_BOS = "<bos-probe>"
_TRIPLE = '"""'

_LAYOUT = re.compile(
    r'FROM \./(?P<name>[^\n]+)\nTEMPLATE """(?P<template>.*?)"""\nSYSTEM """(?P<system>.*?)"""\n'
    r'(?P<parameters>(?:PARAMETER [^\n]+\n)+)LICENSE """(?P<licence>.*?)"""\n',
    re.DOTALL,
)


Messages = Sequence[Mapping[str, str]]


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


class Family(NamedTuple):
    """Chat templates that render alike, with the Go template that renders what they do."""

    name: str
    go: str
    expected: Callable[[Messages], str]
    """The prompt that it stands for, written with no template at all."""
    trims: Literal["nothing", "turns", "everything"] = "nothing"
    """Which contents lose the white space around them: none, all but the system prompt, or all. Ollama's Go
    templates cannot trim: the system prompt is written trimmed, and a user message must come without."""
    bos: bool = False
    """Whether the begin token is printed by the Jinja template (and added by the tokenizer under Ollama)."""


def chatml(messages: Messages) -> str:
    """Render `messages` and the assistant's opening as ChatML, with no template at all."""
    turns = (f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


def _llama(messages: Messages, head: str = "") -> str:
    turns = (
        f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n"
        f"{head if m['role'] == 'system' else ''}{m['content']}<|eot_id|>"
        for m in messages
    )
    return "".join(turns) + "<|start_header_id|>assistant<|end_header_id|>\n\n"


def _gemma(messages: Messages) -> str:
    """The system prompt keeps its white space here; every other content is trimmed."""
    system, *turns = messages
    text = f"{system['content']}\n\n"
    for number, turn in enumerate(turns):
        role = "user" if number % 2 == 0 else "model"
        text = f"{text}{'' if number == 0 else f'<start_of_turn>{role}' + chr(10)}{turn['content'].strip()}"
        text += "<end_of_turn>\n"
    return f"<start_of_turn>user\n{text}<start_of_turn>model\n"


FAMILIES = (
    Family("ChatML", CHATML_GO, chatml),
    Family("ChatML, thinking off", CHATML_GO + NO_THOUGHT, lambda m: chatml(m) + NO_THOUGHT),
    Family(
        "ChatML, thinking off, trimmed",
        CHATML_GO + NO_THOUGHT,
        lambda m: chatml(_trimmed(m)) + NO_THOUGHT,
        trims="everything",
    ),
    Family("Llama 3", LLAMA_GO, lambda m: _llama(_trimmed(m)), trims="everything", bos=True),
    Family(
        "Llama 3.2",
        LLAMA_GO.replace(
            "{{ .Content }}", f'{{{{ if eq .Role "system" }}}}{LLAMA_HEAD}{{{{ end }}}}{{{{ .Content }}}}'
        ),
        lambda m: _llama(_trimmed(m), LLAMA_HEAD),
        trims="everything",
        bos=True,
    ),
    Family("Gemma 3", GEMMA_GO, _gemma, trims="turns", bos=True),
)
"""Every family that can be served. Another one is added here, with a test that renders both templates."""


def family_of(chat_template: str) -> Family | None:
    """Return the family that a Jinja chat template renders, for chats that start with a system message.

    The probes have one and two turns and spaces around their contents, so a template that trims is
    told from one that does not. None: an unknown family, or a template that refuses a probe.
    """
    try:
        rendered = [render_chat(chat_template, probe, bos=_BOS, eos="<eos-probe>") for probe in PROBES]
    except TemplateError:
        return None
    for family in FAMILIES:
        expected = [(_BOS if family.bos else "") + family.expected(probe) for probe in PROBES]
        if rendered == expected:
            return family
    return None


def check_template(chat_template: str, *, model: str) -> Family:
    """Return the family of a template that can be trained, served and written as a Modelfile.

    Called before training, so that no run is lost to a template that cannot be served.

    Raises:
        BadInput: names what the template does, and bases that work.
    """
    if family := family_of(chat_template):
        return family
    raise BadInput(
        f"The chat template of {model} {_objection(chat_template)}.",
        remedy="Set tuning.base in task.yaml to a base with a template of these families: "
        f"{', '.join(f.name for f in FAMILIES)}; for example Qwen/Qwen3-0.6B or google/gemma-3-1b-it.",
    )


def _objection(chat_template: str) -> str:
    """Say what is wrong with a template of no known family; a verb and its object."""
    try:
        texts = [render_chat(chat_template, PROBES[0], today=day) for day in ("1 Jan 2000", "2 Jan 2000")]
    except TemplateError as refused:
        try:
            render_chat(chat_template, PROBES[0][1:])
        except TemplateError:
            return f"cannot be rendered ({refused})"
        return f"refuses a system message ({refused}), and every prompt of ours begins with one"
    if texts[0] != texts[1]:
        return "writes today's date into every prompt, so training and serving would see different prompts"
    return f"is of no family that we can write for Ollama (a prompt begins {texts[0][:60]!r})"


def _trimmed(messages: Messages) -> list[dict[str, str]]:
    return [{**m, "content": m["content"].strip()} for m in messages]


def render_modelfile(
    *, gguf_name: str, system_prompt: str, template: str, parameters: Parameters, licence_text: str
) -> str:
    """Write the Modelfile.

    Args:
        gguf_name: file name of the GGUF, in the same folder.
        system_prompt: the text that training and every arm used; written as the template prints it.
        template: the base's Jinja chat template, as stored with the adapter.
        parameters: sampling and stops.
        licence_text: notice or full text of the licence of the weights.

    Raises:
        BadInput: a value cannot be written without changing it, or the template is of an unknown family.
    """
    family = check_template(template, model="the base")
    if family.trims == "everything":
        system_prompt = system_prompt.strip()
    return "".join(
        (
            f"FROM ./{check_name(gguf_name, what='GGUF file name')}\n",
            f'TEMPLATE """{family.go}"""\n',
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


PROBES: tuple[tuple[dict[str, str], ...], ...] = (
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
