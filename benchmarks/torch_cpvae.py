"""CP-VAE as a good PyTorch user writes it, and two programs that train it.

Axes: `B` batch, `K` categories, `D` latent, `X` pixels, `H` hidden units.

`plain` is what most published code does; `tuned` is what a user who wants speed does.
Each returns `run_epoch() -> (seconds, mean loss)`; the model goes on learning from one
call to the next. Both use PyTorch's own number of threads, which is the number of cores.
"""

import math
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.problem import BETA, HIDDEN, LATENT, LEARNING_RATE, TAU, UnavailableError


class Gated(nn.Module):
    """`(x W + b) * sigmoid(x V + a)`, with W and V side by side in one product."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.linear = nn.Linear(n_in, 2 * n_out)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.glu(self.linear(x))


class CPVAE(nn.Module):
    """The conditional-prior VAE of binary `[B, X]` data with K categories.

    The heads of z are linear in `[h, c]`. They are kept as a part from h and a table of
    one row a category, so that z's posterior for all K categories is one broadcast sum.
    """

    def __init__(self, K: int, X: int, D: int = LATENT, H: int = HIDDEN):
        super().__init__()
        self.encoder = nn.Sequential(Gated(X, H), Gated(H, H))
        self.category = nn.Linear(H, K)
        self.z_from_h = nn.Linear(H, 2 * D)
        self.z_from_c = nn.Linear(K, 2 * D, bias=False)
        self.decoder = nn.Sequential(Gated(D + K, H), Gated(H, H), nn.Linear(H, X))
        self.prior_mean = nn.Parameter(torch.zeros(K, D))
        self.prior_log_var = nn.Parameter(torch.zeros(K, D))
        self.apply(glorot)

    def loss(self, x: Tensor) -> Tensor:
        """The negative bound of a batch of binary images `[B, X]`."""
        h = self.encoder(x)  # [B, H]
        logits = self.category(h)  # [B, K]
        from_h = self.z_from_h(h)  # [B, 2D]

        c = nn.functional.gumbel_softmax(logits, TAU)  # [B, K]
        mean, log_var = (from_h + self.z_from_c(c)).chunk(2, -1)  # [B, D] each
        z = mean + (log_var / 2).exp() * torch.randn_like(mean)
        pixels = self.decoder(torch.cat([z, c], -1))  # [B, X]
        minus_log_px = nn.functional.binary_cross_entropy_with_logits(pixels, x, reduction="none")

        kl = self.kl_category(logits) + self.kl_z(logits, from_h)  # [B]
        return (minus_log_px.sum(-1) + BETA * kl).mean()

    def kl_category(self, logits: Tensor) -> Tensor:
        """KL of `q(c|x)` from the uniform, `[B]`."""
        log_q = logits.log_softmax(-1)
        return (log_q.exp() * log_q).sum(-1) + math.log(logits.shape[-1])

    def kl_z(self, logits: Tensor, from_h: Tensor) -> Tensor:
        """`sum_k q(c_k|x) KL(q(z|x, c_k) || p(z|c_k))`, over all K at once, `[B]`."""
        heads = from_h[:, None, :] + self.z_from_c.weight.T  # [B, K, 2D]
        mean, log_var = heads.chunk(2, -1)
        log_ratio = log_var - self.prior_log_var
        distance = (mean - self.prior_mean).square() / self.prior_log_var.exp()
        kl = (log_ratio.exp() + distance - 1 - log_ratio).sum(-1) / 2  # [B, K]
        return (logits.softmax(-1) * kl).sum(-1)


class MultipliedOut(CPVAE):
    """The same loss with `kl_z` as matrix products, so that no `[B, K, D]` array exists.

    Our own program computes it so. Timed beside the broadcast form, it tells how much of
    the difference at large K is algebra, which PyTorch could have too.
    """

    def kl_z(self, logits: Tensor, from_h: Tensor) -> Tensor:
        mean_h, log_var_h = from_h.chunk(2, -1)  # [B, D] each
        mean_c, log_var_c = self.z_from_c.weight.T.chunk(2, -1)  # [K, D] each
        precision = (-self.prior_log_var).exp()
        offset = mean_c - self.prior_mean
        log_ratio_c = log_var_c - self.prior_log_var
        of_both = (
            log_var_h.exp() @ log_ratio_c.exp().T
            + mean_h.square() @ precision.T
            + 2 * mean_h @ (offset * precision).T
        )
        of_c = (offset.square() * precision - 1 - log_ratio_c).sum(-1)  # [K]
        kl = (of_both + of_c - log_var_h.sum(-1, keepdim=True)) / 2  # [B, K]
        return (logits.softmax(-1) * kl).sum(-1)


def glorot(module: nn.Module) -> None:
    """Glorot's uniform weights, zero biases; a gated layer's two halves one by one."""
    if isinstance(module, Gated):
        for half in module.linear.weight.chunk(2):
            nn.init.xavier_uniform_(half)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def as_pixels(images: np.ndarray) -> Tensor:
    """Grey images of any shape, uint8, as `[N, X]` floats in [0, 1]."""
    return torch.from_numpy(images).flatten(1) / 255


def plain(K: int, images: np.ndarray, batch: int) -> Callable[[], tuple[float, float]]:
    """Eager, with a shuffling `DataLoader` and `torch.optim.Adam` as they come."""
    pixels = as_pixels(images)
    loader = DataLoader(TensorDataset(pixels), batch_size=batch, shuffle=True)
    model = CPVAE(K, pixels.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def run_epoch() -> tuple[float, float]:
        start = perf_counter()
        total = 0.0
        for (grey,) in loader:
            optimizer.zero_grad()
            loss = model.loss(torch.bernoulli(grey))
            loss.backward()
            optimizer.step()
            total += loss.item()
        return perf_counter() - start, total / len(loader)

    return run_epoch


def tuned(
    K: int,
    images: np.ndarray,
    batch: int,
    *,
    compile: bool,
    multiplied_out: bool = False,
) -> Callable[[], tuple[float, float]]:
    """Data in memory, a permutation in place of a loader, fused Adam, compiled or eager.

    Raises `UnavailableError` where `torch.compile` does not work, for want of a C++ compiler.
    """
    pixels = as_pixels(images)
    model = (MultipliedOut if multiplied_out else CPVAE)(K, pixels.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)

    def loss_of(grey: Tensor) -> Tensor:
        return model.loss((torch.rand_like(grey) < grey).float())  # faster than bernoulli

    if compile:
        loss_of = torch.compile(loss_of)
        try:
            loss_of(pixels[:batch])  # the compiler runs at the first call
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(f"torch.compile failed: {reason}") from error

    def run_epoch() -> tuple[float, float]:
        start = perf_counter()
        total = torch.zeros(())
        batches = torch.randperm(len(pixels)).split(batch)
        for indices in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(pixels[indices])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return perf_counter() - start, total.item() / len(batches)

    return run_epoch
