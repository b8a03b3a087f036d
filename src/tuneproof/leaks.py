"""Rows of a split → what the test shares with the rest, in layers.

Layers that hardly ever err stop a freeze; `grouping.py` keeps their rows together, so nothing should cross.
Layers that legitimate boilerplate sets off as well are counted and shown (docs/decisions/0026-freeze.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tuneproof.artifacts import LeakReport, SplitRow, Twin
from tuneproof.artifacts.data_report import Crossing, Layer
from tuneproof.grouping import (
    CHAR_RUN,
    CHARS_ALIKE,
    RUN,
    SHORT,
    Shown,
    alike_characters,
    beside_examples,
    excerpt,
    masked,
    quoted,
    runs_of,
)
from tuneproof.twins import NEAR, Similar, nearest, similar_pairs, templates, words

HALF_RUN = 8
"""Words of the runs of which a row may hold half (8 to 13 words: Brown et al. 2020, GPT-3, appendix C)."""
CLOSE = 0.5
"""Word-set Jaccard from which a pair below `NEAR` is shown."""
MOST_SHOWN = 20
_NEAREST_IN_REPORT = 10
_BLOCK = 256


def leak_report(test: list[SplitRow], dev: list[SplitRow], train: list[SplitRow]) -> LeakReport:
    """Count what crosses by the layers of the lock's first version, and find the nearest pairs."""
    others = [(row, "dev") for row in dev] + [(row, "train") for row in train]
    seen_inputs = {" ".join(words(row.input)) for row, _ in others}
    everyone = [*test, *(row for row, _ in others)]
    alike = templates([row.input for row in everyone], [row.output for row in everyone])
    seen_templates = set(alike[len(test) :])
    close = nearest([r.input for r in test], [r.input for r, _ in others], count=_NEAREST_IN_REPORT)
    counts: dict[str, int] = {}
    for row in [*test, *dev, *train]:
        counts[row.group] = counts.get(row.group, 0) + 1
    trained_outputs = {row.output for row in train}
    return LeakReport(
        exact=sum(" ".join(words(r.input)) in seen_inputs for r in test),
        same_template=sum(like in seen_templates for like in alike[: len(test)]),
        near=len({s.first for s in _jaccard(test, [row for row, _ in others], NEAR)}),
        straddling_groups=len({r.group for r in test} & {r.group for r, _ in others}),
        near_threshold=NEAR,
        groups=len(counts),
        largest_group=max(counts.values()),
        unseen_outputs=sum(r.output not in trained_outputs for r in test),
        nearest=tuple(
            Twin(
                test_id=test[s.first].id,
                other_id=others[s.second][0].id,
                other_part=others[s.second][1],
                similarity=round(s.similarity, 4),
            )
            for s in close
        ),
    )


def layers(
    test: Sequence[SplitRow], others: Sequence[SplitRow], *, dev: int, shown: Shown, by_template: bool
) -> tuple[Layer, ...]:
    """Look for test rows among `others`, strictest layer first.

    Args:
        test: test rows.
        others: dev rows, then training rows.
        dev: how many of `others` are dev rows.
        shown: examples and prompt text, which count as training data.
        by_template: whether rows of one template must share a side.
    """
    desk = _Desk(test, others, dev)
    rows = [*test, *others]
    texts, answers = [r.input for r in rows], [r.output for r in rows]
    jaccard = _jaccard(test, others, CLOSE)
    near = [s for s in jaccard if s.similarity >= NEAR]
    far = [s for s in jaccard if s.similarity < NEAR]
    same = _equal(test, others, [" ".join(words(text)) for text in texts])
    like = _equal(test, others, templates(texts, answers))
    runs, halves = _shared_runs(test, others)
    return (
        desk.layer("exact", "equal after NFKC, case, white space and punctuation", same, refuses=True),
        desk.layer("template", "equal but for numbers, addresses and words of the answer", like, by_template),
        desk.layer("near", f"word-set Jaccard of {NEAR} or more", near, refuses=True),
        *later_layers(test, others, dev=dev, shown=shown, by_template=by_template),
        desk.layer("13 words", f"a shared run of {RUN} words; similarity: share of such runs", runs),
        desk.layer("8 words", f"half of the runs of {HALF_RUN} words in one other row", halves),
        desk.layer("close", f"word-set Jaccard from {CLOSE} to {NEAR}", far),
    )


