"""Data sets of TensorFlow Datasets (TFDS), read without TensorFlow.

TFDS keeps a prepared data set in `data_dir/name/version`. We read it where it is there, and
have TFDS prepare it where it is not (`tfds_prepare`). Either way the arrays are cached, and
while the cache holds, TFDS is not even imported.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax.errors import UserError
from experiments.data import tfds_prepare
from experiments.data.cache import Arrays, cached
from experiments.data.places import Places

# Records fetched at once: enough to spread the cost of a call, and a few megabytes at most.
_CHUNK = 1000


@dataclass(frozen=True)
class TfdsSource:
    """A data set of TFDS.

    Attributes:
      name, version: its folder is `data_dir/name/version`.
      urls: what preparing it downloads; each ends in the name of its file.
      builder: returns the TFDS builder class that prepares it without TensorFlow.
      decode: turns the prepared folder into the arrays that are cached.
    """

    name: str
    version: str
    urls: tuple[str, ...]
    builder: Callable[[], type]
    decode: Callable[[Path], Arrays]

    def load(self, places: Places) -> Arrays:
        """Returns the decoded arrays; prepares the data set first where it is missing.

        Raises:
          UserError: it is missing and can be neither downloaded nor made from
            `places.manual_dir`, or what is prepared cannot be read.
        """
        folder = places.data_dir / self.name / self.version
        if not tfds_prepare.is_prepared(folder):
            tfds_prepare.prepare(folder, self.urls, self.builder, places)
        files = [path for path in folder.iterdir() if path.is_file()]
        return cached(places.cache_dir, self.name, folder, files, lambda: self._decode(folder))

    def _decode(self, folder: Path) -> Arrays:
        try:
            return self.decode(folder)
        # What a truncated or foreign file raises depends on the byte where it breaks.
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            raise UserError(
                f"The prepared data set {folder} cannot be read ({_first_line(error)}): delete "
                "that folder and start again, so that it is prepared anew."
            ) from error


def examples(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yields each example of `split` in the order stored, its image still as PNG bytes."""
    import tensorflow_datasets as tfds

    # TFDS's own decoding takes two to five times as long as Pillow alone, and gives the
    # 1-bit images of Omniglot as 0 and 1.
    source = tfds.builder_from_directory(folder).as_data_source(
        split=split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    for start in range(0, len(source), _CHUNK):
        yield from source.__getitems__(list(range(start, min(start + _CHUNK, len(source)))))


def decode_grey(png: bytes) -> np.ndarray:
    """Returns the grey levels `[height, width]`, uint8, of an image of any number of bits."""
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
