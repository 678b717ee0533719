"""Data sets of TensorFlow Datasets (TFDS), read without TensorFlow.

TFDS keeps a prepared data set in `data_dir/name/version`. If it is missing, `tfds_prepare`
prepares it. The decoded arrays are cached, and while the cache is valid, TFDS is not imported.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax.data.cache import Arrays, cached
from cpvae_jax.data.paths import denied
from cpvae_jax.data.places import Places, local
from cpvae_jax.errors import UserError, first_line
from experiments.data import tfds_prepare

# Records per read: enough to make the overhead of a call negligible, in a few megabytes.
_CHUNK = 1000


@dataclass(frozen=True)
class TfdsSource:
    """A data set of TFDS.

    Attributes:
      name: Its name in TFDS.
      version: Its version; the prepared folder is `data_dir/name/version`.
      urls: The original files; the last part of each URL is the name of the file.
      builder: Returns the TFDS builder class that prepares it without TensorFlow, given the folder of
        original files that the user has downloaded.
      decode: Reads the prepared folder, and returns the arrays that are cached.
    """

    name: str
    version: str
    urls: tuple[str, ...]
    builder: Callable[[Path], type]
    decode: Callable[[Path], Arrays]

    def load(self, places: Places) -> Arrays:
        """Returns the decoded arrays; prepares the data set first if it is missing.

        Raises:
          UserError: The data set is missing and can neither be downloaded nor be prepared from
            `places.manual_dir`, or the prepared folder cannot be read.
        """
        folder = local("data", places.data_dir) / self.name / self.version
        try:
            if not tfds_prepare.is_prepared(folder):
                tfds_prepare.prepare(folder, self.urls, self.builder, places)
            files = [path for path in folder.iterdir() if path.is_file()]
        except PermissionError as error:
            raise denied(folder) from error
        return cached(places.cache_dir, self.name, folder, files, lambda: self._decode(folder))

    def _decode(self, folder: Path) -> Arrays:
        try:
            return self.decode(folder)
        # A truncated or unrelated file can raise any of these.
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            raise UserError(
                f"The prepared data set {folder} cannot be read ({first_line(error)}): check the "
                "disk and the permissions; if the files are damaged, rename the folder, and the "
                "data set will be prepared again."
            ) from error


def examples(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yields the examples of `split` in stored order, with images as PNG bytes."""
    import tensorflow_datasets as tfds

    # Decoding with TFDS takes two to five times as long as with Pillow, and returns the 1-bit
    # images of Omniglot as 0 and 1.
    source = tfds.builder_from_directory(folder).as_data_source(
        split=split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    for start in range(0, len(source), _CHUNK):
        yield from source.__getitems__(list(range(start, min(start + _CHUNK, len(source)))))


def decode_grey(png: bytes) -> np.ndarray:
    """Returns the grey levels `[height, width]`, uint8, of a PNG with any number of bits."""
    from PIL import Image

    image = Image.open(io.BytesIO(png), formats=("PNG",))
    return np.asarray(image if image.mode == "L" else image.convert("L"))


def encode_grey(image: np.ndarray) -> bytes:
    """Returns the PNG of grey levels `[height, width]`, uint8: the inverse of `decode_grey`.

    >>> image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    >>> bool((decode_grey(encode_grey(image)) == image).all())
    True
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
