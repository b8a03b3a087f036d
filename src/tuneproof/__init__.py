"""tuneproof: decide whether one narrow task should move to a small model you own, then prove it.

`tuneproof.story` holds the whole pass on one page; `tuneproof.artifacts` holds the typed records.
Importing this package loads no torch and no llama.cpp.
"""

__version__ = "0.1.0"
