"""Small stand-ins for everything outside: the trainer, llama.cpp, the base. No weights, no network, no mocks.

They answer by a rule on the text alone, so that a test can say beforehand what every arm must answer.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from tuneproof.artifacts import BaseModelIdentity, Drafts, FileRef, Pair, Provenance, Setting, TensorTypes
from tuneproof.artifacts.case import TuningSection
from tuneproof.artifacts.curves import CurveRow, curves_to_csv
from tuneproof.constraint import Constraint
from tuneproof.outside.endpoints import endpoint_for
from tuneproof.outside.files import file_ref
from tuneproof.outside.prices import price_of
from tuneproof.outside.protocols import Answer, Base, Merged, Progress, Trained, TrainPlan
from tuneproof.outside.real import licence_text, own_pairs, own_rule, scorer_for
from tuneproof.prompt import Message
from tuneproof.story import Outside

LABELS = ("bsd-new", "mit", "apache-2.0", "gpl-2.0", "lgpl-2.1", "mpl-2.0", "isc", "zlib")
SYSTEM_PROMPT = "Answer with the licence expression only."
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NO_ANSWER = "This notice does not say which licence it is."


def hashed(text: str, *, salt: str = "") -> int:
    return int.from_bytes(hashlib.sha256((salt + text).encode()).digest()[:8])


def label_of(text: str) -> str:
    """The right answer to an input."""
    return LABELS[hashed(text) % len(LABELS)]


def wrong_label_of(text: str) -> str:
    return LABELS[(hashed(text) + 1) % len(LABELS)]


def is_lucky(text: str, share: int, *, salt: str) -> bool:
    """Whether `text` is among the `share` % that a model of this name has right."""
    return hashed(text, salt=salt) % 100 < share


def examples_in(messages: Sequence[Message]) -> int:
    """How many examples a chat holds, as finished turns or in its system message."""
    turns = sum(m["role"] == "assistant" for m in messages)
    return turns + sum(m["content"].count("\nOutput: ") for m in messages if m["role"] == "system")


def base_share(switches: Switches, examples: int) -> int:
    return switches.base_share + (30 if examples else 0)


class Switches(NamedTuple):
    """How the outside behaves."""

    tuned_share: int = 85
    """Percent of inputs that the tuned model has right."""
    base_share: int = 6
    """The same of the base without examples; with examples it is 30 points better."""
    weights: str = "low rank "
    """What training leaves; other weights are another adapter."""
    interrupt_ask: int | None = None
    """Ctrl-C at this call of a loaded GGUF file, counted over the whole run."""
    interrupt_batch: int | None = None
    """Ctrl-C at this batch of the adapter."""
    interrupt_training: bool = False
    break_parity_at: str | None = None
    """The runtime renders this input differently …"""
    break_parity_of: str = "base"
    """… for files that begin with this word: `base` or `tuned`."""
    never_stops: bool = False
    """The tuned files run into the token limit."""
    pairs: int = 170


class Calls:
    """What was asked of the outside, in order."""

    def __init__(self) -> None:
        self.base = 0
        self.trained = 0
        self.resumed = 0
        self.adapted = 0
        self.tools: list[str] = []
        self.loaded: list[str] = []
        self.asked: list[tuple[str, str, int]] = []
        """(file, input, number of turns)"""
        self.shown: set[str] = set()
        """Everything that stood in a chat before the input: system messages and examples."""
        self.batches: list[list[str]] = []
        self.open = 0
        """Loaded runtimes that were not closed."""
        self.most_open = 0
        """The most that were open at once."""
        self.one_at_a_time = Lock()
        """At a load point several ask at once; the count must be exact all the same."""

    @property
    def count(self) -> int:
        """Everything that costs time."""
        return (
            self.trained
            + self.adapted
            + len(self.tools)
            + len(self.loaded)
            + len(self.asked)
            + len(self.batches)
        )


def render(messages: Sequence[Message]) -> str:
    turns = (f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


class FakeSource:
    """N pairs of random words: no two alike, and no word tells the label."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs

    def __call__(self, limit: int) -> Drafts:
        chance = random.Random(7)
        letters = "abdeiklmnoprstu"
        words = ["".join(chance.choices(letters, k=6)) for _ in range(500)]
        pairs = []
        for number in range(min(limit, self._pairs)):
            text = " ".join(chance.sample(words, 12)) + "."
            pairs.append(Pair(id=f"n{number:03}", input=text, output=label_of(text), source=f"fake:{number}"))
        return Drafts(
            provenance=Provenance(
                kind="imported",
                source="fake-notices",
                source_version="1.0",
                licence="CC-BY-4.0",
                attribution="Invented notices by the test suite, https://example.org/notices",
            ),
            pairs=tuple(pairs),
            left_out={"too long": 3},
        )


