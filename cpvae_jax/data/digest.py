"""Digests of examples: a run that is continued must see the data that it was started on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from cpvae_jax.data.rows import Rows


def of(parts: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each part of some data, by name; parts that are None are left out.

    It depends on the values, their type and the number of examples. It does not depend on where
    they are kept, on the order of bytes, or on whether an example is flat or has its shape.

    Args:
      parts: Examples [N, ...], as an array or as `Rows`, by the name of the part.

    >>> same = of({"train": np.zeros((2, 4))}) == of({"train": np.zeros((2, 2, 2), ">f8")})
    >>> same, of({"train": np.zeros((2, 4)), "valid": None}).keys()
    (True, dict_keys(['train']))
    """
    return {name: _digest(x) for name, x in parts.items() if x is not None}


def _digest(x: Any) -> str:
    rows = x if isinstance(x, Rows) else Rows([np.asarray(x)])
    # Long doubles have unused bytes.
    dtype = np.dtype(float) if rows.dtype.char == "g" else rows.dtype.newbyteorder("=")
    digest = hashlib.sha256(f"{dtype.name} {len(rows)} ".encode())
    for block in rows.blocks():
        digest.update(np.ascontiguousarray(block, dtype).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
