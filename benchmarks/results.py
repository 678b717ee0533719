"""The cases of a measurement in a JSON file, written whole after each of them.

A measurement that was stopped goes on where it was: finished cases are not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import machine
from cpvae_jax import files
from cpvae_jax.errors import UserError


def notes(measured: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """Lines that end a table: each note once, with the names of the cases that it is on."""
    names: dict[str, list[str]] = {}
    for name, one in measured:
        for note in one["notes"]:
            names.setdefault(note, []).append(name)
    return [f"note: {note} ({'; '.join(of)})" for note, of in names.items()]


class Results:
    """What has been measured, by what identifies a case.

    Raises `UserError` for a file that is none of a measurement, for one under other settings,
    whose cases and new ones would not compare, and for a place where no file can be.
    """

    def __init__(self, path: Path | None, setting: dict[str, Any]):
        self.path = path
        self.whole: dict[str, Any] = {
            "setting": setting,
            "machine": machine.describe(),
            "cases": [],
        }
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # now, and not after the first case
            raise UserError(
                f"{path.parent} cannot be made a folder; give another --out."
            ) from error
        if path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            found = files.read_json(path)
            before = {**found["setting"], **found["machine"]}
            self.whole["cases"] = [dict(one, case=dict(one["case"])) for one in found["cases"]]
        except (files.DamagedError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is no file of this measurement; give another --out."
            ) from error
        now = json.loads(json.dumps({**self.whole["setting"], **self.whole["machine"]}))
        other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if other:
            differences = ", ".join(
                f"{name} ({before.get(name)} there, {now.get(name)} now)" for name in other
            )
            raise UserError(
                f"{path} holds measurements under another setting: {differences}; "
                "give another --out."
            )

    @property
    def cases(self) -> list[dict[str, Any]]:
        """Everything that was measured of each case, `case` being what identifies it."""
        return self.whole["cases"]

    def find(self, case: dict[str, Any]) -> dict[str, Any] | None:
        """What was measured of a case, None if it was not."""
        return next((one for one in self.cases if one["case"] == case), None)

    def once(self, case: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was measured of a case, or else is now."""
        return self.find(case) or self.add(case, **measure())

    def add(self, case: dict[str, Any], **found: Any) -> dict[str, Any]:
        """Keep a case, in the file too; returns it as it is kept."""
        whole = {"case": case, **found}
        self.cases.append(whole)
        if self.path is not None:
            files.replace(self.path, json.dumps(self.whole, indent=1) + "\n")
        return whole
