"""The doctor looks at every optional part and at what the bundled case needs."""

from __future__ import annotations

from pathlib import Path

from tuneproof.doctor import checks
from tuneproof.outside.parts import PARTS, missing


def test_every_part_has_a_line_that_agrees_with_what_the_steps_require(tmp_path: Path) -> None:
    found = {check.name: check for check in checks(tmp_path)}
    assert {"tune", "data", "gguf", "api", "desk"} == PARTS.keys() and PARTS.keys() <= found.keys()
    for part in PARTS:
        assert found[part].ok == (not missing(part))
        assert found[part].ok or found[part].remedy == f'pip install "tuneproof[{part}]"'


def test_what_is_well_needs_no_remedy_and_what_is_not_has_one(tmp_path: Path) -> None:
    lines = checks(tmp_path / "not there yet")
    assert len(lines) >= 10
    assert all(bool(line.remedy) != line.ok for line in lines)
