"""Small files, written whole or not at all and read without trust."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SMALL = 2**20
"""Bytes that a file of JSON has at most."""


class DamagedError(ValueError):
    """What is wrong with which file: the end of a sentence."""


def replace(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, through a crash of the machine too."""
    with replacing(path) as partial, partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write what takes the place of a file once all of it is there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """What a file of JSON holds; `DamagedError` if it is missing, no JSON, or too large for one."""
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise DamagedError(f"{path.name} is no file of its own")
        if about.st_size > SMALL:
            raise DamagedError(f"{path.name} is larger than {SMALL} bytes")
        return json.loads(path.read_bytes())
    except DamagedError:
        raise
    except FileNotFoundError as error:
        raise DamagedError(f"{path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path.name} cannot be read") from error
