"""Data sets by name or path: `load("mnist")`, `load("mine.npz")`, `load("folder/of/images")`.

A data set of its own name is one file with a function `load(places, **options) -> Dataset`,
and one line in `LOADERS`.
"""

import os
from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from cpvae_jax.errors import UserError
from experiments.data import arrays, digits, images, mnist, npz, omniglot, synthetic
from experiments.data.dataset import Dataset, check
from experiments.data.places import Places

__all__ = ["LOADERS", "Dataset", "check", "load"]

LOADERS: dict[str, Callable[..., Dataset]] = {
    "mnist": mnist.load,
    "omniglot": omniglot.load,
    "synthetic": synthetic.load,
    "digits": digits.load,
}


def load(
    name: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    **options: Any,
) -> Dataset:
    """Returns the data set called `name`.

    Args:
      name: a key of `LOADERS`, or the path of an `.npz` file, of a folder of images, or of a folder
        of `.npy` files that stay on the disk. A name goes before a path: a folder called `mnist`
        is reached as `./mnist`.
      data_dir: the folder of TFDS; by default the environment's TFDS_DATA_DIR, otherwise
        `~/tensorflow_datasets`.
      manual_dir: original files fetched by hand; by default `downloads/manual` in `data_dir`.
      cache_dir: decoded arrays; by default CPVAE_JAX_CACHE, otherwise `~/.cache/cpvae_jax`.
      **options: those of the data set's own `load`, such as `num` and `seed` of `synthetic`.

    Raises:
      UserError: there is no such data set, or it cannot be had or read. Whether its values
        suit a likelihood is left to `check`.

    >>> load("synthetic", num=1000).shape
    (1,)
    """
    places = Places.find(data_dir, manual_dir, cache_dir)
    loader = LOADERS.get(str(name))
    taken = signature(loader).parameters if loader else {}
    anything = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken.values())
    refused = [option for option in options if option not in taken and not anything]
    if refused:
        raise UserError(f"The data set {name} takes no option {', '.join(refused)}: leave it out.")
    if loader:
        return loader(places, **options)
    path = Path(name).expanduser()
    if path.is_dir():
        return arrays.load(path) if arrays.found_in(path) else images.load(path, places)
    if path.suffix == ".npz" or path.is_file():
        return npz.load(path)
    raise UserError(
        f"There is no data set {str(name)!r}: choose one of {', '.join(LOADERS)}, or give the path "
        "of an .npz file or of a folder of images."
    )
