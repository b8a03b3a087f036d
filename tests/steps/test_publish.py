"""Only what passed its own gate goes up, under known licences, with nothing private in it."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from card_sample import (
    LICENCE_TEXT,
    SYSTEM_PROMPT,
    adapter,
    card_input,
    case,
    file_name,
    ladder,
    serving,
    verdict,
)
from fakes import CHATML
from tuneproof.artifacts import Case
from tuneproof.card import render_card
from tuneproof.errors import BadInput, GateNotPassed, NotReady
from tuneproof.modelfile import CHATML_GO
from tuneproof.steps import publish as step
from tuneproof.steps.publish import (
    TEXT_NAMES,
    ReleasePlan,
    plan_release,
    publish,
    release_texts,
    resolve_licence,
)

ADDRESS = "jane" + "@" + "example.org"


def plan(**changes: object) -> ReleasePlan:
    fields = {"case": case(), "verdict": verdict(), "adapter": adapter(), "serving": serving()} | changes
    return plan_release(ladder=ladder(), **fields)  # type: ignore[arg-type]


def texts(made: ReleasePlan, **changes: object) -> dict[str, str]:
    readme = render_card(card_input(files=tuple(rung.file for rung in made.files)))
    fields = {"case": case(), "serving": serving(), "readme": readme, "licence_text": LICENCE_TEXT}
    fields["template"] = CHATML
    return release_texts(made, **(fields | changes))  # type: ignore[arg-type]


def names(made: ReleasePlan) -> list[str]:
    return [rung.file.name for rung in made.files]


def test_every_file_that_passed_goes_up_in_the_ladders_order() -> None:
    assert names(plan()) == [file_name(q) for q in ("F16", "Q8_0", "Q4_K_M")]


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE"])
def test_a_file_whose_own_gate_is_not_pass_stays_back_with_the_reason(outcome: str) -> None:
    made = plan(verdict=verdict(Q4_K_M=outcome))
    assert names(made) == [file_name("F16"), file_name("Q8_0")]
    why = {held.name: held.why for held in made.withheld}
    assert why[file_name("Q4_K_M")] == f"its gate is {outcome}: Q4_K_M reason."


def test_a_file_without_a_gate_stays_back() -> None:
    gates = tuple(g for g in verdict().gates if g.file != file_name("Q4_K_M"))
    made = plan(verdict=verdict().model_copy(update={"gates": gates}))
    assert file_name("Q4_K_M") not in names(made)
    assert made.withheld[0].why == "no gate was run for this file"


def test_one_failed_gate_of_a_name_is_enough_to_hold_the_file_back() -> None:
    gates = (*verdict().gates, *verdict(Q4_K_M="FAIL").gates)
    assert file_name("Q4_K_M") not in names(plan(verdict=verdict().model_copy(update={"gates": gates})))


def test_no_passed_file_means_exit_3_and_a_remedy() -> None:
    with pytest.raises(GateNotPassed, match=r"FAIL: F16 reason.*INCONCLUSIVE: Q8_0 reason") as stop:
        plan(verdict=verdict(F16="FAIL", Q8_0="INCONCLUSIVE", Q4_K_M="FAIL"))
    assert stop.value.exit_code == 3
    remedy = stop.value.remedy
    assert remedy.startswith("tuneproof review --reread 50"), "bad pairs before any setting"
    assert remedy.index("--reread") < remedy.index("`tuning` in task.yaml") < remedy.index("--override")


def test_a_served_file_that_did_not_pass_stops_the_release() -> None:
    with pytest.raises(NotReady, match=r"Q8_0\.gguf does not go up: its gate is FAIL"):
        plan(verdict=verdict(Q8_0="FAIL"))


def test_an_adapter_on_dequantized_weights_stays_back_for_that_reason() -> None:
    held = {w.name: w.why for w in plan().withheld}
    assert "dequantized from Q4_1" in held["adapter_model.safetensors"]
    assert "Hub's base weights" in held["adapter_model.safetensors"]
    plain = {w.name: w.why for w in plan(adapter=adapter(weights_note="")).withheld}
    assert plain["adapter_model.safetensors"] == "this release holds GGUF files only"


@pytest.mark.parametrize("licence", ["", "llama3.2", "proprietary", "Apache", "GPL-3.0-only"])
def test_an_unknown_licence_stops_the_release(licence: str) -> None:
    with pytest.raises(NotReady, match="not known here") as stop:
        plan(adapter=adapter(licence=licence))
    assert "Apache-2.0" in stop.value.remedy


def test_an_unknown_licence_of_the_data_stops_the_release() -> None:
    task_file = case().task_file.model_dump()
    task_file["data"]["licence"] = "unclear"
    changed = Case.model_validate(case().model_dump() | {"task_file": task_file})
    with pytest.raises(NotReady, match="training data is 'unclear'"):
        plan(case=changed)


def test_a_known_licence_that_does_not_allow_it_stops_the_release() -> None:
    with pytest.raises(NotReady, match="Not for commercial use"):
        resolve_licence("CC-BY-NC-4.0", what="base")


def test_a_licence_is_known_in_any_case_of_its_letters() -> None:
    assert resolve_licence("apache-2.0", what="base").spdx == "Apache-2.0"


def test_the_release_lists_every_file_with_its_size_and_digest_and_the_card_last() -> None:
    made = plan(verdict=verdict(Q4_K_M="FAIL"))
    small = texts(made)
    release = publish(made, small)
    (repo,) = release.repos
    assert (repo.name, repo.kind, repo.private) == ("licenses-GGUF", "model", True)
    assert [f.name for f in repo.files] == [file_name("F16"), file_name("Q8_0"), *TEXT_NAMES]
    assert repo.files[-1].name == "README.md"
    assert repo.files[:2] == tuple(rung.file for rung in ladder().files[:2])
    for file in repo.files[2:]:
        content = small[file.name].encode()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (release.scanned_files, release.findings, release.licence) == (7, 0, "Apache-2.0")
    assert release.withheld == made.withheld


def test_the_small_files_are_those_that_were_served() -> None:
    made = plan()
    small = texts(made)
    assert small["Modelfile"] == serving().modelfile
    assert small["template"] == CHATML_GO
    assert small["system"] == SYSTEM_PROMPT
    assert json.loads(small["params"]) == {
        "temperature": 0, "num_ctx": 4096, "num_predict": 48, "stop": ["<|im_end|>"],
    }  # fmt: skip
    assert small["LICENSE"] == LICENCE_TEXT


def test_the_notice_carries_both_licences_the_attribution_and_the_changes() -> None:
    notice = texts(plan())["NOTICE"]
    for needed in (
        "Apache-2.0",
        "CC-BY-4.0",
        "nexB",
        "https://creativecommons.org/licenses/by/4.0/",
        "fine-tuned",
    ):
        assert needed in notice


def test_a_modelfile_of_another_case_is_refused() -> None:
    changed = serving(modelfile=serving().modelfile.replace(SYSTEM_PROMPT, "Other prompt."))
    with pytest.raises(NotReady, match=r"Other prompt\."):
        texts(plan(), serving=changed)


def test_a_modelfile_of_another_file_is_refused() -> None:
    with pytest.raises(NotReady, match="F16"):
        texts(plan(), serving=serving(modelfile=serving("F16").modelfile))


def test_a_modelfile_with_another_template_is_refused() -> None:
    changed = serving(modelfile=serving().modelfile.replace("{{ .Content }}", "{{ .Content }} "))
    with pytest.raises(NotReady, match="another template"):
        texts(plan(), serving=changed)


def test_the_text_of_another_licence_is_refused() -> None:
    with pytest.raises(NotReady, match="Apache License"):
        texts(plan(), licence_text="Permission is hereby granted")


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_a_secret_in_any_text_stops_the_release_without_being_repeated(name: str) -> None:
    made = plan()
    token = "h" + "f_" + "Zx9" * 12
    small = texts(made)
    small[name] += f"\n{token} {ADDRESS}\n"
    with pytest.raises(NotReady, match=f"(?s)holds 2 .*{name}:.*Hugging Face token") as stop:
        publish(made, small)
    assert token not in str(stop.value)
    assert ADDRESS not in str(stop.value)


def test_an_allowed_address_of_an_attribution_passes() -> None:
    made = plan()
    small = texts(made)
    small["NOTICE"] += ADDRESS
    assert publish(made, small, allow=frozenset({ADDRESS})).findings == 0


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_a_missing_or_empty_text_stops_the_release(name: str) -> None:
    made = plan()
    small = texts(made)
    with pytest.raises(BadInput, match="must hold"):
        publish(made, {k: v for k, v in small.items() if k != name})
    with pytest.raises(NotReady, match=f"{name} is empty"):
        publish(made, small | {name: " "})


def test_a_text_too_many_stops_the_release() -> None:
    made = plan()
    with pytest.raises(BadInput, match="notes"):
        publish(made, texts(made) | {"notes.txt": "x"})


def test_a_card_with_a_blank_or_without_a_file_stops_the_release() -> None:
    made = plan()
    small = texts(made)
    with pytest.raises(NotReady, match="empty section 'More'"):
        publish(made, small | {"README.md": small["README.md"] + "\n## More\n"})
    with pytest.raises(NotReady, match=f"does not name {file_name('Q4_K_M')}"):
        publish(made, small | {"README.md": small["README.md"].replace(file_name("Q4_K_M"), "x")})


def test_the_same_input_gives_the_same_release() -> None:
    made = plan()
    assert publish(made, texts(made)).digest == publish(plan(), texts(plan())).digest


def test_the_step_touches_no_disk_no_console_and_no_project_folder() -> None:
    banned = ("pathlib", "os", "typer", "rich", "tuneproof.workspace", "tuneproof.cli")
    tree = ast.parse(inspect.getsource(step))
    imported = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    imported += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert len(imported) > 5
    assert not [name for name in imported if name.split(".")[0] in banned or name in banned]
