"""What is fixed before the first test access, and the ledger of every access."""

from __future__ import annotations

from tuneproof.artifacts.base import Artifact, Record


class EvalPlan(Artifact):
    """Fixed and hashed before the first test access."""

    metric: str
    """What counts as right."""
    scoring: str = ""
    """Digest of the scoring section and of the files of code and schema that task.yaml names."""
    comparison: str = ""
    """Digest of the comparison section: shots, dev items, rule, frontier."""
    serving: str = ""
    """Digest of the serving section: the context, and the machine's price."""
    task: str = ""
    """Digest of the task section: prompt, metric, answer pattern, limit."""
    train_digest: str = ""
    """Of the train part of the lock: examples and rivals are made of it."""
    dev_digest: str = ""
    """Of the dev part: the number of examples is chosen on it."""
    contrast: str
    """What the gate compares."""
    thresholds: str = ""
    """Digest of the gate section: levels and margins."""
    alpha: float
    """One-sided level of the gate."""
    confidence: float
    """Two-sided level of the intervals."""
    adapter: str
    """Digest of the adapter's record: another tune under test is another plan, and another round."""
    test_digest: str
    """Of the test part of the lock."""
    prompt_sha256: str
    """Of the prompts of all test items."""
    arms: tuple[str, ...]
    """What will be measured."""
    rivals_rule: str = ""
    """Which rivals are fitted, and how."""
    prompts_rule: str
    """How the prompt of the base and of each endpoint is chosen, and within which budget."""
    exclusion_rule: str
    """Which items are left out."""
    max_new_tokens: int
    """Limit of a reply."""
    seed: int
    """Of the training."""
    extra_tunes: dict[str, str] = {}
    """Seeds and null controls → digest of their adapter."""
    frontier_margin: float = 0.05
    """Share of items by which the tuned model may be worse than the frontier and still count as equal."""
    quant_margin: float = 0.03
    """The same of a smaller file against the f16 one."""
    cluster_key: str = "group"
    """What makes items dependent: the group of the split."""
    tests: str = ""
    """Which test and which interval decide, and how families of comparisons are corrected."""


class LedgerEntry(Record):
    """One access to the test set, chained to the entry before it."""

    at: str
    """UTC, ISO 8601."""
    who: str
    """The command."""
    arm: str
    """What was measured."""
    plan_digest: str
    """The plan under which it was."""
    previous: str
    """SHA-256 of the previous entry, or `genesis`."""
