"""What the commands share that apply a trained model to data: the model, the rows, the run's settings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpvae_jax.commands import extend
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.start import start_jax
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    from cpvae_jax.data.unsplit import Batch
    from cpvae_jax.types import Params


@dataclass(frozen=True)
class Applied:
    """A model, and the data that it is applied to."""

    run: Path = option(help="folder of a run, or of a saved model", positional=True)
    data: str = option(
        help="a table with the columns of the training data, an .npz or .npy file, a folder of images, or a "
        "folder of .npy files",
        positional=True,
    )
    id_column: str | None = option(
        None,
        "table: column that names the rows in the output (default: that of the run, or numbers from 0)",
        metavar="NAME",
    )
    resize: str | None = option(
        None,
        "images: bring all to this size, 32 or WIDTHxHEIGHT (default: that of the run)",
        metavar="SIZE",
    )


def opened(applied: Applied, files: Sequence[Path]) -> Params:
    """The model, after the user's own files have run."""
    from cpvae_jax import api

    start_jax()
    extend.run(files)
    return api.load(applied.run)


def batches(params: Params, applied: Applied, folders: Folders) -> Iterator[Batch]:
    """All rows of the data, as rows of the model."""
    from cpvae_jax import likelihoods
    from cpvae_jax.data import Places, unsplit

    settings = _settings(applied.run)
    how = unsplit.Reading(
        columns=params.config.columns,
        coded=likelihoods.of(params.config).coded,
        id_column=applied.id_column,
        usual_id=settings.get("id_column"),
        resize=applied.resize or settings.get("resize"),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reading ", UserWarning)
        yield from unsplit.batches(applied.data, Places.find(**folders.named()), how)


def unusual_below(run: Path) -> float | None:
    """The bound below which a row is unusual, of a finished run; None for a saved model."""
    from cpvae_jax.storage.run_folder import SCORES, result

    scores = run / SCORES
    if not scores.is_file():
        return None
    found = result(scores)
    best: dict[str, Any] = next(
        (one for one in found["seeds"] if one["seed"] == found["kept_seed"]), {}
    )
    return best.get("unusual_below")


def _settings(run: Path) -> dict[str, Any]:
    """The settings of a run. A saved model has none."""
    from cpvae_jax.storage import run_folder

    path = run / run_folder.CONFIG
    if not path.is_file():
        return {}
    try:
        found = run_folder.read(path)
    except UserError:  # a saved model has a file of that name too
        return {}
    return found if isinstance(found, dict) else {}