def later_layers(
    test: Sequence[SplitRow], others: Sequence[SplitRow], *, dev: int, shown: Shown, by_template: bool
) -> tuple[Layer, ...]:
    """Look by the rules that splits of the first versions did not know; arguments as of `layers`."""
    desk, texts = _Desk(test, others, dev), [row.input for row in [*test, *others]]
    alike = f"under {SHORT} words: Jaccard of runs of {CHAR_RUN} characters of {CHARS_ALIKE} or more"
    numbers = _equal(test, others, list(map(masked, texts)))
    characters = _across(alike_characters(texts), len(test))
    return (
        desk.layer("number-masked", "equal but for words with digits", numbers, refuses=by_template),
        desk.layer("characters", alike, characters, refuses=True),
        _shown_layer(test, others, shown, by_template=by_template),
    )


class _Desk(NamedTuple):
    test: Sequence[SplitRow]
    others: Sequence[SplitRow]
    dev: int

    def layer(self, name: str, rule: str, found: Sequence[Similar], refuses: bool = False) -> Layer:
        best: dict[int, Similar] = {}
        for pair in found:
            if pair.first not in best or pair.similarity > best[pair.first].similarity:
                best[pair.first] = pair
        ordered = sorted(best.values(), key=lambda s: (-s.similarity, self.test[s.first].id))
        pairs = tuple(self.crossing(s) for s in ordered[:MOST_SHOWN])
        return Layer(name=name, rule=rule, refuses=refuses, rows=len(best), pairs=pairs)

    def crossing(self, pair: Similar) -> Crossing:
        test, other = self.test[pair.first], self.others[pair.second]
        return Crossing(
            test_id=test.id,
            other_id=other.id,
            other_part="dev" if pair.second < self.dev else "train",
            similarity=round(pair.similarity, 4),
            test_text=excerpt(test.input),
            other_text=excerpt(other.input),
        )


def _shown_layer(
    test: Sequence[SplitRow], others: Sequence[SplitRow], shown: Shown, *, by_template: bool
) -> Layer:
    # All rows, as the grouping saw them: what a template is, is judged on all of them.
    texts, answers = [r.input for r in [*test, *others]], [r.output for r in [*test, *others]]
    beside = beside_examples(texts, answers, shown, by_template=by_template)
    examples = {i for i in beside if i < len(test)}
    in_prompt = quoted(texts[: len(test)], shown.prompt)
    pairs = [_shown_pair(test[i], shown, beside=i in examples) for i in sorted(examples | in_prompt)]
    rule = "a twin of a few-shot example, or quoted in the prompt"
    return Layer(name="shown", rule=rule, refuses=True, rows=len(pairs), pairs=tuple(pairs[:MOST_SHOWN]))


def _shown_pair(row: SplitRow, shown: Shown, *, beside: bool) -> Crossing:
    """The row beside the example that is most like it, or beside the prompt."""
    best = Similar(0, 0, 0.0)
    if beside:
        texts = [text for text, _ in shown.examples]
        best = next(iter(nearest([row.input], texts, count=1, at_least=0)), best)
    return Crossing(
        test_id=row.id,
        other_id=str(best.second + 1) if beside else "",
        other_part="example" if beside else "prompt",
        similarity=round(best.similarity, 4) if beside else 1.0,
        test_text=excerpt(row.input),
        other_text=excerpt(shown.examples[best.second][0] if beside else shown.prompt),
    )


