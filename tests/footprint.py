"""Memory that scoring takes with 500 categories: `python -m tests.footprint`.

Prints the peak of the process in MiB after each score, of fresh models on random images.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import Config


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.footprint", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["cp", "mg", "hvp"])
    parser.add_argument("--samples", type=int, default=5000, help="importance samples")
    parser.add_argument("--images", type=int, default=600)
    chosen = parser.parse_args(argv)
    images = np.random.default_rng(0).integers(0, 256, (chosen.images, 28, 28), np.uint8)
    key = jax.random.key(0)
    peaks = {"start": _peak()}
    for model in chosen.models:
        config = Config.of_model(model, shape=(28, 28), K=500)
        params = cpvae_jax.initialise(key, config, images)
        cpvae_jax.log_likelihood(params, key, images[:100], samples=chosen.samples)
        peaks[f"{model}, log-likelihood"] = _peak()
        cpvae_jax.bound_terms(params, key, images)
        peaks[f"{model}, true bound"] = _peak()
        cpvae_jax.decomposition(params, key, images)
        peaks[f"{model}, decomposition"] = _peak()
    print(json.dumps(peaks, indent=2))
    return 0


def _peak() -> float:
    """From /proc, because `resource` counts the memory of the parent process too."""
    status = Path("/proc/self/status").read_text().split()
    return round(int(status[status.index("VmHWM:") + 1]) / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
