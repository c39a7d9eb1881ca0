"""The one error a user is meant to read: a rule, the value that broke it, and the remedy."""

from __future__ import annotations


class PladError(Exception):
    """A mistake or a condition that the user can mend.

    The message says the rule, the value and the remedy. The command line prints it without a
    traceback and exits with 2.
    """


class DivergedError(PladError):
    """A training whose loss is no longer a number: settings of another kind may do better."""


def nearest(word: str, words: list[str] | tuple[str, ...]) -> str:
    """`" Did you mean 'x'?"` for the name in `words` nearest to `word`, or an empty string."""
    import difflib

    close = difflib.get_close_matches(str(word), list(words), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
