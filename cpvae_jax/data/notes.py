"""What a reader converted or left out: for the source of a data set, and as warnings."""

import warnings
from collections.abc import Iterable


def say(what: str, notes: Iterable[str]) -> str:
    """Warns of each note, and returns all as one text for `Dataset.source`.

    The command ignores these warnings, because it prints the source.

    Args:
      what: What was read, such as "the images in pictures".
      notes: Half sentences.

    >>> say("the images in pictures", [])
    ''
    """
    notes = list(notes)
    for note in notes:
        # The caller of `data.load`, which is four calls up.
        warnings.warn(f"reading {what}: {note}", UserWarning, stacklevel=5)
    return f"Note: {'; '.join(notes)}." if notes else ""
