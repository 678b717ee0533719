"""Layers and densities. Axes: `B` batch, `K` components, `D` latent, `H` hidden units."""

import math

import torch
from torch import Tensor, nn

LOG_VAR_LIMIT = 10.0  # log-variances stay within this, smoothly


class Gated(nn.Module):
    """`(x W + b) * sigmoid(x V + a)`, with W and V side by side in one product."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.linear = nn.Linear(n_in, 2 * n_out)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.glu(self.linear(x))


class GaussianHead(nn.Linear):
    """Mean and log-variance of a Gaussian, `[B, D]` each, in one product."""

    def __init__(self, n_in: int, D: int):
        super().__init__(n_in, 2 * D)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = super().forward(h).chunk(2, -1)
        return mean, soft_limit(log_var)


def trunk(n_in: int, H: int) -> nn.Sequential:
    """The two gated layers of section 5 of the paper."""
    return nn.Sequential(Gated(n_in, H), Gated(H, H))


def glorot(module: nn.Module) -> None:
    """Glorot's uniform weights, zero biases; layers that share a product one by one."""
    if isinstance(module, Gated):
        for half in module.linear.weight.chunk(2):
            nn.init.xavier_uniform_(half)
    elif isinstance(module, GaussianHead):
        for half in module.weight.chunk(2):
            nn.init.xavier_uniform_(half)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def soft_limit(log_var: Tensor) -> Tensor:
    return LOG_VAR_LIMIT * torch.tanh(log_var / LOG_VAR_LIMIT)


def draw(mean: Tensor, log_var: Tensor) -> Tensor:
    """A reparametrised draw."""
    return mean + (log_var / 2).exp() * torch.randn_like(mean)


def log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log-density over the last axis."""
    quadratic = (z - mean).square() * (-log_var).exp()
    return -(quadratic + log_var + math.log(2 * math.pi)).sum(-1) / 2


def kl_normal(mean: Tensor, log_var: Tensor, mean_p: Tensor, log_var_p: Tensor) -> Tensor:
    """Divergence of one diagonal Gaussian from another, over the last axis."""
    log_ratio = log_var - log_var_p
    distance = (mean - mean_p).square() * (-log_var_p).exp()
    return (log_ratio.exp() + distance - 1 - log_ratio).sum(-1) / 2


def log_pixels(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) of black and white pixels, over the last axis."""
    entropy = nn.functional.binary_cross_entropy_with_logits
    return -entropy(logits, x.expand_as(logits), reduction="none").sum(-1)
