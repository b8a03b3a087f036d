"""Our sign flips and BCa interval against scipy's own, on the same 200 items in the same run.

    .venv/bin/python bench/resampling.py

Prints a table and one JSON line. Scipy runs vectorised, its fastest form, with as many draws as ours.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ITEMS, SIGNS, DRAWS, REPEATS = 200, 20_000, 10_000, 7


def main() -> None:
    """Time all pairs and print them."""
    rows = compare()
    lines = [f"{'':34}{'ours ms':>10}{'scipy ms':>10}{'faster':>9}   ours / scipy"]
    for row in rows:
        values = f"{row['ours']} / {row['scipy']}"
        lines.append(
            f"{row['what']:34}{row['ours_ms']:>10.2f}{row['scipy_ms']:>10.2f}{row['ratio']:>8.1f}x   {values}"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    import numpy
    import scipy

    made_with = {"python": platform.python_version(), "numpy": numpy.__version__, "scipy": scipy.__version__}
    sys.stdout.write(
        json.dumps({"items": ITEMS, "signs": SIGNS, "draws": DRAWS, **made_with, "rows": rows}) + "\n"
    )


def compare() -> list[dict[str, Any]]:
    """One row a pair: what, both medians in milliseconds, their ratio, and both results."""
    import numpy as np

    from tuneproof.resampling import bca_interval, sign_flip_p

    generator = np.random.default_rng(0)
    graded = generator.normal(0.1, 1, ITEMS)
    right = generator.choice([1.0, 0.0, -1.0], ITEMS, p=[0.15, 0.75, 0.10])
    rows = []
    for kind, values in (("graded", graded), ("right or wrong", right)):
        listed = values.tolist()
        signs, ends = partial(sign_flip_p, listed, draws=SIGNS), partial(bca_interval, listed, draws=DRAWS)
        rows.append(_row(f"sign flips, {kind}", signs, partial(_scipy_signs, values)))
        rows.append(_row(f"BCa interval, {kind}", ends, partial(_scipy_bca, values)))
    return rows


def _scipy_signs(values: Any) -> float:
    import numpy as np
    from scipy import stats

    result = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=SIGNS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _scipy_bca(values: Any) -> Any:
    import numpy as np
    from scipy import stats

    result = stats.bootstrap(
        (values,),
        np.mean,
        method="BCa",
        n_resamples=DRAWS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return result.confidence_interval


def _rounded(result: Any) -> float | list[float]:
    if isinstance(result, float):
        return round(result, 5)
    return [round(float(result.low), 4), round(float(result.high), 4)]


def _row(what: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> dict[str, Any]:
    results = _rounded(ours()), _rounded(theirs())  # also the warm-up
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):  # in turn, so that both meet the same machine
        for call, seconds in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    ours_ms, scipy_ms = (1000 * sorted(seconds)[REPEATS // 2] for seconds in times)
    return {
        "what": what,
        "ours_ms": round(ours_ms, 3),
        "scipy_ms": round(scipy_ms, 3),
        "ratio": round(scipy_ms / ours_ms, 2),
        "ours": results[0],
        "scipy": results[1],
    }


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    # The folder of a script comes first in the search path, and this file is named like a standard module.
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != here]
    main()
