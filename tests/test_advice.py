"""The answers of a person, and the advice before data and after the scores."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sample import sample_case
from test_contrasts import scored_of
from tuneproof.advice import Scores, advice_after, advice_before, next_step, scores_from
from tuneproof.answers import (
    KEYS,
    QUESTIONS,
    Question,
    read_answers,
    read_task_pressures,
    value_of,
    with_goal,
)
from tuneproof.artifacts.case import Advice, PressureSection
from tuneproof.contrasts import Scored
from tuneproof.errors import BadInput
from tuneproof.task_text import blank_task_yaml
from tuneproof.triage import triage_of

PAGE = (Path(__file__).parents[1] / "docs" / "advise.md").read_text("utf-8")
CASES = re.findall(r"### (.+)\n\n```yaml\n((?:.+\n)+)```\n\n\*\*(.+)\*\*: (.+)\n", PAGE)
N = 200


def question(key: str) -> Question:
    return next(each for each in QUESTIONS if each.key == key)


# The page


@pytest.mark.parametrize(("title", "answers", "advice", "reasons"), CASES, ids=[c[0] for c in CASES])
def test_every_worked_case_of_the_page_is_what_the_rules_say(
    title: str, answers: str, advice: str, reasons: str
) -> None:
    triage = triage_of(read_answers(answers.encode(), title))
    assert (triage.advice, "; ".join(triage.reasons)) == (advice, reasons)


def test_the_page_works_six_cases_and_every_advice_is_among_them() -> None:
    assert len(CASES) == 6
    assert {case[2] for case in CASES} == {
        "RAG", "fine-tune", "rent a bigger model", "better prompt", "not yet",
    }  # fmt: skip


# Answers


def test_every_key_of_the_pressures_has_one_question_and_the_goal_comes_first() -> None:
    assert sorted(q.key for q in QUESTIONS) == sorted(KEYS)
    assert QUESTIONS[0].key == "goal"
    asked = {q.key: index for index, q in enumerate(QUESTIONS)}
    follow = [q for q in QUESTIONS if q.after]
    assert len(follow) == 4
    assert all(asked[key] < asked[q.key] for q in follow for key in q.after)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("exact_format", "yes\n", True),
        ("exact_format", " Y ", True),
        ("exact_format", "no", False),
        ("exact_format", "\n", False),
        ("prompt_tried", "", None),
        ("prompt_tried", "no", False),
        ("calls_per_month", "2000000", 2_000_000),
        ("calls_per_month", "2,000,000", 2_000_000),
        ("calls_per_month", "2M", 2_000_000),
        ("calls_per_month", "1.5 k", 1500),
        ("calls_per_month", "", None),
        ("usd_per_1000_calls", "0.40", 0.4),
        ("usd_per_1000_calls", "3", 3),
        ("latency_ms", "200", 200),
        ("goal", " so it knows \n", "so it knows"),
        ("goal", "", ""),
    ],
)
def test_an_answer_is_read(key: str, text: str, value: object) -> None:
    found = value_of(question(key), text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("exact_format", "maybe"),
        ("calls_per_month", "many"),
        ("calls_per_month", "2.5"),
        ("calls_per_month", "2,5"),
        ("calls_per_month", "-3"),
        ("usd_per_1000_calls", "0,40"),
        ("usd_per_1000_calls", "nan"),
        ("usd_per_1000_calls", "1e3"),
        ("latency_ms", "0"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_quoted(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        value_of(question(key), text)


pressures = st.builds(
    PressureSection,
    goal=st.text(st.characters(codec="utf-8"), max_size=120),
    prompt_tried=st.none() | st.booleans(),
    calls_per_month=st.none() | st.integers(0, 10**12),
    usd_per_1000_calls=st.none() | st.floats(0, 1e6),
    latency_ms=st.none() | st.integers(1, 10**6),
    **{key: st.booleans() for key, field in PressureSection.model_fields.items() if field.annotation is bool},
)


@given(pressures)
def test_what_advise_writes_into_a_blank_task_file_is_read_back_and_gets_the_same_advice(
    said: PressureSection,
) -> None:
    text = blank_task_yaml("my-task", said)
    again = read_task_pressures(text.encode(), "task.yaml")
    assert again == said
    assert advice_before(again) == advice_before(said)
    assert blank_task_yaml("my-task") == blank_task_yaml("my-task", PressureSection())


@given(pressures)
def test_answers_are_read_from_yaml_and_from_json_alike(said: PressureSection) -> None:
    document = said.model_dump(mode="json")
    texts = (
        json.dumps(document),
        json.dumps(document, indent="\t", ensure_ascii=False),
        yaml.safe_dump(document, allow_unicode=True),
    )
    for text in texts:
        assert read_answers(text.encode(), "answers") == said


def test_every_wrong_key_and_value_is_named_with_its_line_and_a_near_key() -> None:
    text = "exact_formt: true\nhigh_volume: maybe\nlatency_ms: 0\nprivacy: true\nprivacy: true\nzzz: 1\n"
    with pytest.raises(BadInput) as caught:
        read_answers(text.encode(), "a.yaml")
    lines = caught.value.problem.splitlines()
    assert len(lines) == 5
    assert lines[0] == "a.yaml:1: exact_formt: unknown key; did you mean 'exact_format'?"
    assert lines[1].startswith("a.yaml:2: high_volume: ") and lines[1].endswith("(is 'maybe')")
    assert lines[2].startswith("a.yaml:3: latency_ms: ")
    assert lines[3] == "a.yaml:5: privacy: this key occurs twice"
    assert lines[4].startswith("a.yaml:6: zzz: unknown key; known: exact_format, ")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "holds no keys with values"),
        (b"- a\n", "a:1: the file holds no keys"),
        (b"fine-tune please", "holds no keys"),
        (b"goal: [", "is not YAML"),
        (b'{"goal": "a", "goal": "b"}', "goal: this key occurs twice"),
        (b'{"gaol": "a"}', "did you mean 'goal'"),
        (b'{"goal": ', "is not YAML"),
        (b'{"goal": "\\ud800"}', "goal: "),
        (b'{"usd_per_1000_calls": NaN}', "finite"),
        (b"goal: \xff", "not UTF-8: byte 0xff at place 7"),
        (b"calls_per_month: 2024-13-01", "1: calls_per_month: this value cannot be read"),
        (b"privacy: !!python/name:os.system x", "1: privacy: this value cannot be read"),
        (b"privacy: {a: 1}", "privacy: "),
        (b"? [a, b]\n: 1\n", "unknown key"),
        (b"[" * 5000, "nested too deeply"),
        (b"{" * 5000, "nested too deeply"),
        (b'{"a":' * 5000, "nested too deeply"),
    ],
)
def test_a_file_that_holds_no_answers_is_refused_without_a_traceback(data: bytes, problem: str) -> None:
    with pytest.raises(BadInput, match=re.escape(problem)):
        read_answers(data, "a")


def test_the_pressures_of_a_task_file_are_read_though_the_rest_is_open_or_wrong() -> None:
    text = "name: ''\ndata:\n  pairs: 2024-13-01\npressures:\n  privacy: true\nnonsense: 1\n"
    assert read_task_pressures(text.encode(), "task.yaml") == PressureSection(privacy=True)
    for wrong, problem in (
        ("name: a\n", "task.yaml has no `pressures:`"),
        ("name: a\npressures:\n", "task.yaml:2: pressures holds no keys"),
        ("pressures:\n  a: 1\n  prompt_tryed: true\n", "task.yaml:3: pressures.prompt_tryed: unknown key"),
    ):
        with pytest.raises(BadInput, match=re.escape(problem)):
            read_task_pressures(wrong.encode(), "task.yaml")


def test_a_goal_of_the_command_line_takes_the_place_of_the_other() -> None:
    said = PressureSection(goal="a", privacy=True)
    assert with_goal(said, None) == said
    assert with_goal(said, " b ") == PressureSection(goal="b", privacy=True)
    for wrong in ("", " \n", "a\udcff"):
        with pytest.raises(BadInput, match="--goal"):
            with_goal(said, wrong)


# After the scores


def arms(base: int, tuned: int, frontier: int | None = None) -> Scored:
    """The first items are right; so who has more right has all that the other has."""
    right = {"base": [i < base for i in range(N)], "adapter": [i < tuned for i in range(N)]}
    if frontier is not None:
        right["frontier"] = [i < frontier for i in range(N)]
    return scored_of(right, titles={"base": "Base, 5 examples", "adapter": "Tuned", "frontier": "Large"})


def scores(base: int, tuned: int, frontier: int | None = None) -> Scores:
    return scores_from(arms(base, tuned, frontier))


@pytest.mark.parametrize(
    ("numbers", "privacy", "advice", "words"),
    [
        ((150, 151, 152), False, "better prompt", "as good as the frontier within 5.0 points (n = 200)"),
        ((150, 140, 120), False, "better prompt", "as good as the frontier"),
        ((150, 190, 152), False, "fine-tune", "is shown better than its best base (+20.0 points"),
        ((192, 193), False, "better prompt", "interval reaches 90.0 %, and no frontier was measured"),
        ((187, 188), False, "not yet", "is not shown better"),
        ((20, 150, 190), False, "rent a bigger model", "more than the 10.0 points that a price can pay for"),
        ((20, 150, 190), True, "fine-tune", "the frontier is no choice"),
        ((20, 150, 170), False, "fine-tune", "tuned against frontier: −10.0 points"),
        ((20, 150, 171), False, "rent a bigger model", "tuned against frontier: −10.5 points"),
        ((100, 101, 110), False, "not yet", "with "),
        ((100, 60), False, "not yet", "(−20.0 points"),
        ((20, 150), False, "fine-tune", "the frontier was not measured"),
    ],
)
def test_after_the_scores_the_first_rule_that_applies_decides(
    numbers: tuple[int, ...], privacy: bool, advice: Advice, words: str
) -> None:
    advised = advice_after(PressureSection(exact_format=True, privacy=privacy), scores(*numbers))
    assert (advised.stage, advised.triage.advice) == ("after scores", advice)
    assert words in "; ".join(advised.triage.reasons)
    assert advised.paragraph.startswith(f"Advice after the scores: {advice}, because ")


def test_every_rate_after_the_scores_has_its_interval_and_n() -> None:
    said = 0
    for numbers in ((150, 151, 152), (20, 150, 190), (100, 101), (20, 150, 170)):
        reasons = advice_after(PressureSection(), scores(*numbers)).triage.reasons
        for share in [text for text in reasons if re.search(r"\d\.\d (?:%|points) \(|\(\W\d", text)]:
            assert "n = 200" in share, share
            said += 1
    assert said >= 12


def test_knowledge_stands_before_every_score() -> None:
    advised = advice_after(PressureSection(goal="so it knows our product docs"), scores(20, 190, 150))
    assert (advised.stage, advised.triage.advice) == ("after scores", "RAG")


def test_the_best_base_is_the_one_with_most_right_and_groups_count_as_one() -> None:
    right = {
        "base": [i < 20 for i in range(N)],
        "base-best": [i < 60 for i in range(N)],
        "adapter": [i < 150 for i in range(N)],
    }
    several = scored_of(right)
    results = dict(several.results)
    results["base-best"] = results["base-best"].model_copy(
        update={"arm": results["base-best"].arm.model_copy(update={"kind": "base"})}
    )
    found = scores_from(several._replace(results=results))
    assert (found.base.arm.name, found.gain.against, found.gain.difference) == (
        "base-best",
        "base-best",
        0.45,
    )

    grouped = scored_of(
        {"base": [i < 60 for i in range(N)], "adapter": [i < 150 for i in range(N)]},
        groups=[f"g{i // 50}" for i in range(N)],
    )
    assert not scores_from(grouped).gained, "four groups cannot show a gain"
    assert advice_after(PressureSection(), scores_from(grouped)).triage.advice == "not yet"
    with_frontier = scored_of(
        {"base": [i < 60 for i in range(N)], "adapter": [i < 100 for i in range(N)], "frontier": [True] * N},
        groups=[f"g{i // 100}" for i in range(N)],
    )
    found = scores_from(with_frontier)
    assert found.against is not None and found.against.difference == -0.5
    assert advice_after(PressureSection(), found).triage.advice == "not yet", "two groups show no lead either"


def test_the_thresholds_come_from_the_task_file() -> None:
    close, far = scores(20, 150, 171), scores(150, 151, 160)
    assert advice_after(PressureSection(), far).triage.advice != "better prompt"
    wide = close._replace(gate=close.gate.model_copy(update={"most_points_for_cost": 12.0}))
    assert advice_after(PressureSection(), wide).triage.advice == "fine-tune"
    case = sample_case()
    gate = case.task_file.gate.model_copy(update={"frontier_margin_points": 12.0})
    scored = arms(150, 151, 160)
    task_file = case.task_file.model_copy(update={"gate": gate})
    table = scored.table._replace(case=case.model_copy(update={"task_file": task_file}))
    lenient = scores_from(scored._replace(table=table))
    assert advice_after(PressureSection(), lenient).triage.advice == "better prompt"


# What to do next


@pytest.mark.parametrize(
    ("said", "project", "open_task", "following", "expected"),
    [
        ({"privacy": True}, "", False, "", "tuneproof init --pairs FILE --project my-task"),
        ({"privacy": True}, "p", True, "", "fill in the empty values of p/task.yaml"),
        ({"privacy": True}, "p", False, "tuneproof draft --project p", "tuneproof draft --project p"),
        ({"documents": True}, "p", False, "tuneproof draft --project p", "put the facts into the prompt"),
        ({}, "p", False, "", "set it in p/task.yaml, then tuneproof advise --project p"),
        ({}, "", False, "", "set it in the answers, then tuneproof advise"),
        ({"broad_reasoning": True}, "", False, "", "try the biggest model"),
        (
            {"exact_format": True, "prompt_tried": False},
            "p",
            True,
            "",
            "set prompt_tried: true in p/task.yaml",
        ),
    ],
)
def test_the_next_step_depends_on_the_advice(
    said: dict[str, object], project: str, open_task: bool, following: str, expected: str
) -> None:
    advised = advice_before(PressureSection.model_validate(said))
    assert expected in next_step(advised, project=project, open_task=open_task, following=following)


def test_after_the_scores_the_story_goes_on_or_pairs_are_read() -> None:
    where = {"project": "p", "open_task": False, "following": "tuneproof quantize --project p"}
    good, poor = (advice_after(PressureSection(), scores(*n)) for n in ((20, 150), (100, 101)))
    assert next_step(good, **where) == "tuneproof quantize --project p"  # type: ignore[arg-type]
    assert next_step(poor, **where) == "tuneproof review --reread 50 --project p"  # type: ignore[arg-type]
