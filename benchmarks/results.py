"""The cases of a measurement in a JSON file that is written after each case.

A measurement that was stopped continues where it was: finished cases are not measured again.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.turns import Ratio
from cpvae_jax.errors import UserError

QUIET = 0.5
"""Busy cores above which other programs may well decide the outcome."""


class Results:
    """The finished cases, in memory and, given a path, in a file.

    Raises:
        UserError: The path holds something else, or cases measured with other settings or on
            another machine, which must not be compared; or no file can be written there.
    """

    def __init__(self, path: Path | None, setting: dict[str, Any]):
        self._path = path
        self._whole: dict[str, Any] = {
            "setting": setting,
            "machine": machine.describe(),
            "cases": [],
        }
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # before anything is measured
            raise UserError(f"cannot make the folder {path.parent}; give another --out.") from error
        if path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text())
            before = {**found["setting"], **found["machine"]}
            self._whole["cases"] = [dict(one, case=dict(one["case"])) for one in found["cases"]]
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise UserError(
                f"{path} is not a file of this measurement; give another --out."
            ) from error
        now = json.loads(json.dumps({**self._whole["setting"], **self._whole["machine"]}))
        other = [
            f"{name} ({before.get(name)} there, {now.get(name)} now)"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        ]
        if other:
            raise UserError(
                f"{path} was measured with other settings: {', '.join(other)}; give another --out."
            )

    def once(self, case: dict[str, Any], measure: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """The record of a case: `measure(**case)` if the file does not have it."""
        for one in self._whole["cases"]:
            if one["case"] == case:
                return one
        one = {"case": case, **measure(**case)}
        self._whole["cases"].append(one)
        if self._path is not None:
            beside = self._path.with_name(self._path.name + ".new")
            beside.write_text(json.dumps(self._whole, indent=1) + "\n")
            os.replace(beside, self._path)
        return one


def table(measured: Iterable[dict[str, Any]]) -> str:
    """Cases and their programs: median seconds, the ratio to the first program, the last value."""
    lines = []
    for one in measured:
        lines.append(", ".join(f"{name} {value}" for name, value in one["case"].items()))
        for name, seconds in one["seconds"].items():
            line = f"  {name:30} {median(seconds):9.4f} s ({min(seconds):.4f}–{max(seconds):.4f})"
            if "over" in one:
                over, value = Ratio(**one["over"][name]), one["value"][name][-1]
                line = f"{line}  ratio {over}  value {value:.5g}"
            lines.append(line)
        lines += notes(one)
    return "\n".join(lines)


def notes(one: dict[str, Any]) -> list[str]:
    """The notes of a record as lines of a table."""
    found = list(one.get("notes", ()))
    if one["busy_cores"] > QUIET:
        found.append("other programs kept cores busy; measure again on a quiet machine")
    return [f"  note: {note}" for note in found]
