"""Parts of a model's identity → file names that are safe in a Modelfile, on a disk and on the Hub."""

from __future__ import annotations

import re

from tuneproof.errors import BadInput

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_QUANT = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){0,2}")


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it is a plain file name: no path, no space, no control character.

    Raises:
        BadInput: it is anything else.
    """
    if FILE_NAME.fullmatch(name):
        return name
    raise BadInput(
        f"The {what} {name[:160]!r} is not a plain name.",
        remedy="Use 1 to 128 letters, digits, dots, underscores and hyphens; begin with a letter or digit.",
    )


def gguf_name(base: str, task: str, quant: str, version: str) -> str:
    """Name a GGUF file by convention: `<BaseName>-<SizeLabel>-<FineTune>-v<version>-<ENCODING>.gguf`.

    Args:
        base: base name with its size label, for example `SmolLM2-135M-Instruct`.
        task: the fine-tune, for example `licenses`.
        quant: encoding, for example `Q8_0`.
        version: one to three numbers, without the `v`.

    Raises:
        BadInput: a part holds a character that has no place in a file name.
    """
    if not _QUANT.fullmatch(quant):
        raise BadInput(
            f"The quantization {quant[:40]!r} is not a GGUF encoding.",
            remedy="Write it as llama.cpp does, for example Q8_0, Q4_K_M or F16.",
        )
    if not _VERSION.fullmatch(version):
        raise BadInput(
            f"The version {version[:40]!r} is not a version number.",
            remedy="Write one to three numbers with dots, for example 1 or 1.2, without a leading v.",
        )
    check_name(base, what="base name")
    check_name(task, what="task name")
    return check_name(f"{base}-{task}-v{version}-{quant}.gguf", what="GGUF file name")
