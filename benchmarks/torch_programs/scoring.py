"""Programs that sample and that estimate log-likelihoods, eager, as they are usually written.

Each returns `run() -> (seconds, mean of what it computed)`. Not yet run on a GPU.
"""

import math
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.problem import Case, X
from benchmarks.torch_programs.models import MODELS
from benchmarks.torch_programs.training import as_pixels, ready

AT_ONCE = 500
"""Importance samples at once: with K = 500 components, an array of [S, K, D] is 40 MB."""

Run = Callable[[], tuple[float, float]]


def _model(case: Case, weights: Path, device: torch.device) -> nn.Module:
    """The model with the parameters that a file holds."""
    model = MODELS[case.model](X, case.K, case.latent, case.hidden)
    with np.load(weights) as arrays:
        model.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    return model.to(device).eval()


def samples(case: Case, weights: Path, device: str, *, category: int, num: int) -> Run:
    """Images of one category."""
    model = _model(case, weights, ready(device))

    @torch.inference_mode()
    def run() -> tuple[float, float]:
        start = perf_counter()
        images = model.generate(category, num).cpu()
        return perf_counter() - start, images.mean().item()

    return run


def log_likelihood(case: Case, weights: Path, images: Path, device: str, *, samples: int) -> Run:
    """log p(x) by importance sampling, image by image."""
    place = ready(device)
    model = _model(case, weights, place)
    pixels = as_pixels(np.load(images)).to(place)

    def of_image(x: Tensor) -> Tensor:
        sizes = [AT_ONCE] * (samples // AT_ONCE) + [samples % AT_ONCE] * (samples % AT_ONCE > 0)
        log_weights = torch.cat([model.log_weights(x, size) for size in sizes])
        return log_weights.logsumexp(0) - math.log(samples)

    @torch.inference_mode()
    def run() -> tuple[float, float]:
        start = perf_counter()
        values = torch.stack([of_image(x) for x in torch.bernoulli(pixels)])
        mean = values.mean().item()
        return perf_counter() - start, mean

    return run
