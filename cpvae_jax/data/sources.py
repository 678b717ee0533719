"""Data sets by name or path: `load("mine.npz")`, `load("folder/of/images")`, `load("digits")`.

To add a data set, write a function `load(places, **options) -> Dataset` in one file, and register
it under a name: `register("mine", load)`. The commands run such a file with `--extend`.
"""

import difflib
import itertools
import os
import stat
from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Protocol

from cpvae_jax.data import arrays, images, npz, readers, tables
from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.paths import denied, printable
from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError
from cpvae_jax.registry import Registry
from cpvae_jax.storage import folders

_LISTED = 10_000
"""Files beside a misspelt path that are compared with it; a folder may have millions."""

_OF_EXPERIMENTS = (
    *("digits", "fashion_mnist", "mnist", "omniglot", "synthetic"),
    *("breast_cancer", "iris", "letter", "optdigits", "pendigits", "penguins", "satimage", "wine"),
)
"""Data sets that only `experiments` registers, for the message about an unknown name."""


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

    `checks.dataset` checks whether its values suit a likelihood. A `UserWarning` says what was
    converted or left out.

    Args:
      name: A name in `SOURCES`, or the path of a table (`readers`), of an `.npz` or `.npy` file, of a
        folder of images, or of a folder of `.npy` files, whose training examples stay on disk. A name
        takes precedence over a path; write `./mnist` for a folder called `mnist`.
      data_dir: The folder of TensorFlow Datasets; by default TFDS_DATA_DIR, otherwise
        `~/tensorflow_datasets`.
      manual_dir: Original files that you downloaded; by default `downloads/manual` in `data_dir`.
      cache_dir: Decoded arrays; by default CPVAE_JAX_CACHE, otherwise `~/.cache/cpvae_jax`.
      **options: Options of the loader, such as `num` and `seed` of a synthetic data set; for tables the
        fields of `tables.Choice`, for folders of images `resize`.

    Raises:
      UserError: The name is unknown, an option does not apply, or the data cannot be found or
        read.
    """
    given = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    if not given.strip():
        raise UserError(f"The data set is {name!r}: {_choices()}")
    places = Places.find(data_dir, manual_dir, cache_dir)
    if given in SOURCES:
        loader: Loader = SOURCES[given]
        _check_options(given, options, signature(loader).parameters)
        return loader(places, **options)
    return _at(given, places, options)


def _at(given: str, places: Places, options: Mapping[str, Any]) -> Dataset:
    """Returns the data set at a path."""
    path = folders.given(given, "the data set")
    mode = _mode(path)
    if mode is None:
        raise UserError(_unknown(given, path))
    if stat.S_ISREG(mode) and readers.is_table(path):
        _check_options(given, options, signature(tables.Choice).parameters)
        return tables.load(path, places, tables.Choice(**options))
    if stat.S_ISDIR(mode) and not arrays.found_in(path):
        _check_options(given, options, {"resize": signature(images.load).parameters["resize"]})
        return images.load(path, places, **options)
    _check_options(given, options, {})
    if stat.S_ISDIR(mode):
        return arrays.load(path)
    if stat.S_ISREG(mode):
        return npz.load(path)
    raise UserError(
        f"{printable(path)} is neither a file nor a folder, but a pipe, a socket or a device: give "
        "the path of a table, an .npz file or a folder."
    )


def is_table(name: str | os.PathLike) -> bool:
    """Returns whether `load` would read a table from a file, rather than a data set with that name."""
    given = os.fsdecode(name)
    return given not in SOURCES and readers.is_table(Path(given))


def _mode(path: Path) -> int | None:
    """Returns the type of what is at a path, as `stat` has it; None if there is nothing.

    Raises:
      UserError: This user may not look.
    """
    try:
        return path.stat().st_mode
    except PermissionError as error:
        raise denied(path) from error
    except OSError:  # also a name that is too long, or a loop of links
        return None


def _check_options(name: str, options: Mapping[str, Any], taken: Mapping[str, Parameter]) -> None:
    """Raises a `UserError` if a loader with the parameters `taken` lacks one of the options."""
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    refused = [option for option in options if option not in taken]
    if refused:
        raise UserError(
            f"The data set {printable(name)} has no option {', '.join(refused)}: leave it out."
        )


def _unknown(given: str, path: Path) -> str:
    """Returns the message about a name that is neither registered nor a path."""
    shown = repr(printable(given))
    if len(shown) > 200:
        shown = f"{shown[:80]}…, of {len(given)} characters"
    close = _closest(given, SOURCES.names()) or _nearby(path)
    known = None if close else _closest(given, _OF_EXPERIMENTS)
    meant = f"did you mean {printable(close)!r}? " if close else ""
    if known is not None:
        meant = (
            f"the data set {known} is read by python -m experiments.run --dataset {known}, "
            "in a copy of the repository. "
        )
    missing = (
        f"{shown} does not exist"
        if path.suffix in (".npz", ".npy") or readers.is_table(path)
        else f"There is no data set {shown}"
    )
    return f"{missing}{'; ' if meant else ': '}{meant}{_choices(bool(meant))}"


def _choices(begins: bool = False) -> str:
    """Returns what can be given in place of an unknown name."""
    known = SOURCES.names()
    words = f"choose one of {', '.join(known)}, or give" if known else "give"
    words += (
        " the path of a table (.csv, .parquet, …), an .npz or .npy file, a folder of images or a folder of "
        ".npy files."
    )
    return words[0].upper() + words[1:] if begins else words


def _closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the most similar of some names, whatever their case; None if none is similar."""
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return lower[close[0]] if close else None


def _nearby(path: Path) -> str | None:
    """Returns an existing path that differs from a missing one in one name, if one is similar."""
    for missing in (path, *path.parents):
        try:
            with os.scandir(missing.parent) as entries:
                names = [entry.name for entry in itertools.islice(entries, _LISTED)]
        except OSError:
            continue  # the folder above is missing too
        close = _closest(missing.name, names)
        found = None if close is None else missing.with_name(close) / path.relative_to(missing)
        return str(found) if found is not None and os.path.exists(found) else None
    return None
