"""Runs by names that no two of them share, and what tells one run from another."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cpvae_jax.errors import UserError
from cpvae_jax.storage import run_folder, same_run
from cpvae_jax.types import Params


def distinct(
    runs: Sequence[Path], *, separator: str = "/", taken: Collection[str] = ()
) -> dict[str, Path]:
    """Runs by name, each once, in their order.

    A run has the name of its folder. Runs whose folders share a name get as many of the folders
    above as tell them apart. A folder that is given twice, also by a link, counts once, with a note.

    Args:
      runs: folders of runs.
      separator: stands between folders in a name.
      taken: names that no run may have.

    Raises:
      UserError: no number of folders tells two runs apart.

    >>> list(distinct([Path("a/x"), Path("b/x"), Path("y")]))
    ['a/x', 'b/x', 'y']
    """
    given: dict[Path, Path] = {}
    for run in runs:
        path = run.resolve()
        if path in given:
            print(f"note: {run} is the same run as {given[path]}; it counts once.", file=sys.stderr)
        given.setdefault(path, run)
    depths = dict.fromkeys(given, 1)
    while True:
        names = {path: separator.join(path.parts[1:][-n:]) for path, n in depths.items()}
        counts = Counter(names.values())
        alike = [path for path, name in names.items() if counts[name] > 1 or name in taken]
        if not alike:
            return {names[path]: run for path, run in given.items()}
        if all(depths[path] >= len(path.parts) for path in alike):
            raise UserError(
                f"{given[alike[0]]} cannot be told from another run or file by its name, "
                f"{names[alike[0]]}; rename one of the folders."
            )
        depths |= {path: depths[path] + 1 for path in alike}


def identity(run: Path, params: Params) -> dict[str, str]:
    """What tells a run from others that have its name, wherever its folder is.

    Args:
      run: the folder of a finished run.
      params: its model.

    Returns:
      "model", a digest of the numbers of the model, and "settings", a digest of the settings of
      the run, without its seeds and without what runs of earlier versions do not hold.
    """
    digest = hashlib.sha256()
    for place, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(place)} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    left_out = ("seed", "seeds", same_run.DATA, same_run.PRNG)
    settings = {k: v for k, v in run_folder.finished(run).items() if k not in left_out}
    return {"model": digest.hexdigest()[:16], "settings": _digest(settings)}


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
