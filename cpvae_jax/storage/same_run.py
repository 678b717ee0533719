"""Whether a run in a folder is the one that is to be continued: same settings, same data."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from cpvae_jax.config import Config, Training
from cpvae_jax.errors import UserError
from cpvae_jax.storage import prng

FORMAT = 2
"""The format of runs: raise it when this version cannot continue the runs of the one before."""

DATA, PRNG = "data", "prng"
"""Settings that earlier runs lack: digests of the parts of the data, the kind of random keys."""

PARTS = {
    "train": "training",
    "valid": "validation",
    "test": "test",
    "weights": "weighted",
}


def check(path: Path, found: dict[str, Any], settings: dict[str, Any]) -> None:
    """Raise `UserError` unless a run was made with these settings, by a version of this format.

    Data are compared by their digests, not by the spelling of their path. A run that has none is
    compared by that spelling.

    Args:
      path: The folder of the run.
      found: The settings in it.
      settings: Those of the run to continue.
    """
    _check_format(path, found.get("format"))
    found, settings = _completed(found), _completed(settings)
    made, now = found.get(PRNG), settings.get(PRNG)
    if made and now and made != now:
        raise UserError(f"{path} cannot be resumed: {prng.differ(made, now)}.")
    different = {
        key for key in found.keys() | settings.keys() if found.get(key) != settings.get(key)
    } - {DATA, PRNG}
    there, here = found.get(DATA), settings.get(DATA)
    if isinstance(there, dict) and isinstance(here, dict):
        different -= {"dataset"}
        parts = [words for part, words in PARTS.items() if there.get(part) != here.get(part)]
        if parts and different:
            different |= {DATA}
        elif parts:
            raise UserError(
                f"{path} holds a run on other data: the {_listed(parts)} examples are not those "
                "that it was started on; give the original data, or choose another folder."
            )
    if different:
        raise UserError(
            f"{path} holds a run with other settings (different: {', '.join(sorted(different))}); "
            "choose another folder."
        )


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    """Settings with the fields that an earlier version lacks, at the defaults that keep their meaning."""
    complete = dict(found)
    for name, record in (("model", Config), ("training", Training)):
        if isinstance(found.get(name), dict):
            lacking = {
                of.name: list(of.default) if isinstance(of.default, tuple) else of.default
                for of in fields(record)
                if of.default is not MISSING and of.name != "epochs"  # no setting of a run
            }
            complete[name] = {**lacking, **found[name]}
    return complete


def _check_format(path: Path, there: Any) -> None:
    if there == 1:
        raise UserError(
            f"{path} holds a run of an older version (format 1), which can be loaded, sampled and "
            "passed to fit as init, but not resumed; choose another folder."
        )
    if there != FORMAT:
        raise UserError(
            f"{path} holds a run of another version (format {there}, not {FORMAT}); resume it with "
            "that version, or choose another folder."
        )


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
