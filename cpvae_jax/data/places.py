"""The folders where data sets and the cache are."""

import os
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.errors import UserError


@dataclass(frozen=True)
class Places:
    """Where loaders look for data.

    Attributes:
      data_dir: The folder of TensorFlow Datasets (TFDS), with subfolders such as `mnist/3.0.1`.
      manual_dir: The folder of original files that the user downloaded.
      cache_dir: The folder of decoded arrays.
    """

    data_dir: Path
    manual_dir: Path
    cache_dir: Path

    @classmethod
    def find(
        cls,
        data_dir: str | os.PathLike | None = None,
        manual_dir: str | os.PathLike | None = None,
        cache_dir: str | os.PathLike | None = None,
    ) -> "Places":
        """Returns the given folders; those left out come from the environment or the defaults.

        Args:
          data_dir: By default TFDS_DATA_DIR, otherwise `~/tensorflow_datasets`.
          manual_dir: By default `downloads/manual` in `data_dir`.
          cache_dir: By default CPVAE_JAX_CACHE, otherwise `~/.cache/cpvae_jax`.

        Raises:
          UserError: `manual_dir` is given, but is not a folder.

        >>> Places.find("/data", cache_dir="/cache").manual_dir.as_posix()
        '/data/downloads/manual'
        """
        data = _folder(data_dir, "TFDS_DATA_DIR", "~/tensorflow_datasets")
        if manual_dir is None:
            manual = data / "downloads" / "manual"  # where TFDS itself looks
        else:
            manual = Path(manual_dir).expanduser().absolute()
            if not manual.is_dir():
                raise UserError(
                    f"The manual folder {manual} is not a folder: give the folder of the original "
                    "files, or leave the option out."
                )
        return cls(data, manual, _folder(cache_dir, "CPVAE_JAX_CACHE", "~/.cache/cpvae_jax"))


def _folder(given: str | os.PathLike | None, variable: str, otherwise: str) -> Path:
    """Returns the absolute path of `given`, else of the environment's `variable`, else of `otherwise`."""
    return Path(given or os.environ.get(variable) or otherwise).expanduser().absolute()
