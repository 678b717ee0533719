"""Programs that train the model, that sample, and that estimate log-likelihoods.

Each function returns `run() -> (seconds, mean of what it computed)`; the value of training is the
loss, and the model continues to learn from one run to the next. All use PyTorch's own number of
threads, which is the number of cores.
"""

import math
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.problem import LEARNING_RATE, SHAPE, Case
from benchmarks.torch_programs import model

Run = Callable[[], tuple[float, float]]

AT_ONCE = 500
"""Importance samples in one batch."""


def _pixels(images: str | Path) -> Tensor:
    """The grey images of a file as floats in [0, 1], `[N, X]`."""
    return torch.from_numpy(np.load(images)).flatten(1) / 255


def _model(case: Case, device: str, model_type: str = "CPVAE") -> model.CPVAE:
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU
    made = getattr(model, model_type)(math.prod(SHAPE), case.K, case.latent, case.hidden)
    return made.to(device)


def plain(case: Case, images: str | Path, device: str) -> Run:
    """Train as most published code does: eager, a shuffling `DataLoader`, the default Adam."""
    loader = DataLoader(TensorDataset(_pixels(images)), batch_size=case.batch, shuffle=True)
    net = _model(case, device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)

    def run() -> tuple[float, float]:
        start = perf_counter()
        total = 0.0
        for (grey,) in loader:
            optimizer.zero_grad()
            loss = net.loss(torch.bernoulli(grey.to(device)))
            loss.backward()
            optimizer.step()
            total += loss.item()
        return perf_counter() - start, total / len(loader)

    return run


def tuned(case: Case, images: str | Path, device: str, *, model_type: str = "CPVAE") -> Run:
    """Train as a user does who wants speed.

    The data are in memory, a permutation replaces the loader, Adam is fused, and the loss is
    compiled, for which `torch.compile` needs a C++ compiler.
    """
    pixels = _pixels(images).to(device)
    net = _model(case, device, model_type)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)

    @torch.compile
    def loss_of(grey: Tensor) -> Tensor:
        return net.loss((torch.rand_like(grey) < grey).float())  # faster than bernoulli

    def run() -> tuple[float, float]:
        start = perf_counter()
        total = torch.zeros((), device=device)
        batches = torch.randperm(len(pixels), device=device).split(case.batch)
        for indices in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(pixels[indices])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        mean = total.item() / len(batches)  # waits for the device, so before the clock is read
        return perf_counter() - start, mean

    return run


def samples(case: Case, device: str, *, category: int, num: int) -> Run:
    """Draw images of one category."""
    net = _model(case, device)

    @torch.inference_mode()
    def run() -> tuple[float, float]:
        start = perf_counter()
        images = net.generate(category, num).cpu()
        return perf_counter() - start, images.mean().item()

    return run


def log_likelihood(case: Case, images: str | Path, device: str, *, samples: int) -> Run:
    """Estimate log p(x) by importance sampling, one image after another."""
    net, pixels = _model(case, device), _pixels(images).to(device)

    def of_image(x: Tensor) -> Tensor:
        sizes = [AT_ONCE] * (samples // AT_ONCE) + [samples % AT_ONCE] * (samples % AT_ONCE > 0)
        log_weights = torch.cat([net.log_weights(x, size) for size in sizes])
        return log_weights.logsumexp(0) - math.log(samples)

    @torch.inference_mode()
    def run() -> tuple[float, float]:
        start = perf_counter()
        mean = torch.stack([of_image(x) for x in torch.bernoulli(pixels)]).mean().item()
        return perf_counter() - start, mean

    return run
