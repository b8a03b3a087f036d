"""A made-up plan, and a made-up ledger of the accesses under it."""

from __future__ import annotations

from tuneproof.artifacts import ArmResult, EvalPlan, LedgerEntry, sha256_of

DIGEST = sha256_of("sample data")


def sample_plan() -> EvalPlan:
    return EvalPlan(
        metric="exact match",
        contrast="the served file against its best base",
        alpha=0.025,
        confidence=0.95,
        adapter=DIGEST,
        test_digest=DIGEST,
        prompt_sha256=DIGEST,
        arms=("base-0-shot", "base-5-shot", "tuned-Q8_0"),
        rivals_rule="majority; nearest neighbour; word counts",
        prompts_rule="most right on 40 dev pairs; ties: fewer examples",
        exclusion_rule="none",
        max_new_tokens=48,
        seed=0,
        tests="mid-p McNemar, Tango",
    )


def sample_ledger(arms: tuple[ArmResult, ...]) -> tuple[LedgerEntry, ...]:
    return tuple(
        LedgerEntry(
            at=f"2026-01-02T02:{i:02}:00Z", who="compare", arm=result.arm.name,
            plan_digest=DIGEST, previous="genesis" if i == 0 else DIGEST,
        )
        for i, result in enumerate(arms)
    )  # fmt: skip
