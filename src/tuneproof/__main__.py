"""`python -m tuneproof` is `tuneproof`."""

from tuneproof.cli import main

main()
