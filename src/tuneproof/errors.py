"""Everything that can stop a run and that a person can repair.

TuneproofError           exit 1, shown without a traceback
├── BadInput             a file or a value that a person wrote is wrong
├── MissingArtifact      a step was asked for before the step that feeds it
├── MissingPart          an optional package that this step needs is not installed
├── LockBroken           a frozen file no longer has the digest it was frozen with
├── NotReady             the input is well-formed but not good enough to go on
├── Busy                 another process works on the same project
├── OutsideFailed        a tool that we drive (converter, runtime, trainer) failed
└── GateNotPassed        exit 3: the gate says FAIL or INCONCLUSIVE
"""

from __future__ import annotations


class TuneproofError(Exception):
    """An expected stop: shown without a traceback.

    `problem` says what is wrong with the actual values in it;
    `remedy` is a command or an edit that the reader can do next.
    """

    exit_code = 1

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}\n  → {remedy}")
        self.problem = problem
        self.remedy = remedy


class BadInput(TuneproofError): ...


class MissingArtifact(TuneproofError): ...


class MissingPart(TuneproofError): ...


class LockBroken(TuneproofError): ...


class NotReady(TuneproofError): ...


class Busy(TuneproofError): ...


class OutsideFailed(TuneproofError): ...


class GateNotPassed(TuneproofError):
    exit_code = 3
