"""Two programs that train a model.

`plain` is what most published code does; `tuned` is what a user who wants speed does.
Each returns `run_epoch() -> (seconds, mean loss)`; the model goes on learning from one
call to the next. Both use PyTorch's own number of threads, which is the number of cores.
Not yet run on a GPU.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.problem import LEARNING_RATE, Case, UnavailableError
from benchmarks.torch_programs.models import MODELS, MultipliedOut, VampPrior

Epoch = Callable[[], tuple[float, float]]


def as_pixels(images: np.ndarray) -> Tensor:
    """Grey images of any shape, uint8, as `[N, X]` floats in [0, 1]."""
    return torch.from_numpy(images).flatten(1) / 255


def ready(device: str) -> torch.device:
    """The device, if there is such a one."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("PyTorch finds no GPU")
    return torch.device(device)


def build(case: Case, pixels: Tensor, device: torch.device, *, multiplied_out: bool) -> nn.Module:
    """The model at its start; pseudo-inputs start at images. On a GPU it multiplies as TF32."""
    torch.set_float32_matmul_precision("high")
    model_type = MultipliedOut if multiplied_out else MODELS[case.model]
    model = model_type(pixels.shape[1], case.K, case.latent, case.hidden)
    if isinstance(model, VampPrior):
        model.start_at(pixels[torch.randint(len(pixels), (case.K,))])
    return model.to(device)


def plain(case: Case, images: Path, device: str) -> Epoch:
    """Eager, with a shuffling `DataLoader` and `torch.optim.Adam` as they come."""
    place = ready(device)
    pixels = as_pixels(np.load(images))
    loader = DataLoader(TensorDataset(pixels), batch_size=case.batch, shuffle=True)
    model = build(case, pixels, place, multiplied_out=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def run_epoch() -> tuple[float, float]:
        start = perf_counter()
        total = 0.0
        for (grey,) in loader:
            optimizer.zero_grad()
            loss = model.loss(torch.bernoulli(grey.to(place)))
            loss.backward()
            optimizer.step()
            total += loss.item()
        return perf_counter() - start, total / len(loader)

    return run_epoch


def tuned(
    case: Case, images: Path, device: str, *, compile: bool, multiplied_out: bool = False
) -> Epoch:
    """Data in memory, a permutation in place of a loader, fused Adam, compiled or eager.

    Raises `UnavailableError` where `torch.compile` does not work, for want of a C++ compiler.
    """
    place = ready(device)
    pixels = as_pixels(np.load(images)).to(place)
    model = build(case, pixels, place, multiplied_out=multiplied_out)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)

    def loss_of(grey: Tensor) -> Tensor:
        return model.loss((torch.rand_like(grey) < grey).float())  # faster than bernoulli

    if compile:
        loss_of = torch.compile(loss_of)
        try:
            loss_of(pixels[: case.batch])  # the compiler runs at the first call
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(f"torch.compile failed: {reason}") from error

    def run_epoch() -> tuple[float, float]:
        start = perf_counter()
        total = torch.zeros((), device=place)
        batches = torch.randperm(len(pixels), device=place).split(case.batch)
        for indices in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(pixels[indices])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        mean = total.item() / len(batches)  # waits for the device, so before the clock is read
        return perf_counter() - start, mean

    return run_epoch
