"""Rows of a data file → what task.yaml should say, each setting with where it came from.

Pure: no tokenizer, no model, no disk. What the rows cannot say (pressures, licence, who labelled them,
prices) is left at the value that claims nothing, and a note asks for it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import Pair, Setting
from tuneproof.artifacts.case import DataSection, ScoringSection
from tuneproof.errors import BadInput
from tuneproof.guess.columns import Column, Texts, group_column, id_column, pair_columns
from tuneproof.guess.metric import MetricGuess, guess_metric, of
from tuneproof.guess.sizes import Sized, Split, reply_tokens, shots_and_context, split_sizes, training_size
from tuneproof.guess.words import input_phrase, output_phrase, slug, system_prompt
from tuneproof.metrics import metric_of
from tuneproof.metrics.base import Options
from tuneproof.outside.readers.rows import Row, Rows, kind_of
from tuneproof.outside.readers.shapes import pairs_from, row_system_prompts, shape_of

AS_JSON = frozenset({"scoring.labels", "scoring.json_schema", "comparison.shots"})
"""Settings whose value is a list or an object, written as JSON."""
FORMAT_BOUND = frozenset(
    {"json fields", "labelled lines", "label accuracy", "numeric tolerance", "set match"}
)
"""Metrics whose replies must have one exact form."""

_SHAPE_KEYS = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "alpaca": ("instruction", "input", "output"),
}
_MANY_REASONS = 5
_REASON = 120
"""Characters of a reason in a note."""
_CELL = 60
"""Characters of a value in a table."""


class Guess(NamedTuple):
    """Settings of task.yaml by their dotted names, and what a person should look at."""

    settings: tuple[Setting, ...]
    notes: tuple[str, ...]


def value_of(setting: Setting) -> Any:
    """Return the value of a setting as task.yaml holds it: lists and objects are kept as JSON."""
    if setting.name in AS_JSON and isinstance(setting.value, str):
        return json.loads(setting.value)
    return setting.value


def guess_task(rows: Rows, *, source: str, name: str, reviewed_by: str | None = None) -> Guess:
    """Guess task.yaml from the rows of a data file. The same rows give the same guess.

    Args:
        rows: what `read_rows` gave.
        source: the file or folder, as seen from task.yaml.
        name: of the task, for example the file's stem; made a valid name.
        reviewed_by: who labelled the pairs, if that is known.

    Raises:
        BadInput: there are no rows, no two columns, or no row that holds a pair.
    """
    if not rows.rows:
        raise BadInput(
            f"{source} holds no rows{_first_reason(rows)}.",
            remedy="Give a file with one input and its output a row, for example JSON Lines or CSV.",
        )
    data = _data(rows, source, reviewed_by)
    prompts = row_system_prompts(rows.rows, data.section.shape)
    said = _commonest(prompts)
    pairs, rejected = pairs_from(rows.rows, data.section, said or "")
    lost = Counter(kind_of(row.reason) for row in (*rows.rejected, *rejected))
    if not pairs:
        raise BadInput(
            f"{source}: none of {len(rows.rows):,} rows holds a pair ({_reasons(lost)}).",
            remedy="Name the keys of input and output in the rows `input` and `output`.",
        )
    metric = guess_metric([pair.output for pair in pairs])
    task, prompt = _task(data, metric, pairs, _prompt_from_rows(said, prompts, len(rows.rows)))
    sizes, notes = _sizes(pairs, prompt)
    identity = _identity(slug(name), data.section, metric)
    return Guess(
        settings=(*identity, *task, *_scoring(metric), *_pressures(metric), *data.settings, *sizes),
        notes=(
            *_lost(lost),
            *_unfit(metric, pairs),
            *metric.notes,
            *data.notes,
            *notes,
            *_asked(metric, reviewed_by),
        ),
    )


class _Data(NamedTuple):
    section: DataSection
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]


def _set(name: str, value: Any, origin: str) -> Setting:
    if name in AS_JSON:
        value = json.dumps(value, ensure_ascii=False)
    return Setting(name=name, value=value, origin=origin)


def _data(rows: Rows, source: str, reviewed_by: str | None) -> _Data:
    shape, why = _shape(rows.rows)
    texts = Texts([row.values for row in rows.rows])
    entry = target = Column(None, f"{shape} has no columns")
    notes: tuple[str, ...] = ()
    if shape == "columns":
        entry, target, problem, notes = pair_columns(texts)
        if problem:
            raise BadInput(
                f"{source}: {problem}.", remedy="Give every row two keys, for example `input` and `output`."
            )
    taken = [key for key in (entry.name, target.name, *_SHAPE_KEYS.get(shape, ())) if key]
    identity = id_column(texts, taken=taken)
    group, others = group_column(texts, taken=[*taken, *([identity.name] if identity.name else [])])
    chosen = {
        "source": Column(
            source, "; ".join(("--pairs", f"{rows.format}, {len(rows.rows):,} rows", *rows.notes))
        ),
        "shape": Column(shape, why),
        "input_column": entry,
        "output_column": target,
        "id_column": identity,
        "group_column": group,
        "reviewed_by": Column(reviewed_by, "--reviewed-by" if reviewed_by else "not said"),
        "licence": Column("unknown", "the file does not say"),
    }
    return _Data(
        DataSection.model_validate({key: column.name for key, column in chosen.items()}),
        tuple(_set(f"data.{key}", column.name, column.why) for key, column in chosen.items()),
        (*notes, *others),
    )


def _shape(rows: Sequence[Row]) -> tuple[str, str]:
    """Let the reader tell chats from each other; any other rows are columns, whatever their names."""
    keys: list[str] = sorted(
        {key for row in rows for key in ("messages", "conversations") if key in row.values}
    )
    if any("instruction" in row.values and "output" in row.values for row in rows):
        keys.append("instruction")
    if not keys:
        return "columns", "the rows are no chats and have no instructions"
    return shape_of(rows), f"the rows have the key {' and '.join(keys)}"


def _commonest(prompts: Counter[str]) -> str | None:
    return min(prompts, key=lambda text: (-prompts[text], text)) if prompts else None


def _prompt_from_rows(said: str | None, prompts: Counter[str], rows: int) -> tuple[str, str] | None:
    if not said or not said.strip():
        return None
    return said, f"{of(prompts[said], rows, 'rows')} bring it"


def _identity(name: str, data: DataSection, metric: MetricGuess) -> list[Setting]:
    into = output_phrase(data.output_column, metric)
    return [
        _set("name", name, "the file's name"),
        _set("title", f"Turn {input_phrase(data.input_column)} into {into}", "a draft: rewrite it"),
        _set("serving.model_name", name, "as the task"),
    ]


def _task(
    data: _Data, metric: MetricGuess, pairs: Sequence[Pair], brought: tuple[str, str] | None
) -> tuple[list[Setting], str]:
    section, outputs = data.section, [pair.output for pair in pairs]
    prompt, why = brought or (
        system_prompt(metric, outputs, section.output_column),
        "a draft from the outputs: rewrite it",
    )
    reply, _ = reply_tokens(outputs)
    pattern, pattern_why = metric.answer_pattern
    settings = [
        _set("task.input", input_phrase(section.input_column), "a draft: rewrite it"),
        _set("task.output", output_phrase(section.output_column, metric), "a draft: rewrite it"),
        _set("task.system_prompt", prompt, why),
        _set("task.metric", metric.metric, metric.why),
        _set("task.answer_pattern", pattern, pattern_why),
        _set("task.max_new_tokens", reply.value, reply.why),
    ]
    return settings, prompt


def _scoring(metric: MetricGuess) -> list[Setting]:
    return [_set(f"scoring.{option}", value, why) for option, value, why in metric.scoring]


def _pressures(metric: MetricGuess) -> list[Setting]:
    """Set the one pressure that outputs can show; the others are for a person to claim."""
    bound = metric.metric in FORMAT_BOUND
    why = f"`{metric.metric}` asks for one form" if bound else f"`{metric.metric}` asks for no form"
    return [_set("pressures.exact_format", bound, why)]


def _sizes(pairs: Sequence[Pair], prompt: str) -> tuple[list[Setting], tuple[str, ...]]:
    texts = [(pair.input, pair.output) for pair in pairs]
    split = split_sizes(len(pairs))
    reply, cut = reply_tokens([pair.output for pair in pairs])
    rows, epochs = training_size(texts, prompt, split.train)
    (shots, why), context, long = shots_and_context(texts, prompt, reply=reply.value or 0, train=split.train)
    tried = Sized(min(40, split.dev.value or 0), "at most the dev pairs")
    numbers = {
        "split.test": split.test,
        "split.dev": split.dev,
        "tuning.rows": rows,
        "tuning.epochs": epochs,
        "comparison.shots_dev_items": tried,
        "serving.num_ctx": context,
    }
    settings = [_set(key, sized.value, sized.why) for key, sized in numbers.items()]
    notes = (*split.notes, *_large_groups(pairs, split), *cut, *long)
    return [*settings, _set("comparison.shots", shots, why)], notes


def _large_groups(pairs: Sequence[Pair], split: Split) -> tuple[str, ...]:
    """Say beforehand that `freeze` cannot fill the test: a group above a twentieth of it stays in train."""
    wanted = split.test.value or 0
    limit = max(1, wanted // 20)
    sizes = Counter(pair.group for pair in pairs if pair.group)
    small = len(pairs) - sum(size for size in sizes.values() if size > limit)
    if small >= wanted or len(pairs) < wanted:
        return ()
    return (
        f"CHECK: only {small:,} of {len(pairs):,} pairs are in groups of at most {limit}. A larger group "
        f"stays in train, so the test of {wanted} cannot be filled: take a finer group, or add groups.",
    )


def _first_reason(rows: Rows) -> str:
    return f" ({rows.rejected[0].place}: {rows.rejected[0].reason})" if rows.rejected else ""


def _reasons(lost: Counter[str]) -> str:
    return ", ".join(f"{count:,} × {reason}" for reason, count in lost.most_common(_MANY_REASONS))


def _lost(lost: Counter[str]) -> tuple[str, ...]:
    if not lost:
        return ()
    return (
        f"{sum(lost.values()):,} rows hold no pair ({_reasons(lost)}): `draft` refuses them; mend them, or "
        "set data.bad_rows: leave out.",
    )


def _unfit(metric: MetricGuess, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Ask the metric itself which outputs it cannot take: `draft` asks it the same."""
    section = ScoringSection.model_validate({option: value for option, value, _ in metric.scoring})
    schema = section.json_schema if isinstance(section.json_schema, dict) else None
    problem, options = metric_of(metric.metric).problem, Options(section, schema)
    unfit = [(pair, why) for pair in pairs if (why := problem(pair.output, options))]
    if not unfit:
        return ()
    first, why = unfit[0]
    return (
        f"{of(len(unfit), len(pairs), 'outputs')} do not fit `{metric.metric}` (first: {first.source} "
        f"{why[:_REASON]}): `draft` refuses them; mend them, or set data.bad_rows: leave out.",
    )


def _asked(metric: MetricGuess, reviewed_by: str | None) -> tuple[str, ...]:
    bound = metric.metric in FORMAT_BOUND
    notes = [
        "pressures: a file does not show volume, price, latency, privacy or a label scheme of your own; set "
        f"what is true.{'' if bound else ' With none of them the advice is `not yet`.'}",
        "data.licence: `unknown` blocks publishing; write the SPDX id of the data's licence.",
    ]
    if reviewed_by is None:
        notes.append("data.reviewed_by: `review` will ask who labelled the pairs; name who really did.")
    return tuple(notes)


def told(guess: Guess) -> list[tuple[str, str, str]]:
    """Return (setting, value in at most 60 characters, origin) of every guess, for a table."""
    return [(each.name, _shortened(each), " ".join(each.origin.split())) for each in guess.settings]


def _shortened(setting: Setting) -> str:
    value = setting.value
    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
