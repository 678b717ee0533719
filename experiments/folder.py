"""The folder of a run: who may open it, what it holds, how it is written.

config.json     what was asked for; a run goes on only with the same
checkpoints/    Orbax; `cpvae_jax.load` reads the best parameters from here
metrics.jsonl   a line an epoch
metrics.json    the scores, at the end
pictures/       PNG files
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from cpvae_jax.errors import UserError

CONFIG, SESSIONS, LOG, SCORES = "config.json", "sessions.jsonl", "metrics.jsonl", "metrics.json"
PICTURES = "pictures"


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
        return [json.loads(line) for line in text.split("\n")[:-1]]

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
        partial = self.path / f".{name}.partial"
        with self.writing():
            partial.write_text(text)
            os.replace(partial, self.path / name)


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


def open_run(path: Path, settings: dict[str, Any], *, resume: bool) -> RunFolder:
    """Make the folder of a new run, or open that of a run to go on with.

    Raises `UserError` where it holds another configuration, a run that was not asked to go
    on, something that is no run, or where it cannot be written.
    """
    folder = RunFolder(path)
    if (path / CONFIG).exists():
        found = read(path / CONFIG)
        different = sorted(
            key for key in found.keys() | settings.keys() if found.get(key) != settings.get(key)
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
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists and holds no run; choose another folder with --out.")
    elif resume:
        raise UserError(f"{path} holds no run to resume; leave out --resume to begin one.")
    else:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        folder.write_json(CONFIG, settings)
    return folder


def finished(path: Path) -> dict[str, Any]:
    """The configuration of the finished run in a folder; `UserError` where there is none."""
    if not (path / SCORES).exists():
        raise UserError(f"{path} holds no finished run; give folders that experiments.run made.")
    return read(path / CONFIG)


def read(path: Path) -> dict[str, Any]:
    """The configuration of a run, from its file; `UserError` where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged; choose another folder with --out.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is no configuration of a run; choose another folder with --out.")
    return found