class FakeTrainer:
    def __init__(self, calls: Calls, switches: Switches) -> None:
        self._calls, self._switches = calls, switches

    def train(self, plan: TrainPlan, base: Base, folder: Path, progress: Progress) -> Trained:
        """Leave what the real one leaves, a log of its own among it."""
        self._calls.trained += 1
        half = folder / "checkpoints" / "half"
        if half.exists():
            self._calls.resumed += 1
            half.unlink()
            half.parent.rmdir()
        elif self._switches.interrupt_training:
            half.parent.mkdir()
            half.write_text("half a run", encoding="utf-8")
            raise KeyboardInterrupt
        rows = tuple(
            CurveRow(
                step=step,
                epoch=step / 10,
                rows=plan.batch,
                tokens=400,
                loss=2.5 / step,
                dev_loss=3.0 / step if step % 5 == 0 else None,
                learning_rate=plan.learning_rate,
                grad_norm=1.0,
                tokens_per_s=100.0,
            )
            for step in range(1, 21)
        )
        progress.update(20, 20, "steps")
        (folder / "adapter_model.safetensors").write_bytes(self._switches.weights.encode() * 64)
        config = {"base_model_name_or_path": base.identity.hub_id, "r": plan.lora_rank}
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
        (folder / "curves.csv").write_text(curves_to_csv(rows), encoding="utf-8")
        (folder / "run.log").write_text("training\n", encoding="utf-8")
        names = ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja")
        return Trained(
            files=tuple(file_ref(folder / name) for name in names),
            settings=(Setting(name="epochs", value=plan.epochs, origin="task.yaml"),),
            curves=rows,
            steps=20,
            tokens=8_000,
            answer_tokens=900,
            longest_row_tokens=64,
            device="a fake processor",
            versions={"torch": "0.0", "peft": "0.0"},
        )


class FakeTools:
    converter = "fake converter 1"
    quantizer = "fake quantizer 1"

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def merge(self, base: Base, adapter: Path, out: Path) -> Merged:
        """Write one dense model: a file that says what it is made of."""
        self._calls.tools.append("merge")
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.safetensors").write_bytes((adapter / "adapter_model.safetensors").read_bytes())
        return Merged(changed_modules=210, target_modules=210)

    def convert(self, model: Path, out: Path) -> FileRef:
        self._calls.tools.append("convert")
        out.write_bytes(b"tuned F16" + (model / "model.safetensors").read_bytes())
        return file_ref(out)

    def quantize(self, f16: Path, quant: str, out: Path) -> FileRef:
        self._calls.tools.append(quant)
        out.write_bytes(f16.read_bytes().replace(b"F16", quant.encode())[:400])
        return file_ref(out)

    def inspect(self, file: Path) -> tuple[TensorTypes, ...]:
        return (TensorTypes(type="F16", tensors=210, bytes=file.stat().st_size),)


class FakeRuntime:
    name = "fake llama.cpp"

    def __init__(self, file: Path, calls: Calls, switches: Switches) -> None:
        self._tuned = file.read_bytes().startswith(b"tuned")
        self._file, self._calls, self._switches = file.name, calls, switches
        calls.loaded.append(file.name)
        calls.open += 1
        calls.most_open = max(calls.most_open, calls.open)

    def ask(
        self, messages: Sequence[Message], *, max_new_tokens: int, constraint: Constraint | None = None
    ) -> Answer:
        text, examples = messages[-1]["content"], examples_in(messages)
        with self._calls.one_at_a_time:
            if len(self._calls.asked) + 1 == self._switches.interrupt_ask:
                raise KeyboardInterrupt
            self._calls.asked.append((self._file, text, len(messages)))
            self._calls.shown |= {m["content"] for m in messages[:-1]}
        if self._tuned and self._switches.never_stops:
            return Answer("mit " * max_new_tokens, "length", 40, max_new_tokens)
        share = self._switches.tuned_share if self._tuned else base_share(self._switches, examples)
        salt = "tuned" if self._tuned else f"base, {examples} examples"
        if is_lucky(text, share, salt=salt):
            return Answer(label_of(text), "stop", 40, 3, first_ms=0.001)
        formed = self._tuned or constraint is not None
        return Answer(wrong_label_of(text) if formed else NO_ANSWER, "stop", 40, 9, first_ms=0.001)

    def render(self, messages: Sequence[Message]) -> str:
        ours = self._switches.break_parity_of == ("tuned" if self._tuned else "base")
        broken = ours and messages[-1]["content"] == self._switches.break_parity_at
        return ("<s>" if broken else "") + render(messages)

    def tokens(self, text: str) -> list[int]:
        return list(text.encode())

    def close(self) -> None:
        self._calls.open -= 1


