"""Paths that users give: made plain once, before anything is read or written there.

`given` expands ~ and refuses what cannot be a path. `resolved` also follows links, as the operating
system does. `for_arrays` gives the library that writes arrays a spelling that it leaves alone.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpvae_jax.errors import UserError

ROOM = 600
"""Bytes that the paths of the files in a folder take beyond that of the folder."""

LONGEST_NAME, LONGEST_PATH = 255, 4096
"""The limits of most systems in bytes, where one does not say its own."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")  # `pathlib` makes one slash of two


def given(path: str | bytes | os.PathLike, name: str = "folder") -> Path:
    """A path with ~ expanded.

    Args:
      path: The path.
      name: What the caller calls it, for the error message.

    Raises:
      UserError: It is not a path, it is empty or a URL, or it has characters that no path has.

    >>> given("runs/mine").as_posix()
    'runs/mine'
    >>> given("gs://bucket/mine")
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: folder is gs://bucket/mine, which is a URL; give a path on this \
machine, and copy the files from or to the URL yourself.
    """
    try:
        text = os.fsdecode(path)
        os.fsencode(text)
    except TypeError:
        raise UserError(f"{name} is {path!r}; give a path, such as 'runs/mine'.") from None
    except UnicodeError:
        raise UserError(
            f"{name} is {path!r}, which has characters that no path has here; choose another name, "
            "or set LC_ALL=C.UTF-8."
        ) from None
    if not text:
        raise UserError(f"{name} is empty; give a path, such as '.' for the current folder.")
    if "\0" in text:
        raise UserError(f"{name} is {text!r}, which has a zero byte; choose another name.")
    if _URL.match(text):
        raise UserError(
            f"{name} is {text}, which is a URL; give a path on this machine, and copy the files "
            "from or to the URL yourself."
        )
    home = os.path.expanduser(text)
    if home == text and re.match("~(/|$)", text):
        raise UserError(
            f"{name} is {text}, but this user has no home folder; set HOME, or give the whole path."
        )
    return Path(home)


def resolved(path: str | bytes | os.PathLike, name: str = "folder") -> Path:
    """The absolute path, without links and `..`, of a path as `given` takes it.

    A link followed by `..` leads where the operating system leads: beside the link's target.

    Raises:
      UserError: As `given`; or a name in the path, or the whole path, is too long.
    """
    try:
        place = Path(os.path.realpath(given(path, name)))
    except FileNotFoundError as error:
        raise UserError(
            f"{name} is {os.fsdecode(path)}, but the current folder no longer exists; change to "
            "another one."
        ) from error
    _check_lengths(place, name)
    return place


def _check_lengths(place: Path, name: str) -> None:
    there = next((parent for parent in place.parents if os.path.lexists(parent)), place)
    longest = _limit(there, "PC_NAME_MAX", LONGEST_NAME)
    for part in place.parts:
        if len(os.fsencode(part)) > longest:
            raise UserError(
                f"{name} has a name of {len(os.fsencode(part))} bytes, {part[:20]}…, but the file "
                f"system takes {longest}; choose a shorter one."
            )
    size, most = len(os.fsencode(place)), _limit(there, "PC_PATH_MAX", LONGEST_PATH) - ROOM
    if size > most:
        raise UserError(
            f"{name} is a path of {size} bytes, {str(place)[:20]}…, but at most {most} leave room "
            "for the files in it; choose a shorter one."
        )


def _limit(place: Path, name: str, otherwise: int) -> int:
    try:
        found = os.pathconf(place, name)
    except (OSError, ValueError):
        return otherwise
    return found if found > 0 else otherwise


@contextmanager
def for_arrays(folder: Path) -> Iterator[Path]:
    """A path of a resolved folder under which TensorStore finds it too.

    TensorStore takes a backslash for a slash, and all names for UTF-8. Where the folder's path has
    another meaning then, a link to it in the folder for temporary files stands for it.

    Raises:
      UserError: The folder for temporary files has such a path too, or cannot be written.
    """
    if _plain(folder):
        yield folder
        return
    try:
        place = tempfile.TemporaryDirectory(prefix="cpvae-")
    except OSError as error:
        raise UserError(
            f"{folder} needs a temporary link, because its name is not plain UTF-8 or has a "
            f"backslash, but none can be made ({error.strerror}); choose another folder."
        ) from error
    with place:
        link = Path(os.path.realpath(place.name)) / "link"
        if not _plain(link):
            raise UserError(
                f"{folder} is not plain UTF-8 or has a backslash, and so has the folder of "
                f"temporary files, {link.parent}; choose another folder, or set TMPDIR."
            )
        link.symlink_to(folder, target_is_directory=True)
        yield link


def _plain(path: Path) -> bool:
    text = str(path)
    return "\\" not in text and os.fsencode(text) == text.encode("utf-8", "surrogatepass")
