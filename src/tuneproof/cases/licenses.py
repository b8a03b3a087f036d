"""Licence rules → pairs of the bundled case: a messy notice and its ScanCode licence expression.

Deterministic: the order is by hash of the rule's name, so the choice depends on the data alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from tuneproof.artifacts import Drafts, Pair, Provenance
from tuneproof.outside.licensedcode import ATTRIBUTION, LICENCE, PACKAGE, Rule
from tuneproof.twins import similar_pairs, words

SEED = 0
COMMONEST_KEYS = 60
MOST_PER_EXPRESSION = 70
DROP_AT = 0.75
"""Word-set Jaccard at which the later of two notices is dropped."""
SHORTEST, LONGEST = 6, 90
"""Words of a notice."""

CATCH_ALLS = frozenset(
    {
        "agpl-generic-additional-terms",
        "commercial-license",
        "free-unknown",
        "generic-cla",
        "generic-exception",
        "generic-export-compliance",
        "other-copyleft",
        "other-permissive",
        "proprietary-license",
        "public-domain-disclaimer",
        "unknown",
        "unknown-license-reference",
        "warranty-disclaimer",
    }
)
"""Keys that say that something was found and not what."""

_KEY = re.compile(r"[a-z0-9][a-z0-9.+_-]*")


def licence_pairs(rules: Iterable[Rule], *, version: str, limit: int) -> Drafts:
    """Build at most `limit` pairs from `rules`.

    Args:
        rules: rules of the data package, in any order.
        version: version of the data package, for the record.
        limit: most pairs to keep.
    """
    left_out: Counter[str] = Counter()
    notices = sorted((r for r in rules if _is_clean_notice(r, left_out)), key=_hash_order)
    allowed = _commonest_keys(notices)
    candidates = [(rule, expression) for rule in notices if (expression := expression_of(rule, allowed))]
    left_out["expression with a rarer key or mixed AND/OR"] = len(notices) - len(candidates)
    kept = _without_twins(candidates, left_out)
    pairs = _capped(kept, left_out)
    left_out["beyond the wanted number"] = max(0, len(pairs) - limit)
    return Drafts(
        provenance=Provenance(
            kind="imported", source=PACKAGE, source_version=version, licence=LICENCE, attribution=ATTRIBUTION
        ),
        pairs=tuple(pairs[:limit]),
        left_out=dict(sorted(left_out.items())),
    )


def clean(text: str) -> str:
    """One line, without the braces by which ScanCode marks required phrases."""
    return " ".join(text.replace("{{", "").replace("}}", "").split())


def expression_of(rule: Rule, allowed: frozenset[str]) -> str | None:
    """Return the rule's expression, operands sorted; None if it mixes operators or names other keys."""
    raw = rule.head["license_expression"]
    if " AND " in raw and " OR " in raw:
        return None
    operator = next((o for o in (" AND ", " OR ") if o in raw), None)
    flat = raw.replace("(", "").replace(")", "")
    operands = {" ".join(part.split()) for part in (flat.split(operator) if operator else [flat])}
    keys = {key for operand in operands for key in operand.split(" WITH ")}
    return (operator or "").join(sorted(operands)) if keys <= allowed else None


def _is_clean_notice(rule: Rule, left_out: Counter[str]) -> bool:
    head = rule.head
    reason = None
    if head.get("is_license_notice") != "yes" or "license_expression" not in head:
        reason = "not a notice"
    elif head.get("relevance", "100") != "100":
        reason = "relevance below 100"
    elif "is_deprecated" in head or "language" in head:
        reason = "deprecated, or not in English"
    elif not SHORTEST <= len(words(clean(rule.text))) <= LONGEST:
        reason = f"not {SHORTEST} to {LONGEST} words"
    if reason:
        left_out[reason] += 1
    return reason is None


def _commonest_keys(notices: list[Rule]) -> frozenset[str]:
    counts = Counter(
        key
        for rule in notices
        for key in _KEY.findall(rule.head["license_expression"])
        if key not in CATCH_ALLS
    )
    return frozenset(sorted(counts, key=lambda key: (-counts[key], key))[:COMMONEST_KEYS])


def _without_twins(candidates: list[tuple[Rule, str]], left_out: Counter[str]) -> list[tuple[Rule, str]]:
    dropped: set[int] = set()
    for first, second, _ in similar_pairs([clean(rule.text) for rule, _ in candidates], threshold=DROP_AT):
        if first not in dropped:
            dropped.add(second)
    left_out["near duplicate"] = len(dropped)
    return [candidate for i, candidate in enumerate(candidates) if i not in dropped]


def _capped(kept: list[tuple[Rule, str]], left_out: Counter[str]) -> list[Pair]:
    seen: Counter[str] = Counter()
    pairs = []
    for rule, expression in kept:
        seen[expression] += 1
        if seen[expression] > MOST_PER_EXPRESSION:
            left_out[f"beyond {MOST_PER_EXPRESSION} of one expression"] += 1
            continue
        pairs.append(
            Pair(id=rule.name, input=clean(rule.text), output=expression, source=f"{rule.name}.RULE")
        )
    return pairs


def _hash_order(rule: Rule) -> str:
    return hashlib.sha256(f"{SEED} {rule.name}".encode()).hexdigest()
