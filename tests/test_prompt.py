"""One place makes the messages, and their hash notices every change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts import SplitRow
from tuneproof.prompt import TemplateError, messages_for, prompts_hash, render_chat, template_switches

TEXTS = st.lists(st.text(max_size=20), min_size=1, max_size=5)


def shot(number: int) -> SplitRow:
    return SplitRow(id=f"s{number}", group="g", input=f"in {number}", output=f"out {number}")


@given(st.text(), st.text(), st.integers(0, 4))
def test_the_system_prompt_comes_first_and_the_question_last_unchanged(
    system: str, text: str, count: int
) -> None:
    chat = messages_for(system, text, shots=[shot(i) for i in range(count)])
    assert chat[0] == {"role": "system", "content": system}
    assert chat[-1] == {"role": "user", "content": text}
    assert [m["role"] for m in chat] == ["system", *["user", "assistant"] * count, "user"]


def test_an_empty_system_prompt_is_sent_too() -> None:
    """Without one the base's template would put its own there."""
    assert messages_for("", "hi")[0] == {"role": "system", "content": ""}


def test_examples_become_finished_turns_in_their_order() -> None:
    chat = messages_for("s", "question", shots=[shot(2), shot(1)])
    assert [m["content"] for m in chat] == ["s", "in 2", "out 2", "in 1", "out 1", "question"]


@given(st.text(), TEXTS)
def test_equal_prompts_have_one_hash(system: str, texts: list[str]) -> None:
    assert prompts_hash(system, texts) == prompts_hash(system, tuple(texts))


@given(st.text(), TEXTS, st.data())
def test_every_change_of_a_prompt_or_an_input_changes_the_hash(
    system: str, texts: list[str], data: st.DataObject
) -> None:
    before = prompts_hash(system, texts)
    at = data.draw(st.integers(0, len(texts) - 1))
    edited = [*texts[:at], texts[at] + "x", *texts[at + 1 :]]
    changed = [
        prompts_hash(system + " ", texts),
        prompts_hash(system, edited),
        prompts_hash(system, texts[1:]),
    ]
    if texts[::-1] != texts:
        changed.append(prompts_hash(system, texts[::-1]))
    assert before not in changed


def test_text_cannot_move_between_the_system_prompt_and_the_input() -> None:
    assert prompts_hash("ab", ["c"]) != prompts_hash("a", ["bc"])
    assert prompts_hash("a", ["b", "c"]) != prompts_hash("a", ["bc"])


SWITCHED = {
    "{{ enable_thinking }}": {"enable_thinking": False},
    "{% if enable_thinking is defined and enable_thinking is false %}x{% endif %}": {
        "enable_thinking": False
    },
    "{% if not date_string is defined %}{% set date_string = 'now' %}{% endif %}{{ date_string }}": {
        "date_string": "26 Jul 2024"
    },
    "{% if thinking %}{{ enable_thinking }}{% endif %}": {"enable_thinking": False, "thinking": False},
    "{# enable_thinking #}{{ 'enable_thinking' }} enable_thinking": {},
    "{{ message.enable_thinking }}{{ messages[0]['thinking'] }}": {},
    "{% set thinking = true %}": {},
    "{% generation %}{{ thinking }}{% endgeneration %}": {"thinking": False},
    "": {},
}


@pytest.mark.parametrize("template", SWITCHED)
def test_a_switch_is_what_the_template_reads_and_not_what_it_mentions(template: str) -> None:
    assert template_switches(template) == SWITCHED[template]


def test_a_template_is_rendered_with_its_switches_and_a_clock_that_stands_still() -> None:
    template = (
        "{{ bos_token }}{{ enable_thinking }} {{ strftime_now('%Y') }} {{ messages[0].content | tojson }}"
    )
    chat = [{"role": "user", "content": "é <b>"}]
    assert render_chat(template, chat, bos="<s>", today="T") == '<s>False T "é <b>"'


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('no system') }}", "no system"),
        ("{% for %}", "cannot be parsed"),
        ("{{ 1 / 0 }}", "division"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "Range too big"),
        ("x" * 70_000, "more than 65536"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_that_breaks_says_how(template: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        render_chat(template, [{"role": "user", "content": "x"}])
