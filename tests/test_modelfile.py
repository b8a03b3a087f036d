"""The Modelfile sends what training saw, and nothing a value says can add a line to it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from card_sample import LICENCE_TEXT, PARAMETERS, SMOLLM2_TEMPLATE, SYSTEM_PROMPT
from tuneproof.errors import BadInput
from tuneproof.modelfile import (
    CHATML_GO,
    FAMILIES,
    PROBES,
    Parameters,
    check_template,
    family_of,
    read_modelfile,
    render_modelfile,
    render_params,
)
from tuneproof.names import gguf_name
from tuneproof.prompt import TemplateError, render_chat

Messages = list[dict[str, str]]


def modelfile(**changes: object) -> str:
    fields: dict[str, object] = {
        "gguf_name": "a-Q8_0.gguf",
        "system_prompt": SYSTEM_PROMPT,
        "template": SMOLLM2_TEMPLATE,
        "parameters": PARAMETERS,
        "licence_text": LICENCE_TEXT,
    }
    return render_modelfile(**(fields | changes))  # type: ignore[arg-type]


ACTION = re.compile(r"\{\{ (.*?) \}\}", re.DOTALL)
Scope = dict[str, Any]


def go_render(template: str, messages: Messages) -> str:
    """The few Go template actions that ours use: range, if, else if, else, variables, eq, not, fields.

    Written from Go's text/template; anything else is an error, and so is an action that is not closed.
    """
    parts = ACTION.split(template)
    assert "{{" not in "".join(parts[::2])
    text, end = go_block(parts, 0, {"": {"Messages": messages}}, live=True)
    assert end == len(parts), "an end too many"
    return text


def go_block(parts: list[str], at: int, scope: Scope, *, live: bool) -> tuple[str, int]:
    """Run from the text at `at` (even) to the `end` or `else` that closes the block; return its place."""
    out = ""
    while True:
        out += parts[at] if live else ""
        at += 1
        if at >= len(parts) or parts[at] == "end" or parts[at].startswith("else"):
            return out, at
        action = parts[at]
        if action.startswith("range "):
            text, at = go_range(parts, at, scope, live=live)
        elif action.startswith("if "):
            text, at = go_if(parts, at, scope, live=live)
        else:
            text = go_plain(action, scope) if live else ""
        out += text
        at += 1


def go_range(parts: list[str], at: int, scope: Scope, *, live: bool) -> tuple[str, int]:
    items = go_value(parts[at].removeprefix("range "), scope) if live else []
    _, end = go_block(parts, at + 1, scope, live=False)
    assert parts[end] == "end"
    out, outer = "", scope[""]
    for item in items:
        scope[""] = {"Role": item["role"], "Content": item["content"]}
        out += go_block(parts, at + 1, scope, live=True)[0]
    scope[""] = outer
    return out, end


def go_if(parts: list[str], at: int, scope: Scope, *, live: bool) -> tuple[str, int]:
    out, open_ = "", live
    while parts[at] != "end":
        condition = parts[at].removeprefix("else").strip().removeprefix("if ")
        taken = open_ and (not condition or bool(go_value(condition, scope)))
        text, at = go_block(parts, at + 1, scope, live=taken)
        out, open_ = out + text, open_ and not taken
    return out, at


def go_plain(action: str, scope: Scope) -> str:
    if match := re.fullmatch(r"(\$\w+) :?= (.+)", action):
        assert ":=" in action or match[1] in scope, "assigned before it was declared"
        scope[match[1]] = go_value(match[2], scope)
        return ""
    return str(go_value(action, scope))


def go_value(expression: str, scope: Scope) -> Any:
    if expression.startswith("eq "):
        left, right = expression.split(" ")[1:]
        return go_value(left, scope) == go_value(right, scope)
    if expression.startswith("not "):
        return not go_value(expression.removeprefix("not "), scope)
    if expression.startswith("."):
        return scope[""][expression[1:]]
    if expression.startswith("$"):
        return scope[expression]
    return {"true": True, "false": False}.get(expression, expression.strip('"'))


def ollama_commands(text: str) -> list[tuple[str, str]]:
    """Read a Modelfile as Ollama's parser does (parser/parser.go), written anew from its rules.

    A value ends at the first line break where what was read so far is a closed quotation or no quotation;
    characters that Go does not call printable are dropped.
    """
    commands, position = [], 0
    while position < len(text):
        if text[position] in " \t\r\n":
            position += 1
            continue
        name = re.compile(r"[A-Za-z]+").match(text, position)
        assert name, f"not a command: {text[position : position + 40]!r}"
        position = name.end() + 1
        start = position
        while position <= len(text):
            at_end = position == len(text)
            if at_end or text[position] in "\r\n":
                value = unquote(text[start:position].strip())
                if value is not None:
                    break
                assert not at_end, "unclosed quotation"
            position += 1
        kept = "".join(c for c in value or "" if c.isprintable() or c in "\r\n\t")
        commands.append((name.group().upper(), kept))
    return commands


def unquote(text: str) -> str | None:
    for quote in ('"""', '"'):
        if text.startswith(quote):
            closed = len(text) >= 2 * len(quote) and text.endswith(quote)
            return text[len(quote) : -len(quote)] if closed else None
    return text


