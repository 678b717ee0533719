"""Data sets by name or path: `load("mine.npz")`, `load("folder/of/images")`, `load("digits")`.

To add a data set, write a function `load(places, **options) -> Dataset` in one file, and register
it under a name: `register("mine", load)`. The commands run such a file with `--extend`.
"""

import difflib
import os
from collections.abc import Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Protocol

from cpvae_jax.data import arrays, images, npz
from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError
from cpvae_jax.registry import Registry


class Loader(Protocol):
    """Loads one data set."""

    def __call__(self, places: Places, *args: Any, **options: Any) -> Dataset:
        """Returns the data set.

        Args:
          places: The folders to look in.
          **options: Keyword arguments of this data set, such as a seed. `load` refuses an option
            that the function does not name.
        """


SOURCES = Registry("data set", {})
"""Loaders by name. The library itself registers none."""


def register(name: str, loader: Loader) -> None:
    """Makes `load(name)` call `loader`.

    Raises:
      UserError: Another loader has this name, or it is not one word.
    """
    SOURCES.register(name, loader)


def load(
    name: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    **options: Any,
) -> Dataset:
    """Returns the data set with a registered name, or at a path.

    `checks.dataset` checks whether its values suit a likelihood.

    Args:
      name: A name in `SOURCES`, or the path of an `.npz` file, of a folder of images, or of a
        folder of `.npy` files, whose training examples stay on disk. A name takes precedence
        over a path; write `./mnist` for a folder called `mnist`.
      data_dir: The folder of TensorFlow Datasets; by default TFDS_DATA_DIR, otherwise
        `~/tensorflow_datasets`.
      manual_dir: Original files that you downloaded; by default `downloads/manual` in `data_dir`.
      cache_dir: Decoded arrays; by default CPVAE_JAX_CACHE, otherwise `~/.cache/cpvae_jax`.
      **options: Options of the loader, such as `num` and `seed` of a synthetic data set.

    Raises:
      UserError: The name is unknown, an option does not apply, or the data cannot be found or
        read.
    """
    places = Places.find(data_dir, manual_dir, cache_dir)
    if str(name) in SOURCES:
        loader: Loader = SOURCES[str(name)]
        _check_options(name, options, signature(loader).parameters)
        return loader(places, **options)
    _check_options(name, options, {})
    path = Path(name).expanduser()
    if path.is_dir():
        return arrays.load(path) if arrays.found_in(path) else images.load(path, places)
    if path.suffix == ".npz" or path.is_file():
        return npz.load(path)
    raise UserError(f"There is no data set {str(name)!r}{_suggestion(str(name))}")


def _check_options(
    name: str | os.PathLike, options: Mapping[str, Any], taken: Mapping[str, Parameter]
) -> None:
    """Raises a `UserError` if a loader with the parameters `taken` lacks one of the options."""
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    refused = [option for option in options if option not in taken]
    if refused:
        raise UserError(f"The data set {name} has no option {', '.join(refused)}: leave it out.")


def _suggestion(name: str) -> str:
    """Returns the end of the message about an unknown name: what to give instead."""
    known = SOURCES.names()
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]!r}? Choose" if close else ": choose"
    names = f"{meant} one of {', '.join(known)}, or give" if known else ": give"
    return f"{names} the path of an .npz file, a folder of images or a folder of .npy files."
