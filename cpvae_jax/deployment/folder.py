"""Model folders: `save` writes one to load again, `export` one for programs without this library."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cpvae_jax import values
from cpvae_jax.deployment import FORMATS, card, onnx_format, programs, stablehlo_format, weights
from cpvae_jax.deployment.programs import Program
from cpvae_jax.storage import checkpoint, files, folders, run_folder
from cpvae_jax.types import Params

if TYPE_CHECKING:
    from cpvae_jax.training.fit import Fit


class Format(NamedTuple):
    """A way to write programs."""

    check: Callable[[], None]
    """Raises `UserError` if a package is missing"""
    written: Callable[[Program], bytes]
    """The file of a program"""


WRITERS = {
    "onnx": Format(onnx_format.check, onnx_format.written),
    "stablehlo": Format(stablehlo_format.check, stablehlo_format.written),
}


def save(folder: str | os.PathLike[str], params: Params | Fit) -> None:
    """Save a model to a new folder; `load` reads it back.

    Beside the arrays that `load` reads, the folder holds a card, `README.md`, and the same arrays
    as `weights.safetensors`, for other programs.

    Args:
      folder: A folder that is missing or empty.
      params: The model, or what `fit` returned, whose best model is saved.

    Raises:
      UserError: The folder is not empty, or cannot be written; or this is no model.
    """
    checkpoint.save(folder, params)
    model = checkpoint.model_of(params)
    path = folders.resolved(folder)
    with run_folder.writing(path):
        for name, content in (
            (weights.FILE, weights.written(model)),
            (card.FILE, card.of_saved(model, _of_fit(params))),
        ):
            with files.replacing(path / name) as partial:
                partial.write_bytes(content)


def export(
    folder: str | os.PathLike[str],
    params: Params | Fit,
    *,
    format: str,
    run: str | os.PathLike[str] | None = None,
) -> None:
    """Write a model as programs that run without this library.

    The folder gets an encoder, a decoder and a sampler, a card `README.md` that describes their
    inputs and outputs, and `weights.safetensors`. Numbers are float32 in the unit of the training
    data, grey levels from 0 to 1; categories are int32; the size of the batch is free.

    | program | inputs | outputs |
    |---|---|---|
    | encoder | x | probabilities [B, G]; mean and log-variance of z [B, D] at the most probable c |
    | decoder | z [B, D], category [B] | the mean of x |
    | sampler | category [B], noise [B, D] | the mean of x for a z of that category's prior |

    A model without categories has no input `category`. With two levels the decoder puts the lower
    code at its mean, and the sampler takes `noise_below` [B, D]. The sampler of a merged model takes
    `pick` [B], uniform numbers that choose a component.

    Args:
      folder: A folder that is missing or empty.
      params: The model, or what `fit` returned, whose best model is exported.
      format: "onnx", for onnxruntime and others; or "stablehlo", for `jax.export.deserialize`.
      run: The folder of the run that the model comes from; its scores go into the card.

    Raises:
      UserError: The folder is not empty, or cannot be written; a package is missing; or the format
        lacks an operation of the model.

    >>> import jax, tempfile, cpvae_jax
    >>> config = cpvae_jax.Config(shape=(8, 8), K=5)
    >>> params = cpvae_jax.initialise(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(folder, params, format="stablehlo")
    ...     sorted(os.listdir(folder))
    ['README.md', 'decoder.stablehlo', 'encoder.stablehlo', 'sampler.stablehlo', 'weights.safetensors']
    """
    values.one_of("format", format, FORMATS)
    model = checkpoint.model_of(params)
    path = checkpoint.fresh(folder)
    record = _of_fit(params) if run is None else _of_run(run)
    WRITERS[format].check()
    found = programs.of(model)
    written = {f"{one.name}.{format}": WRITERS[format].written(one) for one in found}
    written[weights.FILE] = weights.written(model)
    written[card.FILE] = card.of_exported(model, record, found, format)
    with run_folder.writing(path):
        path.mkdir(parents=True, exist_ok=True)
        try:
            for name, content in written.items():
                (path / name).write_bytes(content)
        except BaseException:  # so that the same call can be made again
            for name in written:
                (path / name).unlink(missing_ok=True)
            raise


def _of_fit(params: Any) -> dict[str, Any]:
    """What is known from the result of a training; nothing from a model alone."""
    state = getattr(params, "state", None)
    return {} if state is None else {"valid_bound": float(np.max(np.asarray(state.best_bound)))}


def _of_run(run: str | os.PathLike[str]) -> dict[str, Any]:
    """The scores of a run; nothing if its folder has none."""
    path = Path(folders.resolved(run, "run")) / run_folder.SCORES
    with files.reading(path):
        there = files.there(path)
    return run_folder.result(path) if there else {}
