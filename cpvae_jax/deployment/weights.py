"""The arrays of a model as one safetensors file, which most frameworks read."""

from __future__ import annotations

import json

import numpy as np
from safetensors import numpy as safetensors

from cpvae_jax.storage import arrays, checkpoint
from cpvae_jax.types import Params

FILE = "weights.safetensors"


def written(params: Params) -> bytes:
    """The file: all arrays, named like weights/decoder/trunk/0/kernel, and the configuration."""
    found = arrays.named(arrays.as_stored(checkpoint.plain(params)))
    about = {"format": "cpvae_jax", "config": json.dumps(params.config.to_dict())}
    return safetensors.save(
        {name.replace(".", "/"): _native(array) for name, array in found.items()}, about
    )


def _native(array: np.ndarray) -> np.ndarray:
    """An array of a type that NumPy has itself; bfloat16 and the like become float32."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array
