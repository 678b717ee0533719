"""CP-VAE, VAE, VampPrior and the VampPrior with two levels, of binary `[B, X]` data.

Axes: `B` batch, `K` categories or components, `D` latent, `X` pixels, `H` hidden units,
`S` samples. Each model has `loss` for training, `log_weights` for the likelihood and
`generate` for samples; the arithmetic is that of `cpvae_jax`.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.problem import BETA, HIDDEN, LATENT, TAU
from benchmarks.torch_programs.layers import (
    Gated,
    GaussianHead,
    draw,
    glorot,
    kl_normal,
    log_normal,
    log_pixels,
    soft_limit,
    trunk,
)


class OneLevel(nn.Module):
    """z is decoded straight to pixels."""

    def __init__(self, X: int, D: int, H: int):
        super().__init__()
        self.decoder = nn.Sequential(*trunk(D, H), nn.Linear(H, X))

    def features(self, x: Tensor) -> None:
        """Nothing: there is no code below z."""

    def explain(self, features: None, z: Tensor) -> tuple[Tensor, Tensor | float]:
        """The pixels' logits, and the divergence below z."""
        return self.decoder(z), 0.0

    def weigh(self, features: None, z: Tensor) -> tuple[Tensor, Tensor | float]:
        """The pixels' logits, and log p − log q of what was drawn below z."""
        return self.decoder(z), 0.0

    def generate(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class TwoLevels(nn.Module):
    """A code z1 below z, and pixels from both."""

    def __init__(self, X: int, D: int, H: int):
        super().__init__()
        self.posterior_x, self.posterior_z = Gated(X, H), Gated(D, H)
        self.posterior = nn.Sequential(Gated(2 * H, H), GaussianHead(H, D))
        self.prior = nn.Sequential(*trunk(D, H), GaussianHead(H, D))
        self.decoder_z1, self.decoder_z = Gated(D, H), Gated(D, H)
        self.decoder = nn.Sequential(Gated(2 * H, H), nn.Linear(H, X))

    def features(self, x: Tensor) -> Tensor:
        return self.posterior_x(x)

    def q(self, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z1|x, z)."""
        of_z = self.posterior_z(z)
        return self.posterior(torch.cat([features.expand_as(of_z), of_z], -1))

    def decode(self, z1: Tensor, z: Tensor) -> Tensor:
        return self.decoder(torch.cat([self.decoder_z1(z1), self.decoder_z(z)], -1))

    def explain(self, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor | float]:
        q, p = self.q(features, z), self.prior(z)
        return self.decode(draw(*q), z), kl_normal(*q, *p)

    def weigh(self, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor | float]:
        q, p = self.q(features, z), self.prior(z)
        z1 = draw(*q)
        return self.decode(z1, z), log_normal(z1, *p) - log_normal(z1, *q)

    def generate(self, z: Tensor) -> Tensor:
        return self.decode(draw(*self.prior(z)), z)


class VAE(nn.Module):
    """One level under N(0, I)."""

    levels_type: type[OneLevel] | type[TwoLevels] = OneLevel

    def __init__(self, X: int, K: int = 1, D: int = LATENT, H: int = HIDDEN):
        super().__init__()
        self.encoder = nn.Sequential(*trunk(X, H), GaussianHead(H, D))
        self.levels = self.levels_type(X, D, H)
        self.K, self.D = K, D
        self.apply(glorot)

    def loss(self, x: Tensor) -> Tensor:
        """The negative bound of a batch of binary images `[B, X]`."""
        mean, log_var = self.encoder(x)  # [B, D] each
        z = draw(mean, log_var)
        logits, kl_below = self.levels.explain(self.levels.features(x), z)
        kl = self.kl(z, mean, log_var) + kl_below  # [B]
        return (BETA * kl - log_pixels(logits, x)).mean()

    def kl(self, z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        """KL of q(z|x) from the prior, `[B]`."""
        return (log_var.exp() + mean.square() - 1 - log_var).sum(-1) / 2

    def log_prior(self, z: Tensor) -> Tensor:
        zero = z.new_zeros(self.D)
        return log_normal(z, zero, zero)

    def log_weights(self, x: Tensor, S: int) -> Tensor:
        """log p(x, z) − log q(z|x) of an image `[X]` at S draws, `[S]`."""
        mean, log_var = (a.expand(S, -1) for a in self.encoder(x[None]))
        z = draw(mean, log_var)
        logits, log_ratio = self.levels.weigh(self.levels.features(x[None]), z)
        log_q = log_normal(z, mean, log_var)
        return log_pixels(logits, x) + log_ratio + self.log_prior(z) - log_q

    def component(self, category: int) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, `[D]` each."""
        zero = next(self.parameters()).new_zeros(self.D)
        return zero, zero

    def generate(self, category: int, num: int) -> Tensor:
        """Images `[num, X]` of a category."""
        mean, log_var = (a.expand(num, -1) for a in self.component(category))
        return self.levels.generate(draw(mean, log_var)).sigmoid()


class VampPrior(VAE):
    """One level under the mixture of the posteriors of K pseudo-inputs."""

    def __init__(self, X: int, K: int, D: int = LATENT, H: int = HIDDEN):
        super().__init__(X, K, D, H)
        self.pseudo_inputs = nn.Parameter(torch.randn(K, X))

    def start_at(self, pixels: Tensor) -> None:
        """Let the pseudo-inputs be these images `[K, X]`."""
        with torch.no_grad():
            self.pseudo_inputs.copy_(pixels.clamp(0.01, 0.99).logit())

    def log_prior(self, z: Tensor) -> Tensor:
        mean, log_var = self.encoder(self.pseudo_inputs.sigmoid())  # [K, D] each
        of_each = log_normal(z[..., None, :], mean, log_var)  # [..., K]
        return of_each.logsumexp(-1) - math.log(self.K)

    def kl(self, z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        """Estimated at the draw z: to a mixture there is no closed form."""
        return log_normal(z, mean, log_var) - self.log_prior(z)

    def component(self, category: int) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(self.pseudo_inputs[category, None].sigmoid())
        return mean[0], log_var[0]


class TwoLevelVampPrior(VampPrior):
    """Two levels, the VampPrior on the upper one."""

    levels_type = TwoLevels


class CPVAE(nn.Module):
    """The conditional-prior VAE with K categories.

    The heads of z are linear in `[h, c]`. They are kept as a part from h and a table of
    one row a category, so that z's posterior for all K categories is one broadcast sum.
    """

    def __init__(self, X: int, K: int, D: int = LATENT, H: int = HIDDEN):
        super().__init__()
        self.encoder = trunk(X, H)
        self.category = nn.Linear(H, K)
        self.z_from_h = GaussianHead(H, D)
        self.z_from_c = nn.Parameter(torch.empty(K, 2 * D))
        self.decoder = nn.Sequential(*trunk(D + K, H), nn.Linear(H, X))
        self.prior_mean = nn.Parameter(torch.zeros(K, D))
        self.prior_log_var = nn.Parameter(torch.zeros(K, D))
        self.K = K
        self.apply(glorot)
        for half in self.z_from_c.data.chunk(2, -1):
            nn.init.xavier_uniform_(half)

    def of_categories(self) -> tuple[Tensor, Tensor]:
        """What each category adds to the mean and the log-variance of q(z|x, c), `[K, D]`."""
        mean, log_var = self.z_from_c.chunk(2, -1)
        return mean, soft_limit(log_var)

    def prior(self) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of p(z|c), `[K, D]` each."""
        return self.prior_mean, soft_limit(self.prior_log_var)

    def loss(self, x: Tensor) -> Tensor:
        """The negative bound of a batch of binary images `[B, X]`."""
        h = self.encoder(x)  # [B, H]
        logits = self.category(h)  # [B, K]
        from_h, from_c = self.z_from_h(h), self.of_categories()

        c = nn.functional.gumbel_softmax(logits, TAU)  # [B, K]
        mean_c, log_var_c = (c @ torch.cat(from_c, -1)).chunk(2, -1)
        z = draw(from_h[0] + mean_c, from_h[1] + log_var_c)  # [B, D]
        pixels = self.decoder(torch.cat([z, c], -1))  # [B, X]

        kl = self.kl_category(logits) + self.kl_z(logits, from_h, from_c)  # [B]
        return (BETA * kl - log_pixels(pixels, x)).mean()

    def kl_category(self, logits: Tensor) -> Tensor:
        """KL of `q(c|x)` from the uniform, `[B]`."""
        log_q = logits.log_softmax(-1)
        return (log_q.exp() * log_q).sum(-1) + math.log(self.K)

    def kl_z(
        self, logits: Tensor, from_h: tuple[Tensor, Tensor], from_c: tuple[Tensor, Tensor]
    ) -> Tensor:
        """`sum_k q(c_k|x) KL(q(z|x, c_k) || p(z|c_k))`, over all K at once, `[B]`."""
        mean, log_var = (h[:, None, :] + c for h, c in zip(from_h, from_c, strict=True))
        return (logits.softmax(-1) * kl_normal(mean, log_var, *self.prior())).sum(-1)

    def log_weights(self, x: Tensor, S: int) -> Tensor:
        """log p(x, z, c) − log q(z, c|x) of an image `[X]` at S draws, `[S]`."""
        h = self.encoder(x[None])
        log_q_c = self.category(h).log_softmax(-1)[0]  # [K]
        c = torch.multinomial(log_q_c.exp(), S, replacement=True)  # [S]
        heads = zip(self.z_from_h(h), self.of_categories(), strict=True)
        mean, log_var = (from_h + from_c[c] for from_h, from_c in heads)
        z = draw(mean, log_var)
        prior_mean, prior_log_var = self.prior()
        log_prior = log_normal(z, prior_mean[c], prior_log_var[c]) - math.log(self.K)
        log_q = log_normal(z, mean, log_var) + log_q_c[c]
        return log_pixels(self.decode(z, c), x) + log_prior - log_q

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """The pixels' logits at categories that are whole numbers."""
        return self.decoder(torch.cat([z, nn.functional.one_hot(c, self.K).to(z)], -1))

    def generate(self, category: int, num: int) -> Tensor:
        """Images `[num, X]` of a category."""
        c = torch.full((num,), category, device=self.prior_mean.device)
        mean, log_var = (of_each[c] for of_each in self.prior())
        return self.decode(draw(mean, log_var), c).sigmoid()


class MultipliedOut(CPVAE):
    """The same loss with `kl_z` as matrix products, so that no `[B, K, D]` array exists.

    Our own program computes it so. Timed beside the broadcast form, it tells how much of
    the difference at large K is algebra, which PyTorch could have too.
    """

    def kl_z(
        self, logits: Tensor, from_h: tuple[Tensor, Tensor], from_c: tuple[Tensor, Tensor]
    ) -> Tensor:
        (mean_h, log_var_h), (mean_c, log_var_c) = from_h, from_c  # [B, D], [K, D]
        prior_mean, prior_log_var = self.prior()
        precision = (-prior_log_var).exp()
        offset = mean_c - prior_mean
        log_ratio_c = log_var_c - prior_log_var
        of_both = (
            log_var_h.exp() @ log_ratio_c.exp().T
            + mean_h.square() @ precision.T
            + 2 * mean_h @ (offset * precision).T
        )
        of_c = (offset.square() * precision - 1 - log_ratio_c).sum(-1)  # [K]
        kl = (of_both + of_c - log_var_h.sum(-1, keepdim=True)) / 2  # [B, K]
        return (logits.softmax(-1) * kl).sum(-1)


MODELS: dict[str, Any] = {
    "cp": CPVAE,
    "vae": VAE,
    "vp": VampPrior,
    "hvp": TwoLevelVampPrior,
}
"""The models by the names that ours have."""
