"""Programs as StableHLO, written by `jax.export` and read by `jax.export.deserialize`."""

from __future__ import annotations

from importlib.util import find_spec

import jax
from jax import export

from cpvae_jax.deployment.programs import Program
from cpvae_jax.errors import UserError

PLATFORMS = ("cpu", "cuda", "tpu")
"""What the programs run on, whatever this machine has."""


def check() -> None:
    """Raise `UserError` if the package that writes the files is missing."""
    if find_spec("flatbuffers") is None:
        raise UserError(
            "the format 'stablehlo' needs the package flatbuffers; install it with "
            "pip install 'cpvae-jax[stablehlo]'."
        )


def written(program: Program) -> bytes:
    """The StableHLO file of a program, with a free batch axis."""
    lowered = export.export(jax.jit(program.function), platforms=PLATFORMS)(*program.shapes())
    return bytes(lowered.serialize())
