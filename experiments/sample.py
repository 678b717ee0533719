"""Draw from a finished run: `python -m experiments.sample RUN --category 3 --num 64 --out FILE`.

This is the command `cpvae sample`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cpvae_jax.commands import sample
from cpvae_jax.commands.main import as_process


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, 2 for invalid input."""
    return sample.main(argv, program="python -m experiments.sample")


if __name__ == "__main__":
    sys.exit(as_process(main))