def jinja_render(messages: Messages) -> str:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(SMOLLM2_TEMPLATE).render(messages=messages, add_generation_prompt=True)


CONVERSATIONS: list[Messages] = [
    [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": "MIT\nlicence"}],
    [
        {"role": "system", "content": " spaces "},
        {"role": "user", "content": "one\n"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "{{ three }}"},
    ],
    [{"role": "system", "content": "é — 漢"}, {"role": "user", "content": "tab\there <|im_end|>"}],
]


def test_the_template_renders_the_expected_chatml_text() -> None:
    assert go_render(CHATML_GO, CONVERSATIONS[1]) == (
        "<|im_start|>system\n spaces <|im_end|>\n<|im_start|>user\none\n<|im_end|>\n"
        "<|im_start|>assistant\ntwo<|im_end|>\n<|im_start|>user\n{{ three }}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_the_modelfile_and_the_bases_own_template_render_the_same_text(conversation: Messages) -> None:
    template = dict(ollama_commands(modelfile()))["TEMPLATE"]
    assert go_render(template, conversation) == jinja_render(conversation)


@given(st.lists(st.text(), min_size=2, max_size=6))
def test_both_templates_agree_on_any_text(contents: list[str]) -> None:
    roles = ["system", *(["user", "assistant"] * 3)]
    conversation = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    assert go_render(CHATML_GO, conversation) == jinja_render(conversation)


def test_the_whole_file_is_as_expected() -> None:
    assert modelfile(licence_text="Apache-2.0") == (
        "FROM ./a-Q8_0.gguf\n"
        'TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n'
        '{{ end }}<|im_start|>assistant\n"""\nSYSTEM """Answer with the licence expression only."""\n'
        "PARAMETER temperature 0\nPARAMETER num_ctx 4096\nPARAMETER num_predict 48\n"
        'PARAMETER stop "<|im_end|>"\nLICENSE """Apache-2.0"""\n'
    )


def test_num_predict_is_left_out_when_not_given() -> None:
    assert "num_predict" not in modelfile(parameters=Parameters(512, ("x",)))
    assert "num_predict" not in render_params(Parameters(512, ("x",)))


def test_the_params_file_says_what_the_modelfile_says() -> None:
    assert json.loads(render_params(PARAMETERS)) == {
        "temperature": 0, "num_ctx": 4096, "num_predict": 48, "stop": ["<|im_end|>"],
    }  # fmt: skip


def test_a_modelfile_reads_back_as_it_was_written() -> None:
    parameters = Parameters(512, ("<|im_end|>", "</s>"))
    read = read_modelfile(modelfile(parameters=parameters, system_prompt='Say "x"\n\tor y"'))
    assert read.parameters == parameters
    assert read.system_prompt == 'Say "x"\n\tor y"'
    assert (read.gguf_name, read.template, read.licence_text) == ("a-Q8_0.gguf", CHATML_GO, LICENCE_TEXT)


@pytest.mark.parametrize("text", ["", "FROM ./a.gguf\n", modelfile() + "FROM other\n", modelfile()[1:]])
def test_a_foreign_modelfile_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not laid out"):
        read_modelfile(text)


def test_changed_parameters_are_refused() -> None:
    with pytest.raises(BadInput, match="parameters"):
        read_modelfile(modelfile().replace("temperature 0", "temperature 1"))


BAD_NAMES = [
    "", ".", "..", "../x.gguf", "a/b.gguf", "a\\b.gguf", "/etc/passwd", "~/x.gguf", "a b.gguf", "a\x00.gguf",
    "a\nFROM evil.gguf", "a.gguf\n", "a\rb", "a\u2028b", "-flag", ".hidden", "é.gguf", "a" * 129, 'a".gguf',
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="not a plain name") as stop:
        modelfile(gguf_name=name)
    assert stop.value.remedy


BAD_PROMPTS = [
    "", " \n ", 'a"""\nFROM evil', '"""', 'x""""', "a\x00b", "a\rb", "a\u00a0b",
    "zero\u200bwidth", "\x1b[0m", "\ufeffa",
]  # fmt: skip


@pytest.mark.parametrize("prompt", BAD_PROMPTS)
@pytest.mark.parametrize("field", ["system_prompt", "licence_text"])
def test_a_text_that_ollama_would_change_is_refused(field: str, prompt: str) -> None:
    with pytest.raises(BadInput):
        modelfile(**{field: prompt})


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(0, ("x",)), Parameters(10, ()), Parameters(10, ("",)), Parameters(10, ('"',)),
        Parameters(10, ("x\nFROM evil",)), Parameters(10, (" x",)), Parameters(10, ("x",), 0),
    ],
)  # fmt: skip
def test_parameters_that_say_something_else_are_refused(parameters: Parameters) -> None:
    with pytest.raises(BadInput):
        modelfile(parameters=parameters)
    with pytest.raises(BadInput):
        render_params(parameters)


