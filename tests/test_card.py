"""The card's numbers are the artifacts' numbers, and a blank stops it."""

from __future__ import annotations

import re

import pytest
import yaml

from card_sample import (
    CORRECT,
    SYSTEM_PROMPT,
    adapter,
    arms,
    card_input,
    case,
    failures,
    file_name,
    hex_of,
    ladder,
    provenance,
    serving,
    verdict,
)
from tuneproof.artifacts import Case, sha256_of
from tuneproof.card import SHOWN_FAILURES, lint_card, render_card, without_findings
from tuneproof.errors import BadInput, NotReady

CARD = render_card(card_input())
HEAD = yaml.safe_load(CARD.split("---\n")[1])
ADDRESS = "jane" + "@" + "example.org"


def section(title: str, card: str = CARD) -> str:
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    assert match, title
    return match[1]


def other_case(**task_file: object) -> Case:
    changed = case().task_file.model_dump() | task_file
    return Case.model_validate(case().model_dump() | {"task_file": changed})


def test_the_head_names_licence_base_and_use() -> None:
    assert {key: HEAD[key] for key in HEAD if key not in ("model-index", "tags")} == {
        "license": "apache-2.0",
        "library_name": "gguf",
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "base_model_relation": "quantized",
        "pipeline_tag": "text-generation",
    }
    assert {"gguf", "ollama"} <= set(HEAD["tags"])


def test_the_head_holds_the_rate_and_interval_of_every_published_file_and_no_other() -> None:
    (model,) = HEAD["model-index"]
    assert model["name"] == "licenses-GGUF"
    (result,) = model["results"]
    assert result["dataset"]["split"] == "test"
    assert result["dataset"]["revision"] == card_input().split.lock.test.sha256
    published = [arm for arm in arms() if arm.arm.file in (file_name("Q8_0"), file_name("Q4_K_M"))]
    assert len(published) == 2
    assert [metric["value"] for metric in result["metrics"]] == [arm.rate for arm in published]
    for metric, arm in zip(result["metrics"], published, strict=True):
        assert metric["type"] == "exact_match"
        assert f"{arm.interval.low:.4f} to {arm.interval.high:.4f}, n = {arm.n}" in metric["name"]


def test_a_base_unknown_to_the_hub_is_not_named_as_one() -> None:
    head = yaml.safe_load(render_card(card_input(adapter=adapter(hub_id=None))).split("---\n")[1])
    assert "base_model" not in head
    assert "base_model_relation" not in head


def test_the_files_table_holds_what_the_ladder_and_the_gates_say() -> None:
    rows = [line for line in section("Files").splitlines() if line.startswith("| SmolLM2")]
    assert len(rows) == 2
    for row, rung in zip(rows, ladder().files[1:], strict=True):
        correct = CORRECT[rung.quant]
        assert rung.file.name in row
        assert rung.file.sha256 in row
        assert f"{rung.file.bytes:,} bytes" in row
        assert f"{correct}/200 = {correct / 2:.1f} %" in row
        assert f"PASS: {rung.quant} reason." in row
        assert all(f"{t.tensors} {t.type} ({t.bytes:,} bytes)" in row for t in rung.holds)
    assert "181 fell back" in rows[1]
    assert "fell back" not in rows[0]


def test_training_and_evaluation_print_the_artifacts_numbers() -> None:
    training, evaluated = section("Training"), " ".join(section("How it was evaluated").split())
    assert "1003 of 1412" in training
    assert "8 epochs, 501 steps, 203 s" in training
    assert "0.2143, on dev 0.3871" in training
    assert f"weights dequantized from Q4_1 (sha256 {hex_of('gguf')})" in training
    assert "| learning_rate | 0.001 | task.yaml |" in training
    assert "| warmup | not used | default |" in training
    assert "218 groups, the largest of 4 rows; 11 train, 7 dev and 200 test rows" in evaluated
    assert "198 of 198 prompts are equal as text to what training saw and 197 as tokens" in evaluated
    assert "140 won, 2 lost of 200 | +69.0 points [+61.8, +75.2] | 1.5e-09 | PASS" in evaluated
    assert f"Plan, fixed before the first access: {sha256_of('plan')}" in evaluated
    assert "read: 4" in evaluated


def test_the_limits_say_what_was_not_measured() -> None:
    assert "Not measured: frontier (no key)." in section("Limits")
    assert "A gain below 8.3 points would often be missed with 200 test items." in section("Limits")
    assert "1 of the 9 test items whose output never occurs in train" in section("Limits")


def test_the_data_section_names_source_licence_and_who_labelled() -> None:
    assert "expert-labelled by the source, not reviewed here" in section("Data")
    assert "CC-BY-4.0" in section("Data")
    assert "nexB" in section("Data")
    assert "nexB" in section("Licence and attribution")


def test_the_commands_name_the_served_file_and_the_system_prompt() -> None:
    run = section("How to run")
    assert f"llama-server -m {file_name('Q8_0')} -c 4096" in run
    assert "ollama create licenses -f Modelfile\nollama run licenses" in run
    assert "ollama run hf.co/USER/licenses-GGUF:Q8_0" in run
    assert f"```text\n{SYSTEM_PROMPT}\n```" in run
    assert "```text\nLicensed under the <b>MIT</b> licence.\n```" in run


