"""The folder of a run: who may open it, what it holds, and how it is written.

.lock           held by the program that trains in it
config.json     what was asked for; only a run with the same settings is continued
sessions.jsonl  one line per start: the command, the commit, the machine's kind, the versions
checkpoints/    Orbax; `cpvae_jax.load` reads the best parameters from here
metrics.jsonl   one line per epoch
metrics.json    the scores, written at the end
report.json     what report.html shows of the model and the data
report.html     the report
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

from cpvae_jax.errors import UserError
from cpvae_jax.storage import files, folders, same_run

CONFIG, SESSIONS, LOG, SCORES = "config.json", "sessions.jsonl", "metrics.jsonl", "metrics.json"
PICTURES = "pictures"
START = "start.json"
CONTENT, PAGE = "report.json", "report.html"
LARGE = 2**24
"""The largest report.json that is read, in bytes; what a run writes is below 5 MB."""

LOCK = ".lock"

FORMAT = same_run.FORMAT


class RunFolder:
    """A folder that holds one run. Make it with `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Append a line to one of the logs."""
        with self.writing(), (self.path / name).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a log, without a last line that a crash cut short.

        Raises:
          UserError: the log cannot be read, or a line is damaged.
        """
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
                    f"line {number} of {self.path / name} is damaged; put a copy of that file "
                    "aside, and take the line out to continue without it."
                ) from error
        return found

    def rewind(self, epoch: int) -> None:
        """Remove the lines of the log of epochs after the epoch that training continues from."""
        kept = [line for line in self.lines(LOG) if line["epoch"] <= epoch]
        self._replace(LOG, "".join(json.dumps(line) + "\n" for line in kept))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file atomically."""
        self._replace(name, json.dumps(value, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file atomically, as UTF-8."""
        self._replace(name, text)

    def picture(self, name: str) -> Path:
        """The path of a picture; its folder is made if it is missing."""
        with self.writing():
            (self.path / PICTURES).mkdir(exist_ok=True)
        return self.path / PICTURES / f"{name}.png"

    def writing(self) -> AbstractContextManager[None]:
        """A block whose write errors become a `UserError` about this folder."""
        return writing(self.path)

    def _replace(self, name: str, text: str) -> None:
        with self.writing():
            files.replace(self.path / name, text)


class Elsewhere(RunFolder):
    """The folder as all processes but the first see it: reading finds nothing, writing does nothing."""

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Do nothing: the first process appends."""

    def lines(self, name: str) -> list[dict[str, Any]]:
        """No lines: the first process has them."""
        return []

    def _replace(self, name: str, text: str) -> None:
        """Do nothing: the first process writes."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block whose write errors become a `UserError` about `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose another place, or check its "
            "permissions and the free space on its disk."
        ) from error


@contextmanager
def open_run(
    path: Path, settings: dict[str, Any], *, resume: bool, writer: bool = True
) -> Iterator[RunFolder]:
    """Makes the folder of a new run, or opens the folder of a run to continue.

    The folder is locked for this program until the block ends.

    Args:
      path: the folder.
      settings: what decides the numbers of the run, as JSON can hold it.
      resume: whether to continue the run in the folder.
      writer: whether this process writes; the others get an `Elsewhere` and touch nothing.

    Raises:
      UserError: the folder holds a run with other settings, a run that was not to be continued,
        or something else; another program has it; or it cannot be written.
    """
    path = folders.resolved(path)
    if not writer:
        yield Elsewhere(path)
        return
    settings = {"format": FORMAT, **settings}
    _check(path, settings, resume=resume)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    with _held(path):
        _check(path, settings, resume=resume)  # another program may have written meanwhile
        folder = RunFolder(path)
        if not (path / CONFIG).exists():
            folder.write_json(CONFIG, settings)
        yield folder


def _check(path: Path, settings: dict[str, Any], *, resume: bool) -> None:
    with files.reading(path):
        if files.there(path / CONFIG):
            same_run.check(path, read(path / CONFIG), settings)
            if not resume:
                raise UserError(
                    f"{path} already holds this run; add --resume (resume=True in Python) to "
                    "continue it, or choose another folder."
                )
        elif files.there(path) and not _empty(path):
            raise UserError(f"{path} exists and holds no run; choose another folder.")
        elif resume:
            raise UserError(f"{path} holds no run to resume; start one without --resume.")


def _empty(path: Path) -> bool:
    """Whether a folder is empty, or holds only what a run leaves that was killed at its start."""
    return path.is_dir() and {child.name for child in path.iterdir()} <= {
        LOCK,
        f".{CONFIG}.partial",
    }


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Locks a run folder for this program."""
    with locked(path / LOCK) as mine:
        if not mine:
            raise UserError(
                f"another program is training in {path}; wait until it ends, or choose another "
                "folder."
            )
        yield


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Tries to lock a file, which is made if it is missing, until the block ends.

    The system releases the lock however the program ends.

    Yields:
      Whether this program has the lock.
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


def result(path: Path, most: int = files.SMALL) -> dict[str, Any]:
    """The contents of a JSON file of at most so many bytes that a command wrote; `UserError` if it is damaged."""
    return read_json(path, "move it away, and run the command that wrote it again", most)


def finished(path: Path) -> dict[str, Any]:
    """The settings of the finished run in a folder; `UserError` if there is no finished run."""
    path = folders.resolved(path)
    with files.reading(path):
        if not files.there(path / SCORES):
            raise UserError(
                f"{path} holds no finished run; give the folder of a run that has ended."
            )
    return read(path / CONFIG)


def read(path: Path) -> dict[str, Any]:
    """The settings in a run's configuration file; `UserError` if it is missing or damaged."""
    found = read_json(path, "choose another folder")
    return {k: same_path(v) if k == "dataset" else v for k, v in found.items()}


def same_path(dataset: str) -> str:
    """A data set's name or path, without the slash that a shell may add at its end.

    >>> same_path("images/"), same_path("mnist"), same_path("/")
    ('images', 'mnist', '/')
    """
    return str(dataset).rstrip("/") or "/"


def read_json(path: Path, remedy: str, most: int = files.SMALL) -> dict[str, Any]:
    """The dictionary in a JSON file; `UserError` with a remedy if it is damaged or missing."""
    try:
        found = files.read_json(path, most)
        if not isinstance(found, dict):
            raise files.DamagedError("it is not a JSON object")
    except files.DamagedError as error:
        raise UserError(f"{path} is damaged ({error}); {remedy}.") from error
    except OSError as error:
        raise files.unreadable(path, error) from error
    return found