PIECES = ['"', '""', "\n", " ", "\t", "FROM evil", "SYSTEM", "#", "PARAMETER", "x", "'", "\\", "\x00", "é"]
NASTY = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=30)


@given(NASTY, NASTY, NASTY, NASTY)
def test_ollama_reads_back_exactly_our_values_or_nothing_is_written(
    name: str, prompt: str, stop: str, licence: str
) -> None:
    fields = {"gguf_name": name, "system_prompt": prompt, "licence_text": licence}
    for field, value in fields.items():
        try:
            text = modelfile(**{field: value, "parameters": Parameters(64, ("<|im_end|>",))})
        except BadInput:
            continue
        expected = {"gguf_name": "a-Q8_0.gguf", "system_prompt": SYSTEM_PROMPT, "licence_text": LICENCE_TEXT}
        expected[field] = value
        assert ollama_commands(text) == [
            ("FROM", f"./{expected['gguf_name']}"),
            ("TEMPLATE", CHATML_GO),
            ("SYSTEM", expected["system_prompt"]),
            ("PARAMETER", "temperature 0"),
            ("PARAMETER", "num_ctx 64"),
            ("PARAMETER", 'stop "<|im_end|>"'),
            ("LICENSE", expected["licence_text"]),
        ]
        assert getattr(read_modelfile(text), field) == value
    try:
        commands = ollama_commands(modelfile(parameters=Parameters(64, (stop,))))
    except BadInput:
        return
    assert commands[5] == ("PARAMETER", f'stop "{stop}"')
    assert len(commands) == 7


OTHER_TEMPLATES = {
    "llama 2": "{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}",
    "chatml with bos": "{{ bos_token }}" + SMOLLM2_TEMPLATE,
    "chatml that trims": SMOLLM2_TEMPLATE.replace("message['content']", "message['content'] | trim"),
    "chatml without the opening": SMOLLM2_TEMPLATE.replace("<|im_start|>assistant\n", ""),
    "chatml without line breaks": SMOLLM2_TEMPLATE.replace("'<|im_end|>' + '\n'", "'<|im_end|>'"),
    "only the last turn": "{% for message in messages[-2:] %}" + SMOLLM2_TEMPLATE.split("%}", 1)[1],
    "empty": "",
    "syntax error": "{% for %}",
    "raises": "{{ 1 / 0 }}",
    "unknown function": "{{ raise_exception('no') }}",
    "endless range": "{% for i in range(10 ** 9) %}x{% endfor %}",
    "escape attempt": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "too long": SMOLLM2_TEMPLATE + "{# " + "x" * 70_000 + " #}",
}


@pytest.mark.parametrize("template", OTHER_TEMPLATES.values(), ids=OTHER_TEMPLATES.keys())
def test_another_template_family_stops_loudly(template: str) -> None:
    assert family_of(template) is None
    with pytest.raises(BadInput, match=r"The chat template of the base (is of no|cannot be)") as stop:
        modelfile(template=template)
    assert "tuning.base" in stop.value.remedy


def test_the_template_of_the_default_base_is_chatml() -> None:
    assert check_template(SMOLLM2_TEMPLATE, model="SmolLM2").name == "ChatML"


def wheel_templates() -> dict[str, str]:
    """The chat templates of real models, as TRL ships them for comparison."""
    spec = importlib.util.find_spec("trl")
    assert spec and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations))) / "chat_templates"
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}


