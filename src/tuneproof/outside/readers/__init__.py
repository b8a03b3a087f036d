"""Files of the user's own → rows with their places → pairs; no row is dropped without place and reason."""

from tuneproof.outside.readers.files import read_rows
from tuneproof.outside.readers.rows import Row, Rows, kind_of
from tuneproof.outside.readers.shapes import pairs_from, row_system_prompts, shape_of
from tuneproof.outside.readers.source import read_pairs, source_digest

__all__ = [
    "Row",
    "Rows",
    "kind_of",
    "pairs_from",
    "read_pairs",
    "read_rows",
    "row_system_prompts",
    "shape_of",
    "source_digest",
]
