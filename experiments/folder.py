"""The folder of a run: who may open it, what it holds, how it is written.

.lock           held by the program that trains in it
config.json     what was asked for; a run goes on only with the same
checkpoints/    Orbax; `cpvae_jax.load` reads the best parameters from here
metrics.jsonl   a line an epoch
metrics.json    the scores, at the end
pictures/       PNG files
"""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from cpvae_jax import files
from cpvae_jax.errors import UserError

CONFIG, SESSIONS, LOG, SCORES = "config.json", "sessions.jsonl", "metrics.jsonl", "metrics.json"
PICTURES = "pictures"
LOCK = ".lock"

FORMAT = 1
"""Raise it when this version cannot go on with the runs of the one before."""


class RunFolder:
    """A folder that holds one run. Make it with `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Append a line to one of the logs."""
        with self.writing(), (self.path / name).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a log; one that a crash cut short is left out."""
        try:
            text = (self.path / name).read_text()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path / name} cannot be read ({error}).") from error
        found = []
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"line {number} of {self.path / name} is damaged; take that line out to go on "
                    "without it."
                ) from error
        return found

    def rewind(self, epoch: int) -> None:
        """Drop what the log of epochs holds beyond one that training goes on from."""
        kept = [line for line in self.lines(LOG) if line["epoch"] <= epoch]
        self._replace(LOG, "".join(json.dumps(line) + "\n" for line in kept))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all."""
        self._replace(name, json.dumps(value, indent=2) + "\n")

    def picture(self, name: str) -> Path:
        """The path of a picture, its folder made."""
        with self.writing():
            (self.path / PICTURES).mkdir(exist_ok=True)
        return self.path / PICTURES / f"{name}.png"

    def writing(self) -> AbstractContextManager[None]:
        """A context in which a refusal to write becomes a sentence about this folder."""
        return writing(self.path)

    def _replace(self, name: str, text: str) -> None:
        with self.writing():
            files.replace(self.path / name, text)


class Elsewhere(RunFolder):
    """The folder as all but the first process of a run see it: it is not theirs to touch."""

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Nothing: the first process does."""

    def lines(self, name: str) -> list[dict[str, Any]]:
        """None: the first process has them."""
        return []

    def _replace(self, name: str, text: str) -> None:
        """Nothing: the first process does."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an operating system's refusal to write into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose another place with --out, or "
            "mend its permissions or the space on its disk."
        ) from error


@contextmanager
def open_run(
    path: Path, settings: dict[str, Any], *, resume: bool, writer: bool = True
) -> Iterator[RunFolder]:
    """Make the folder of a new run, or open that of a run to go on with; held till the end.

    Raises `UserError` where it holds another configuration, a run that was not asked to go
    on, something that is no run, where another program holds it, or it cannot be written. Of
    several processes only the `writer` looks at it at all.
    """
    if not writer:
        yield Elsewhere(path)
        return
    settings = {"format": FORMAT, **settings}
    _check(path, settings, resume=resume)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    with _held(path):
        _check(path, settings, resume=resume)  # another program may have been here meanwhile
        folder = RunFolder(path)
        if not (path / CONFIG).exists():
            folder.write_json(CONFIG, settings)
        yield folder


def _check(path: Path, settings: dict[str, Any], *, resume: bool) -> None:
    if (path / CONFIG).exists():
        found = read(path / CONFIG)
        different = sorted(
            key for key in found.keys() | settings.keys() if found.get(key) != settings.get(key)
        )
        if "format" in different:
            raise UserError(
                f"{path} holds a run of another version of this program (format "
                f"{found.get('format')}, not {FORMAT}); go on with that version, or choose another "
                "folder with --out."
            )
        if different:
            raise UserError(
                f"{path} holds a run with another configuration ({', '.join(different)} differ); "
                "choose another folder with --out."
            )
        if not resume:
            raise UserError(
                f"{path} holds a run of this configuration already; add --resume to go on with "
                "it, or choose another folder with --out."
            )
    elif path.exists() and not _empty(path):
        raise UserError(f"{path} exists and holds no run; choose another folder with --out.")
    elif resume:
        raise UserError(f"{path} holds no run to resume; leave out --resume to begin one.")


def _empty(path: Path) -> bool:
    """Whether a folder holds nothing, or what a run that was killed at its start leaves."""
    return path.is_dir() and {child.name for child in path.iterdir()} <= {
        LOCK,
        f".{CONFIG}.partial",
    }


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Holds a run folder for this program."""
    with locked(path / LOCK) as mine:
        if not mine:
            raise UserError(
                f"another program trains in {path}; wait for its end, or choose another folder "
                "with --out."
            )
        yield


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """A lock file, made if need be: whether it is this program's till the end of the context.

    The system lets go of it however the program ends.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        mine = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mine = False
        except OSError as error:  # some network file systems have no locks
            print(f"note: {path.parent} cannot be locked ({error.strerror}).", file=sys.stderr)
        yield mine


def result(path: Path) -> dict[str, Any]:
    """The scores in a file that a command wrote; `UserError` where it is damaged."""
    return read_json(path, "remove it, so that it is made anew")


def finished(path: Path) -> dict[str, Any]:
    """The configuration of the finished run in a folder; `UserError` where there is none."""
    if not (path / SCORES).exists():
        raise UserError(f"{path} holds no finished run; give folders that experiments.run made.")
    return read(path / CONFIG)


def read(path: Path) -> dict[str, Any]:
    """The configuration of a run, from its file; `UserError` where there is none."""
    found = read_json(path, "choose another folder with --out")
    return {k: same_path(v) if k == "dataset" else v for k, v in found.items()}


def same_path(dataset: str) -> str:
    """A data set's name or path without a slash at its end, which a shell may add."""
    return str(dataset).rstrip("/") or "/"


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """What a file of ours holds; `UserError`, with a remedy, where it is damaged or missing."""
    try:
        found = files.read_json(path)
        if not isinstance(found, dict):
            raise files.DamagedError("it holds something else")
    except files.DamagedError as error:
        raise UserError(f"{path} is damaged ({error}); {remedy}.") from error
    return found
