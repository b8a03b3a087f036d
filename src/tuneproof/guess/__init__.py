"""A data file's rows → a guess at task.yaml, each setting with its origin, and what a person must decide."""

from tuneproof.guess.task import Guess, guess_task, told, value_of

__all__ = ["Guess", "guess_task", "told", "value_of"]