def _equal(test: Sequence[SplitRow], others: Sequence[SplitRow], keys: Sequence[str]) -> list[Similar]:
    first: dict[str, int] = {}
    for j in range(len(others)):
        first.setdefault(keys[len(test) + j], j)
    return [Similar(i, first[keys[i]], 1.0) for i in range(len(test)) if keys[i] in first]


def _across(pairs: Iterable[Similar], test: int) -> list[Similar]:
    """Pairs of a test row and another row, the other one counted from the first that is no test row."""
    return [Similar(s.first, s.second - test, s.similarity) for s in pairs if s.first < test <= s.second]


def _jaccard(test: Sequence[SplitRow], others: Sequence[SplitRow], threshold: float) -> list[Similar]:
    texts = [row.input for row in [*test, *others]]
    return _across(similar_pairs(texts, threshold=threshold), len(test))


def _shared_runs(test: Sequence[SplitRow], others: Sequence[SplitRow]) -> tuple[list[Similar], list[Similar]]:
    """Pairs with a shared run of 13 words, and pairs where one row holds half of the other's runs of 8."""
    tokens = [words(row.input) for row in test]
    known = [words(row.input) for row in others]
    shares = [_run_shares(tokens, known, length) for length in (RUN, HALF_RUN)]
    return shares[0], [pair for pair in shares[1] if pair.similarity >= 0.5]


def _run_shares(test: Sequence[list[str]], others: Sequence[list[str]], length: int) -> list[Similar]:
    """Pairs that share a run of words, with the share of the test row's runs that the other row holds."""
    wanted: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes = []
    for i, tokens in enumerate(test):
        own = runs_of(tokens, length)
        sizes.append(len(own))
        for run in own:
            wanted[run].append(i)
    found = []
    for j, tokens in enumerate(others):
        shared: dict[int, int] = defaultdict(int)
        for run in runs_of(tokens, length):
            for i in wanted.get(run, ()):
                shared[i] += 1
        found += [Similar(i, j, count / sizes[i]) for i, count in sorted(shared.items())]
    return found


def nearest_by_tfidf(
    test: Sequence[SplitRow], others: Sequence[SplitRow], *, dev: int, count: int = MOST_SHOWN
) -> tuple[Crossing, ...]:
    """Return the `count` test rows nearest to another row: mean cosine of TF-IDF over words and characters.

    Word order and exact words matter less here than in the layers, so that paraphrases come up.
    """
    import numpy as np

    texts, known = [row.input for row in test], [row.input for row in others]
    spaces = [space for space in (_tfidf(known, texts, kind) for kind in ("word", "char_wb")) if space]
    best = []
    for start in range(0, len(texts) if spaces else 0, _BLOCK):
        parts = [(asked[start : start + _BLOCK] @ there.T).toarray() for there, asked in spaces]
        cosine = sum(parts) / len(spaces)
        at = np.argmax(cosine, axis=1)
        best += [Similar(start + i, int(j), min(1.0, float(cosine[i, j]))) for i, j in enumerate(at)]
    desk = _Desk(test, others, dev)
    ordered = sorted((s for s in best if s.similarity > 0), key=lambda s: (-s.similarity, test[s.first].id))
    return tuple(desk.crossing(s) for s in ordered[:count])


def _tfidf(known: Sequence[str], asked: Sequence[str], analyzer: str):  # type: ignore[no-untyped-def]
    """TF-IDF rows of both, or None where no term is left; scikit-learn has no types."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    spans = (1, 1) if analyzer == "word" else (3, 5)
    pattern = {"token_pattern": r"(?u)\b\w+\b"} if analyzer == "word" else {}
    vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=spans, sublinear_tf=True, **pattern)
    try:
        found = vectorizer.fit_transform([*known, *asked])
    except ValueError:  # no words at all
        return None
    return found[: len(known)], found[len(known) :]
