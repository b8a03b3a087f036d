"""Step 10 · publish: everything → Release, exactly what would be uploaded, with nothing uploaded.

Three calls: `plan_release` decides which files may go up, `release_texts` makes the small files around
them, and `publish` checks every text and writes down the release. Only a GGUF file whose own gate is PASS
goes up; the gate of another file of the same run proves nothing about it.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from tuneproof.artifacts import (
    Adapter,
    Case,
    FileRef,
    GgufFile,
    Ladder,
    Release,
    Repo,
    Serving,
    Verdict,
    Withheld,
)
from tuneproof.card import lint_card
from tuneproof.errors import BadInput, GateNotPassed, NotReady
from tuneproof.modelfile import check_template, read_modelfile, render_params
from tuneproof.names import check_name
from tuneproof.scan import Finding, scan_text
from tuneproof.verdict_facts import MOST_EXCLUDED, MOST_ROUNDS

TEXT_NAMES = ("LICENSE", "NOTICE", "Modelfile", "template", "system", "params", "README.md")
"""In upload order; the card goes last, so that it never describes files that are not there yet."""

LEAST_WORDS = 4
"""A reason for an override has so many different words."""

LICENCES_LISTED_ON = "2026-11-24"
"""When the table below was written, from general knowledge of these licences; it is no legal advice."""


class KnownLicence(NamedTuple):
    """What a licence means for weights that carry it, or were trained on data that carries it."""

    spdx: str
    title: str
    """A phrase of the full text, by which a wrong text is noticed."""
    url: str
    may_publish: bool
    notice: str
    """What the release must say or carry."""


_KNOWN = (
    KnownLicence(
        "Apache-2.0", "Apache License", "https://www.apache.org/licenses/LICENSE-2.0", True,
        "Carry the licence and the base's notices, and say that the weights were changed (section 4).",
    ),
    KnownLicence(
        "MIT", "Permission is hereby granted", "https://opensource.org/license/mit", True,
        "Carry the copyright line and the permission notice.",
    ),
    KnownLicence(
        "BSD-3-Clause", "Redistribution and use", "https://opensource.org/license/bsd-3-clause", True,
        "Carry the copyright line, the conditions and the disclaimer.",
    ),
    KnownLicence(
        "BSD-2-Clause", "Redistribution and use", "https://opensource.org/license/bsd-2-clause", True,
        "Carry the copyright line, the conditions and the disclaimer.",
    ),
    KnownLicence(
        "CC-BY-4.0", "Attribution 4.0 International", "https://creativecommons.org/licenses/by/4.0/", True,
        "Name the creator and the licence with its link, and say that the material was changed (section 3a).",
    ),
    KnownLicence(
        "CC0-1.0", "CC0 1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/", True,
        "No notice is required; the source is named all the same.",
    ),
    KnownLicence(
        "CC-BY-SA-4.0", "ShareAlike 4.0", "https://creativecommons.org/licenses/by-sa/4.0/", False,
        "Share-alike: whether weights trained on it must carry it too is not settled.",
    ),
    KnownLicence(
        "CC-BY-NC-4.0", "NonCommercial 4.0", "https://creativecommons.org/licenses/by-nc/4.0/", False,
        "Not for commercial use.",
    ),
)  # fmt: skip


class ReleasePlan(NamedTuple):
    """What may go up, what is held back, and under which terms."""

    model_name: str
    files: tuple[GgufFile, ...]
    withheld: tuple[Withheld, ...]
    base_name: str
    weights_licence: KnownLicence
    data_licence: KnownLicence
    data_attribution: str
    override: str = ""
    """Why files go up whose gate is not passed; empty where every file passed."""


def plan_release(
    case: Case, verdict: Verdict, *, ladder: Ladder, adapter: Adapter, serving: Serving, override: str = ""
) -> ReleasePlan:
    """Decide which files may go up.

    Args:
        case: licences and names.
        verdict: the gate of every file.
        ladder: the files.
        adapter: its base's licence.
        serving: the file that is served.
        override: why a person publishes files whose gate is not passed; it is printed on the card.

    Raises:
        BadInput: the override says nothing.
        GateNotPassed: no GGUF file passed its own gate, and there is no override.
        NotReady: a licence is unknown or does not allow it, or the served file does not go up.
    """
    weights = resolve_licence(adapter.base.licence, what="base")
    data = resolve_licence(case.task_file.data.licence, what="training data")
    for rung in ladder.files:
        check_name(rung.file.name, what="GGUF file name")
    _check_override(override)
    reasons = {
        rung.file.name: "" if override else _why_withheld(rung.file.name, verdict) for rung in ladder.files
    }
    files = tuple(rung for rung in ladder.files if not reasons[rung.file.name])
    if not files:
        raise GateNotPassed(
            "No GGUF file passed its own gate: " + "; ".join(f"{n}: {why}" for n, why in reasons.items()),
            remedy="tuneproof review --reread 50, then 9-verdict/report.md; only then `tuning` in task.yaml. "
            "Nothing is published without a PASS, or a reason that the card prints: "
            '`tuneproof publish --override "REASON"`.',
        )
    if serving.model_file not in {rung.file.name for rung in files}:
        raise NotReady(
            f"The served file {serving.model_file} does not go up: "
            f"{reasons.get(serving.model_file, 'it is not in the ladder')}.",
            remedy=f"Serve a file that passed, for example {files[-1].file.name}, with `tuneproof serve`; "
            "then `tuneproof judge`.",
        )
    withheld = [Withheld(name=name, why=why) for name, why in reasons.items() if why]
    return ReleasePlan(
        model_name=case.task_file.serving.model_name,
        files=files,
        withheld=(*withheld, _withheld_adapter(adapter)),
        base_name=adapter.base.name,
        weights_licence=weights,
        data_licence=data,
        data_attribution=case.task_file.data.attribution,
        override=override.strip(),
    )


def _check_override(override: str) -> None:
    words = override.split()
    if override and (len(words) < LEAST_WORDS or len(set(words)) < LEAST_WORDS):
        raise BadInput(
            f"--override {override!r} gives no reason that a reader of the card could weigh.",
            remedy=f"Say in {LEAST_WORDS} words or more why it is published although its gate is not passed.",
        )


def resolve_licence(licence: str, *, what: str) -> KnownLicence:
    """Find the terms of an SPDX id, in any case of its letters.

    Raises:
        NotReady: the id is not in the table, or its terms do not let us publish weights.
    """
    known = next((k for k in _KNOWN if k.spdx.casefold() == licence.strip().casefold()), None)
    if known is None:
        raise NotReady(
            f"The licence of the {what} is {licence!r}, whose terms for weights are not known here.",
            remedy=f"Known (table of {LICENCES_LISTED_ON}): {', '.join(k.spdx for k in _KNOWN)}. "
            "Name one of these in task.yaml if it is the right one, or keep the model private.",
        )
    if not known.may_publish:
        raise NotReady(
            f"The licence of the {what} is {known.spdx}: {known.notice}",
            remedy="Keep the model private, or train on a base and on data whose licences allow publishing.",
        )
    return known


def release_texts(
    plan: ReleasePlan, *, case: Case, serving: Serving, readme: str, licence_text: str, template: str
) -> dict[str, str]:
    """Make the small files of the GGUF repository, by name.

    `template`, `system` and `params` are read from the Modelfile that was served and measured, so the two
    ways to run the model cannot differ.

    Args:
        plan: from `plan_release`.
        case: for the system prompt.
        serving: for the Modelfile that was measured.
        readme: from `render_card`.
        licence_text: full text of the licence of the weights.
        template: the base's Jinja chat template, as stored with the adapter.

    Raises:
        NotReady: the served Modelfile is not the one of this case, or the licence text is another's.
    """
    served = read_modelfile(serving.modelfile)
    task = case.task_file.task
    if served.gguf_name != serving.model_file or served.system_prompt.strip() != task.system_prompt.strip():
        raise NotReady(
            f"The served Modelfile has {served.gguf_name} and the prompt {served.system_prompt[:60]!r}; "
            f"the case has {serving.model_file} and {task.system_prompt[:60]!r}.",
            remedy="Run `tuneproof serve` again.",
        )
    if served.template != check_template(template, model=plan.base_name).go:
        raise NotReady(
            "The served Modelfile has another template than the one checked against training.",
            remedy="Run `tuneproof serve` again.",
        )
    if plan.weights_licence.title not in licence_text:
        raise NotReady(
            f"The licence text does not contain {plan.weights_licence.title!r}.",
            remedy=f"Pass the full text of {plan.weights_licence.spdx}: {plan.weights_licence.url}",
        )
    return {
        "LICENSE": licence_text,
        "NOTICE": notice_text(plan),
        "Modelfile": serving.modelfile,
        "template": served.template,
        "system": served.system_prompt,
        "params": render_params(served.parameters),
        "README.md": readme,
    }


def notice_text(plan: ReleasePlan) -> str:
    """Write the notices that the two licences ask for."""
    weights, data = plan.weights_licence, plan.data_licence
    return (
        f"{plan.model_name}\n\n"
        f"Weights: {plan.base_name}, licensed under {weights.spdx} ({weights.url}).\n"
        "Changes: fine-tuned with LoRA, merged, converted to GGUF and quantized.\n\n"
        f"Training data: {plan.data_attribution.strip()}\n"
        f"Licensed under {data.spdx} ({data.url}).\n"
        "Changes: rows were selected, normalised and reformatted as training pairs. The creators of the data "
        "do not endorse this model.\n"
    )


def publish(plan: ReleasePlan, texts: dict[str, str], *, allow: frozenset[str] = frozenset()) -> Release:
    """Write down what would be uploaded, after checking every text.

    Args:
        plan: from `plan_release`.
        texts: from `release_texts`; all of `TEXT_NAMES`.
        allow: values that the scan lets pass, for example an address in a public attribution.

    Raises:
        BadInput: a file of the release is missing, or one too many.
        NotReady: a text is empty, the card has a blank, or a text holds a secret or personal data.
    """
    if set(texts) != set(TEXT_NAMES):
        raise BadInput(
            f"The release holds {sorted(texts)}; it must hold {sorted(TEXT_NAMES)}.",
            remedy="Make the texts with `release_texts`.",
        )
    problems = [f"{name} is empty" for name in TEXT_NAMES if not texts[name].strip()]
    problems += [f"README.md: {complaint}" for complaint in lint_card(texts["README.md"])]
    problems += [
        f"README.md does not name {f.file.name}" for f in plan.files if f.file.name not in texts["README.md"]
    ]
    if problems:
        raise NotReady("; ".join(problems) + ".", remedy="Make the card again with `tuneproof publish`.")
    _refuse_findings([f for name in TEXT_NAMES for f in scan_text(texts[name], where=name, allow=allow)])
    files = (*(rung.file for rung in plan.files), *(_file_ref(name, texts[name]) for name in TEXT_NAMES))
    repo = Repo(name=f"{plan.model_name}-GGUF", kind="model", private=True, files=files)
    return Release(
        repos=(repo,),
        withheld=plan.withheld,
        licence=plan.weights_licence.spdx,
        scanned_files=len(TEXT_NAMES),
        findings=0,
        override=plan.override,
    )


def _why_withheld(name: str, verdict: Verdict) -> str:
    """Say why the file stays back, or nothing where its own gate, and every one of that name, is PASS."""
    gates = [gate for gate in verdict.gates if gate.file == name]
    failed = [gate for gate in gates if gate.outcome != "PASS"]
    if not gates:
        return "no gate was run for this file"
    if verdict.test_accesses > MOST_ROUNDS:
        return f"the test was read in {verdict.test_accesses} rounds and is spent"
    left_out = max(arm.excluded / (arm.n + arm.excluded) for arm in verdict.arms)
    if left_out > MOST_EXCLUDED:
        return f"{100 * left_out:.1f} % of the items have no reply of some API, so the run is not valid"
    if leak := next((control.name for control in verdict.controls if control.outcome == "PASS"), ""):
        return f"the null control {leak} passes the gate too, so no gate here proves anything"
    return f"its gate is {failed[0].outcome}: {failed[0].reason}" if failed else ""


def _withheld_adapter(adapter: Adapter) -> Withheld:
    base = adapter.base
    why = "this release holds GGUF files only"
    if base.weights_note:
        why = f"its base weights were {base.weights_note}, and not compared with the Hub's base weights"
    return Withheld(name="adapter_model.safetensors", why=why)


def _refuse_findings(findings: list[Finding]) -> None:
    if findings:
        listed = "\n".join(f"  {f.where}:{f.line}: {f.kind} {f.excerpt}" for f in findings)
        raise NotReady(
            f"The release holds {len(findings)} secrets or personal data:\n{listed}",
            remedy="Choose other examples for the card, or correct task.yaml; an address that belongs to "
            "a public attribution can be allowed by name.",
        )


def _file_ref(name: str, text: str) -> FileRef:
    content = text.encode("utf-8")
    return FileRef(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