def test_real_failures_are_shown_and_counted() -> None:
    failed = " ".join(section("Where it fails").split())
    assert "has 59 of 200 test items wrong" in failed
    assert "broke 2 items" in failed
    assert "Shown here: 2" in failed
    assert "(empty reply)" in failed


def test_text_from_outside_cannot_end_its_block_or_its_cell() -> None:
    assert "````text\nRedistribution of sample 0 | is permitted.\n```\n# not a heading\n````" in CARD
    title = "A | title\n# with <script>"
    card = render_card(card_input(case=other_case(title=title)))
    assert "# A \\| title # with &lt;script>\n" in card
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "apache-2.0"


def test_a_template_in_a_value_stays_text() -> None:
    card = render_card(card_input(example=("{{ 7 * 7 }}", "mit", "mit")))
    assert "```text\n{{ 7 * 7 }}\n```" in card


def test_only_the_first_failures_are_shown() -> None:
    many = tuple(failures()[0].model_copy(update={"item_id": f"t{i}"}) for i in range(9))
    assert render_card(card_input(failures=many)).count("### Failure ") == SHOWN_FAILURES


BLANKS: dict[str, dict[str, object]] = {
    "statement": {"statement": " "},
    "table": {"table": ""},
    "attribution": {"provenance": provenance().model_copy(update={"attribution": ""})},
    "data licence": {"provenance": provenance().model_copy(update={"licence": ""})},
    "base licence": {"adapter": adapter(licence="")},
    "settings": {"adapter": adapter().model_copy(update={"settings": ()})},
    "headline": {"verdict": verdict().model_copy(update={"headline": ""})},
    "machine": {"serving": serving(machine="")},
    "example": {"example": ("", "mit", "mit")},
    "failures": {"failures": ()},
    "files": {"files": ()},
    "measured arm": {"verdict": verdict().model_copy(update={"arms": ()})},
    "gate": {"verdict": verdict().model_copy(update={"gates": ()})},
    "served file": {"files": (ladder().files[2].file,)},
    "another file": {"files": (ladder().files[1].file.model_copy(update={"bytes": 1}),)},
    "tensor types": {
        "ladder": ladder().model_copy(
            update={"files": tuple(f.model_copy(update={"holds": ()}) for f in ladder().files)}
        )
    },
    "blank cell of the table": {"table": "| a | b |\n|---|---|\n| x | None |"},
}


@pytest.mark.parametrize("changes", BLANKS.values(), ids=BLANKS.keys())
def test_a_missing_value_stops_the_card_with_a_remedy(changes: dict[str, object]) -> None:
    with pytest.raises(NotReady) as stop:
        render_card(card_input(**changes))
    assert stop.value.remedy


def test_every_missing_value_is_named_at_once() -> None:
    with pytest.raises(NotReady, match=r"provenance\.attribution, statement"):
        render_card(card_input(statement="", **BLANKS["attribution"]))


def test_a_hub_id_cannot_carry_a_command() -> None:
    with pytest.raises(BadInput):
        render_card(card_input(hub_id="USER/x; rm -rf"))


def test_an_example_or_failure_with_an_address_is_refused_without_repeating_it() -> None:
    leaky = failures()[0].model_copy(update={"input": f"by {ADDRESS}"})
    for changes in ({"example": (ADDRESS, "mit", "mit")}, {"failures": (leaky,)}):
        with pytest.raises(NotReady, match="email address") as stop:
            render_card(card_input(**changes))
        assert ADDRESS not in str(stop.value)
    assert without_findings((leaky, *failures())) == failures()


def test_the_finished_card_has_no_complaint() -> None:
    assert lint_card(CARD) == ()


LINT = {
    "## A\n\n## B\n\ntext": "empty section 'A'",
    "## A\n\ntext\n\n## B\n": "empty section 'B'",
    "## A\n\n```text\n\n```\n\n## B\ntext": "empty section 'A'",
    "### A\n\n## B\ntext": "empty section 'A'",
    "## A\n[More Information Needed]": "placeholder",
    "## A\nTODO: write": "placeholder",
    "## A\n{{ value }}": "placeholder",
    "## A\n\n| a | b |\n|---|---|\n| x | None |": "blank cell 'None'",
    "## A\n\n| a | b |\n| :-- | --: |\n| nan | 1 |": "blank cell 'nan'",
    "## A\n\n| a | b |\n|---|---|\n| x |  |": "blank cell ''",
}


@pytest.mark.parametrize(("text", "complaint"), LINT.items())
def test_lint_names_the_blank(text: str, complaint: str) -> None:
    (found,) = lint_card(text)
    assert complaint in found


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\n## A\n\ntext",
        "## A\n\n### B\n\ntext",
        "## A\n\n```text\nTODO None\n# no heading\n```",
        "## A\n\n|  | b |\n|---|---|\n| x | 1 |",
        "---\nlicense: mit\n---\n## A\nNone of it.",
    ],
)
def test_lint_lets_full_text_pass(text: str) -> None:
    assert lint_card(text) == ()
