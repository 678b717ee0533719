"""CP-VAE of black and white images `[B, X]`; the arithmetic is that of `cpvae_jax`.

Axes: `B` batch, `K` categories, `D` latent, `X` pixels, `H` hidden units, `S` samples.
"""

import math

import torch
from torch import Tensor, nn

from benchmarks.problem import TAU

Gaussians = tuple[Tensor, Tensor]
"""Means and log-variances, or what is added to them."""


class Gated(nn.Module):
    """`(x W + b) * sigmoid(x V + a)`, with W and V side by side in one product."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.linear = nn.Linear(n_in, 2 * n_out)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.glu(self.linear(x))


class CPVAE(nn.Module):
    """The conditional-prior VAE with K categories.

    The heads of z are linear in `[h, c]`: a part from h, and a table with one row per category.
    So the posterior of z for all K categories is one broadcast sum.
    """

    def __init__(self, X: int, K: int, D: int, H: int):
        super().__init__()
        self.encoder = nn.Sequential(Gated(X, H), Gated(H, H))
        self.category = nn.Linear(H, K)
        self.z_from_h = nn.Linear(H, 2 * D)
        self.z_from_c = nn.Parameter(0.1 * torch.randn(K, 2 * D))
        self.decoder = nn.Sequential(Gated(D + K, H), Gated(H, H), nn.Linear(H, X))
        self.prior = nn.Parameter(torch.zeros(K, 2 * D))
        self.K = K

    def loss(self, x: Tensor) -> Tensor:
        """The negative bound of a batch of binary images `[B, X]`."""
        h = self.encoder(x)  # [B, H]
        logits = self.category(h)  # [B, K]
        from_h, from_c = gaussians(self.z_from_h(h)), gaussians(self.z_from_c)

        c = nn.functional.gumbel_softmax(logits, TAU)  # [B, K]
        mean_c, log_var_c = (c @ torch.cat(from_c, -1)).chunk(2, -1)
        z = draw(from_h[0] + mean_c, from_h[1] + log_var_c)  # [B, D]
        pixels = self.decoder(torch.cat([z, c], -1))  # [B, X]

        log_q = logits.log_softmax(-1)
        kl_c = (log_q.exp() * log_q).sum(-1) + math.log(self.K)  # [B]
        kl_z = (log_q.exp() * self.kl_z(from_h, from_c)).sum(-1)  # [B]
        return (kl_c + kl_z - log_pixels(pixels, x)).mean()

    def kl_z(self, from_h: Gaussians, from_c: Gaussians) -> Tensor:
        """KL(q(z|x, c_k) || p(z|c_k)) for all k, `[B, K]`."""
        mean, log_var = (h[:, None, :] + c for h, c in zip(from_h, from_c, strict=True))
        prior_mean, prior_log_var = gaussians(self.prior)
        log_ratio = log_var - prior_log_var
        distance = (mean - prior_mean).square() * (-prior_log_var).exp()
        return (log_ratio.exp() + distance - 1 - log_ratio).sum(-1) / 2

    def log_weights(self, x: Tensor, S: int) -> Tensor:
        """log p(x, z, c) − log q(z, c|x) of an image `[X]` at S draws, `[S]`."""
        h = self.encoder(x[None])
        log_q_c = self.category(h).log_softmax(-1)[0]  # [K]
        c = torch.multinomial(log_q_c.exp(), S, replacement=True)  # [S]
        heads = zip(gaussians(self.z_from_h(h)), gaussians(self.z_from_c), strict=True)
        mean, log_var = (from_h + from_c[c] for from_h, from_c in heads)
        z = draw(mean, log_var)
        log_prior = log_normal(z, *gaussians(self.prior[c])) - math.log(self.K)
        log_q = log_normal(z, mean, log_var) + log_q_c[c]
        return log_pixels(self.decode(z, c), x) + log_prior - log_q

    def generate(self, category: int, num: int) -> Tensor:
        """Images `[num, X]` of a category."""
        c = torch.full((num,), category, device=self.prior.device)
        return self.decode(draw(*gaussians(self.prior[c])), c).sigmoid()

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """The logits of the pixels, for categories given as whole numbers."""
        return self.decoder(torch.cat([z, nn.functional.one_hot(c, self.K).to(z)], -1))


class MultipliedOut(CPVAE):
    """The same loss with `kl_z` as matrix products, so that no `[B, K, D]` array exists.

    `cpvae_jax` computes it this way. Timed beside the broadcast form, it shows how much of the
    difference at large K is algebra, which PyTorch can use too.
    """

    def kl_z(self, from_h: Gaussians, from_c: Gaussians) -> Tensor:
        (mean_h, log_var_h), (mean_c, log_var_c) = from_h, from_c  # [B, D], [K, D]
        prior_mean, prior_log_var = gaussians(self.prior)
        precision = (-prior_log_var).exp()
        offset, log_ratio = mean_c - prior_mean, log_var_c - prior_log_var
        of_both = (
            log_var_h.exp() @ log_ratio.exp().T
            + mean_h.square() @ precision.T
            + 2 * mean_h @ (offset * precision).T
        )
        of_c = (offset.square() * precision - 1 - log_ratio).sum(-1)  # [K]
        return (of_both + of_c - log_var_h.sum(-1, keepdim=True)) / 2


def gaussians(both: Tensor) -> Gaussians:
    """Means, and log-variances within ±10, smoothly; side by side in the last axis."""
    mean, log_var = both.chunk(2, -1)
    return mean, 10 * torch.tanh(log_var / 10)


def draw(mean: Tensor, log_var: Tensor) -> Tensor:
    """A reparametrised draw."""
    return mean + (log_var / 2).exp() * torch.randn_like(mean)


def log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """The log-density of a diagonal Gaussian, over the last axis."""
    quadratic = (z - mean).square() * (-log_var).exp()
    return -(quadratic + log_var + math.log(2 * math.pi)).sum(-1) / 2


def log_pixels(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) of black and white pixels, over the last axis."""
    entropy = nn.functional.binary_cross_entropy_with_logits
    return -entropy(logits, x.expand_as(logits), reduction="none").sum(-1)
