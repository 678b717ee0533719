"""Small files: written atomically, and read without trusting their contents."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cpvae_jax.errors import UserError

SMALL = 2**20
"""The largest JSON file that is read, in bytes."""


class DamagedError(ValueError):
    """Raised for a damaged file. The message names the file and completes a caller's sentence."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A block whose errors of the operating system become a `UserError` about `path`."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> UserError:
    """The error for a file or folder that may be whole, but that the system does not let us read."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}); check its permissions, and those of "
        "the folders that it is in."
    )


def there(path: Path) -> bool:
    """Whether something has this path; `OSError` where the system does not say."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def replace(path: Path, text: str) -> None:
    """Writes a text file atomically: a crash, even of the machine, leaves the old file or the new."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it to `path` if the block succeeds."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path, most: int = SMALL) -> Any:
    """Returns the contents of a JSON file.

    Args:
      path: The file.
      most: The largest size to read, in bytes.

    Raises:
      DamagedError: The file is missing, a link, larger than `most`, or not valid JSON.
      OSError: The system does not let us read it; it may be whole.
    """
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise DamagedError(f"{path.name} is not a regular file")
        if about.st_size > most:
            raise DamagedError(f"{path.name} is larger than {most} bytes")
        return json.loads(path.read_bytes())
    except DamagedError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedError(f"{path.name} is missing") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path.name} cannot be read") from error
