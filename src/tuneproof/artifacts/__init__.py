"""The nouns of the story: frozen, typed, free of I/O."""

from tuneproof.artifacts.adapter import Adapter, BaseModelIdentity
from tuneproof.artifacts.base import Artifact, FileRef, Record, Setting, canonical_json, sha256_of
from tuneproof.artifacts.case import Case, TaskFile, Triage
from tuneproof.artifacts.comparison import (
    Arm,
    ArmResult,
    Comparison,
    EvalPlan,
    Interval,
    LedgerEntry,
    Parity,
    Reply,
    Score,
    ShotTrial,
)
from tuneproof.artifacts.gguf import GgufFile, Ladder, TensorTypes
from tuneproof.artifacts.pairs import Drafts, Pair, Provenance, Reviewed
from tuneproof.artifacts.release import Release, Repo, Withheld
from tuneproof.artifacts.serving import Serving
from tuneproof.artifacts.split import (
    DevSet,
    Item,
    LeakReport,
    PartLock,
    RowLock,
    Split,
    SplitLock,
    SplitRow,
    TestSet,
    TrainSet,
    Twin,
    lock_part,
    row_hash,
)
from tuneproof.artifacts.verdict import ChangedItem, Contrast, Gate, Verdict

__all__ = [
    "Adapter",
    "Arm",
    "ArmResult",
    "Artifact",
    "BaseModelIdentity",
    "Case",
    "ChangedItem",
    "Comparison",
    "Contrast",
    "DevSet",
    "Drafts",
    "EvalPlan",
    "FileRef",
    "Gate",
    "GgufFile",
    "Interval",
    "Item",
    "Ladder",
    "LeakReport",
    "LedgerEntry",
    "Pair",
    "Parity",
    "PartLock",
    "Provenance",
    "Record",
    "Release",
    "Reply",
    "Repo",
    "Reviewed",
    "RowLock",
    "Score",
    "Serving",
    "Setting",
    "ShotTrial",
    "Split",
    "SplitLock",
    "SplitRow",
    "TaskFile",
    "TensorTypes",
    "TestSet",
    "TrainSet",
    "Triage",
    "Twin",
    "Verdict",
    "Withheld",
    "canonical_json",
    "lock_part",
    "row_hash",
    "sha256_of",
]
