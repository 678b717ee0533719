"""Paths in messages: names that are not UTF-8, and files that may not be read."""

import os

from cpvae_jax.errors import UserError


def printable(path: str | os.PathLike) -> str:
    r"""Returns a path as text for people: bytes that are not UTF-8 become escapes such as `\xe9`.

    >>> printable(os.fsdecode(b"caf\xe9"))
    'caf\\xe9'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def denied(path: str | os.PathLike) -> UserError:
    """Returns the error for a file or folder that this user may not read."""
    return UserError(
        f"{printable(path)} cannot be read (permission denied): allow this user to read it, and to "
        "enter the folders above it."
    )