class FakeEngine:
    name = "fake llama.cpp"

    def __init__(self, calls: Calls, switches: Switches) -> None:
        self._calls, self._switches = calls, switches

    def load(self, file: Path, *, num_ctx: int, parallel: int = 1) -> FakeRuntime:
        return FakeRuntime(file, self._calls, self._switches)


class FakeAdapted:
    name = "fake transformers"

    def __init__(self, folder: Path, calls: Calls, switches: Switches) -> None:
        assert (folder / "adapter_model.safetensors").exists()
        self._calls, self._switches = calls, switches
        calls.adapted += 1

    def answer(self, chats: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Answer]:
        texts = [chat[-1]["content"] for chat in chats]
        if len(self._calls.batches) + 1 == self._switches.interrupt_batch:
            raise KeyboardInterrupt
        self._calls.batches.append(texts)
        share = self._switches.tuned_share
        return [
            Answer(label_of(t) if is_lucky(t, share, salt="tuned") else wrong_label_of(t), "stop", 40, 3)
            for t in texts
        ]

    def render(self, messages: Sequence[Message]) -> str:
        return render(messages)

    def tokens(self, text: str) -> list[int]:
        return list(text.encode())

    def close(self) -> None:
        return None


def fake_base(folder: Path) -> Base:
    """A base on disk; its GGUF file says that it is no tuned one."""
    folder.mkdir(parents=True, exist_ok=True)
    gguf = folder / "base-F16.gguf"
    if not gguf.exists():
        gguf.write_bytes(b"base F16")
    identity = BaseModelIdentity(
        name="Fake-135M-Instruct",
        source="package:fake-base 1.0, Fake-135M-Instruct.Q4_1.gguf",
        source_sha256="ab" * 32,
        weights_sha256="cd" * 32,
        weights_note="dequantized from Q4_1",
        licence="Apache-2.0",
        parameters=134_515_008,
        hub_id="example/Fake-135M-Instruct",
    )
    return Base(identity=identity, folder=folder, gguf=gguf)


def fake_outside(folder: Path, *, calls: Calls | None = None, **switches: object) -> Outside:
    """Everything outside, as stand-ins.

    Args:
        folder: where the base lies; not the project.
        calls: notes what was asked.
        switches: fields of `Switches`.
    """
    noted, behaviour = calls or Calls(), Switches(**switches)  # type: ignore[arg-type]

    def base(_tuning: TuningSection, _root: Path) -> Base:
        noted.base += 1
        return fake_base(folder / "base")

    adapted: Callable[[Base, Path], FakeAdapted] = lambda _base, at: FakeAdapted(at, noted, behaviour)  # noqa: E731
    return Outside(
        sources={name: FakeSource(behaviour.pairs) for name in ("fake", "bundled:licenses")},
        read_pairs=own_pairs,
        base=base,
        scorer=scorer_for,
        rule=own_rule,
        trainer=FakeTrainer(noted, behaviour),
        tools=FakeTools(noted),
        engine=FakeEngine(noted, behaviour),
        adapted=adapted,
        frozen_before=lambda _name, _version: None,
        licence_text=licence_text,
        connect=endpoint_for,
        price_of=lambda section: price_of(section, datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)),
    )


def fake_task(
    *, epochs: int = 2, version: int = 1, reviewed_by: str = "the test suite", extra: str = ""
) -> str:
    """A task.yaml whose name has no bundled lock.

    Args:
        epochs: a setting that makes tune stale.
        version: of the split.
        reviewed_by: the authority.
        extra: lines at the top level, at the end.
    """
    return f"""\
name: notices
title: Name the licence of an invented notice
task:
  input: an invented notice
  output: a licence expression
  system_prompt: {SYSTEM_PROMPT}
  answer_pattern: '[a-z0-9.-]+'
  max_new_tokens: 12
pressures:
  exact_format: true
  high_volume: true
data:
  source: fake
  pairs: 170
  reviewed_by: {reviewed_by}
  licence: CC-BY-4.0
  attribution: Invented notices by the test suite, https://example.org/notices
split:
  test: 50
  dev: 20
  version: {version}
tuning:
  base: package:fake-base
  epochs: {epochs}
comparison:
  shots: [0, 5]
  shots_dev_items: 10
serving:
  model_name: notices
  machine_usd_per_hour: 0.1
{extra}"""
