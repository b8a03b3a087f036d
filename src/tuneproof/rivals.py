"""Training pairs → cheap rivals: what a laptop does in a second, measured beside the models."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tuneproof.artifacts import Arm, Reply, SplitRow
from tuneproof.errors import BadInput
from tuneproof.outside.machine import seconds

Predict = Callable[[str], str]

_LONE = re.compile("[\ud800-\udfff]")
"""Half a character, which no file can hold."""
MOST_CLASSES = 1_000
"""Different answers beyond which a classifier is not fitted: it would take minutes and know each one once.

551 answers of 1,500 pairs take half a minute on 2 cores, and there it was level with the tuned model: leaving
it out would have flattered the tune.
"""
NEIGHBOURS = (1, 3, 5)
"""Numbers of neighbours that vote, each with its similarity."""
RIVALS_RULE = (
    "majority; k nearest neighbours by TF-IDF of character 4-grams, k of 1, 3, 5 by dev; TF-IDF of words and "
    f"word pairs with logistic regression, C = 100, up to {MOST_CLASSES:,} different answers and from two "
    "pairs an answer on the mean"
)
"""Part of the plan: which rivals stand beside the model must not be chosen after the scores are seen."""


class Rival(NamedTuple):
    """A fitted rival."""

    arm: Arm
    predict: Predict


def fit_rivals(train: Sequence[SplitRow], dev: Sequence[SplitRow] = ()) -> list[Rival]:
    """Fit the cheap rivals on all training pairs; `not_fitted` says why one is missing.

    Args:
        train: what they learn.
        dev: what the number of neighbours is chosen on; without it the nearest one decides.
    """
    texts, answers = [row.input for row in train], [row.output for row in train]
    fitted = [_majority(answers), _nearest(texts, answers, dev)]
    return fitted if not_fitted(train) else [*fitted, _logistic(texts, answers)]


def not_fitted(train: Sequence[SplitRow]) -> dict[str, str]:
    """Return the rivals that these pairs leave out: name → reason."""
    different = len({row.output for row in train})
    if different <= MOST_CLASSES and different * 2 <= max(len(train), 4):
        return {}
    return {"tfidf-logistic": f"{different:,} different answers in {len(train):,} pairs: no classes to learn"}


def rule_rival(reference: str, rule: Callable[[str], object]) -> Rival:
    """Make an arm of a function of the user's own.

    Args:
        reference: `module:function`, as task.yaml names it.
        rule: takes an input and returns the answer; None is an empty answer.

    Raises:
        BadInput: when asked, if it returns something else.
    """

    def predict(text: str) -> str:
        answer = rule(text)
        if answer is None or (isinstance(answer, str) and not _LONE.search(answer)):
            return answer or ""
        raise BadInput(
            f"{reference} returned {answer!r:.80} for {text[:80]!r}.",
            remedy=f"Mend {reference} in the project folder: a rule returns a text, or None for no answer.",
        )

    arm = Arm(
        name="rule", title=f"rule {reference}", kind="rival", engine="Python", note="code of the project"
    )
    return Rival(arm, predict)


def answer_with(rival: Rival, rows: Sequence[SplitRow]) -> tuple[Reply, ...]:
    """Answer every row with `rival`, timed one by one."""
    rival.predict(rows[0].input)
    replies = []
    for row in rows:
        began = seconds()
        text = rival.predict(row.input)
        ms = round((seconds() - began) * 1000, 3)
        replies.append(
            Reply(item_id=row.id, text=text, finish="stop", prompt_tokens=0, output_tokens=0, ms=ms)
        )
    return tuple(replies)


def _arm(name: str, title: str, note: str) -> Arm:
    return Arm(name=name, title=title, kind="rival", engine="scikit-learn", note=note)


def _majority(answers: Sequence[str]) -> Rival:
    counts = Counter(answers)
    commonest = min(counts, key=lambda answer: (-counts[answer], answer))
    return Rival(_arm("majority", "majority answer", f"always {commonest}"), lambda _text: commonest)


def _nearest(texts: Sequence[str], answers: Sequence[str], dev: Sequence[SplitRow]) -> Rival:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), sublinear_tf=True)
    known = vectorizer.fit_transform(texts)

    def predict(text: str, k: int) -> str:
        alike = (known @ vectorizer.transform([text]).T).toarray().ravel()
        votes: defaultdict[str, float] = defaultdict(float)
        for place in np.argsort(-alike, kind="stable")[:k]:
            votes[answers[int(place)]] += float(alike[place])
        return max(votes, key=lambda answer: votes[answer])  # of equal votes the nearest one's

    def right(k: int) -> int:
        return sum(predict(row.input, k) == row.output for row in dev)

    k = max(NEIGHBOURS, key=lambda each: (right(each), -each))
    title = "nearest neighbour" if k == 1 else f"{k} nearest neighbours"
    arm = _arm("nearest-neighbour", title, f"TF-IDF of character 4-grams, k = {k} by dev")
    return Rival(arm, lambda text: predict(text, k))


def _logistic(texts: Sequence[str], answers: Sequence[str]) -> Rival:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    if len(set(answers)) < 2:
        return Rival(
            _arm("tfidf-logistic", "TF-IDF + logistic regression", "one class"), lambda _: answers[0]
        )
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # no word occurs in two texts: scripts without spaces, codes
        return _majority(answers)._replace(
            arm=_arm("tfidf-logistic", "TF-IDF + logistic regression", "no word occurs twice: majority")
        )
    model = LogisticRegression(C=100, max_iter=200).fit(features, answers)

    def predict(text: str) -> str:
        return str(model.predict(vectorizer.transform([text]))[0])

    return Rival(
        _arm("tfidf-logistic", "TF-IDF + logistic regression", "words and word pairs, C = 100"), predict
    )
