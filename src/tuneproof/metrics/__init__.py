"""The name of a metric → the metric: one file each, and one line here."""

from __future__ import annotations

from tuneproof.metrics.base import Metric
from tuneproof.metrics.chrf import CHRF
from tuneproof.metrics.exact_match import EXACT_MATCH
from tuneproof.metrics.json_fields import JSON_FIELDS
from tuneproof.metrics.label_accuracy import LABEL_ACCURACY
from tuneproof.metrics.labelled_lines import LABELLED_LINES
from tuneproof.metrics.numeric_tolerance import NUMERIC_TOLERANCE
from tuneproof.metrics.own import own_metric
from tuneproof.metrics.set_match import SET_MATCH

BUNDLED = (
    EXACT_MATCH,
    SET_MATCH,
    JSON_FIELDS,
    LABELLED_LINES,
    LABEL_ACCURACY,
    CHRF,
    NUMERIC_TOLERANCE,
)


def metric_of(name: str) -> Metric:
    """Return the metric of this name; `module:function` is a metric of the user's own.

    Raises:
        KeyError: no such metric; task.yaml is checked before, against `METRICS`.
    """
    return own_metric(name) if ":" in name else {metric.name: metric for metric in BUNDLED}[name]