WHEEL = wheel_templates()
KNOWN = {
    "qwen2_5": "ChatML",
    "qwen3_instruct_2507": "ChatML",
    "qwen3": "ChatML, thinking off",
    "qwen3_5_think": "ChatML, thinking off, trimmed",
    "llama3": "Llama 3",
    "llama3_2": "Llama 3.2",
    "gemma3": "Gemma 3",
}


def as_ollama_sends(conversation: Messages, trims: str) -> Messages:
    """Contents as the Modelfile's reader is told to send them, where the template trims."""
    kept = {"nothing": {"system", "user", "assistant"}, "turns": {"system"}, "everything": set()}[trims]
    return [m if m["role"] in kept else {**m, "content": m["content"].strip()} for m in conversation]


def go_and_jinja(name: str, conversation: Messages) -> tuple[str, str]:
    """Render one chat by the Go template of the Modelfile and by the model's own, without its begin token."""
    family = check_template(WHEEL[name], model=name)
    go = dict(ollama_commands(modelfile(template=WHEEL[name])))["TEMPLATE"]
    own = render_chat(WHEEL[name], conversation, bos="<s>")
    assert own.startswith("<s>") == family.bos
    return go_render(go, as_ollama_sends(conversation, family.trims)), own.removeprefix("<s>")


@pytest.mark.parametrize("name", KNOWN)
def test_every_family_renders_as_the_real_template_of_its_model(name: str) -> None:
    family = check_template(WHEEL[name], model=name)
    assert family.name == KNOWN[name]
    chats = [*map(list, PROBES), *CONVERSATIONS]
    assert len(chats) >= 5
    for chat in chats:
        go, own = go_and_jinja(name, chat)
        assert go == own


def test_every_family_is_proven_by_a_real_template() -> None:
    assert {family.name for family in FAMILIES} == set(KNOWN.values())


@given(st.sampled_from(sorted(KNOWN)), st.lists(st.text(max_size=12), min_size=2, max_size=6))
def test_every_family_agrees_on_any_text(name: str, contents: list[str]) -> None:
    roles = ["system", *(["user", "assistant"] * 3)]
    chat = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    if chat[-1]["role"] == "assistant":
        chat = [*chat, {"role": "user", "content": "again"}]
    try:
        go, own = go_and_jinja(name, chat)
    except TemplateError:
        assert name == "qwen3_5_think"  # it refuses a chat without a real question
        return
    assert go == own


def test_no_real_template_is_taken_for_a_family_that_it_is_not() -> None:
    """A family is what two probes say; on other chats the real template must agree, or be unknown."""
    seen = 0
    for name, template in WHEEL.items():
        if family := family_of(template):
            seen += 1
            for chat in CONVERSATIONS:
                expected = family.expected(chat)
                assert render_chat(template, chat) == expected, name
    assert seen >= len(KNOWN)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gemma", "refuses a system message"),
        ("gptoss", "writes today's date into every prompt"),
        ("cohere", "is of no family that we can write for Ollama"),
    ],
)
def test_the_refusal_of_a_real_template_says_why(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=f"The chat template of {name} {words}") as stop:
        check_template(WHEEL[name], model=name)
    assert "Qwen/Qwen3-0.6B" in stop.value.remedy


def test_a_system_prompt_is_written_as_the_template_prints_it() -> None:
    spaced = " Answer. \n"
    assert (
        read_modelfile(modelfile(template=WHEEL["llama3_2"], system_prompt=spaced)).system_prompt == "Answer."
    )
    assert read_modelfile(modelfile(template=WHEEL["gemma3"], system_prompt=spaced)).system_prompt == spaced
    assert read_modelfile(modelfile(system_prompt=spaced)).system_prompt == spaced


def test_a_gguf_is_named_by_the_convention() -> None:
    name = gguf_name("SmolLM2-135M-Instruct", "licenses", "Q8_0", "1")
    assert name == "SmolLM2-135M-Instruct-licenses-v1-Q8_0.gguf"


@pytest.mark.parametrize(
    "parts",
    [
        ("../base", "t", "Q8_0", "1"), ("b", "t t", "Q8_0", "1"), ("b", "t", "q8_0", "1"),
        ("b", "t", "Q8_0\n", "1"), ("b", "t", "Q8_0", "v1"), ("b", "t", "Q8_0", "1\n"),
        ("b", "", "F16", "1"), ("b" * 120, "t", "F16", "1"),
    ],
)  # fmt: skip
def test_a_part_of_a_gguf_name_cannot_carry_a_path_or_a_line_break(parts: tuple[str, str, str, str]) -> None:
    with pytest.raises(BadInput):
        gguf_name(*parts)
