"""The folders that data are read from and kept in."""

import os
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.errors import UserError


@dataclass(frozen=True)
class Places:
    """Where to look for data.

    Attributes:
      data_dir: the folder of TFDS, holding `mnist/3.0.1` and the like.
      manual_dir: the folder of original files that were fetched by hand.
      cache_dir: the folder that decoded arrays are kept in.
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
        """Fills in what was not given from the environment, then from the customary folders.

        Raises:
          UserError: `manual_dir` was given and is no folder.

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
                    f"The manual folder {manual} is not a folder: name one that holds the "
                    "original files, or leave the option out."
                )
        return cls(data, manual, _folder(cache_dir, "CPVAE_JAX_CACHE", "~/.cache/cpvae_jax"))


def _folder(given: str | os.PathLike | None, variable: str, otherwise: str) -> Path:
    """Returns `given`, else the environment's `variable`, else `otherwise`, as absolute path."""
    return Path(given or os.environ.get(variable) or otherwise).expanduser().absolute()
