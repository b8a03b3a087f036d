"""Cheap rivals: fitted where they can be, said where they cannot; and a rule of the user's own."""

from __future__ import annotations

import pytest

from tuneproof.artifacts import SplitRow
from tuneproof.errors import BadInput
from tuneproof.rivals import answer_with, fit_rivals, not_fitted, rule_rival


def rows(outputs: list[str]) -> list[SplitRow]:
    return [
        SplitRow(id=f"r{i}", group=f"g{i}", input=f"word{i % 7} text about {output} number{i}", output=output)
        for i, output in enumerate(outputs)
    ]


def test_a_classifier_is_fitted_where_answers_repeat() -> None:
    train = rows(["mit", "isc"] * 20)
    assert [r.arm.name for r in fit_rivals(train)] == ["majority", "nearest-neighbour", "tfidf-logistic"]
    assert not_fitted(train) == {}


def test_where_every_answer_differs_no_classifier_is_fitted_and_it_is_said() -> None:
    train = rows([f"answer {i}" for i in range(40)])
    assert [r.arm.name for r in fit_rivals(train)] == ["majority", "nearest-neighbour"]
    assert not_fitted(train) == {"tfidf-logistic": "40 different answers in 40 pairs: no classes to learn"}


def test_a_rule_is_an_arm_and_none_is_an_empty_answer() -> None:
    rival = rule_rival("rule:answer", lambda text: "mit" if "mit" in text else None)
    replies = answer_with(rival, rows(["mit", "isc"]))
    assert rival.arm.name == "rule" and rival.arm.kind == "rival" and "rule:answer" in rival.arm.title
    assert [reply.text for reply in replies] == ["mit", ""]
    assert all(reply.ms is not None for reply in replies)


def test_a_rule_that_returns_no_text_is_refused_with_what_it_returned() -> None:
    rival = rule_rival("rule:answer", lambda _text: 42)
    with pytest.raises(BadInput, match=r"rule:answer returned 42 for"):
        answer_with(rival, rows(["mit"]))
