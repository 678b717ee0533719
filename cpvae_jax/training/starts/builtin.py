"""The built-in starts by name."""

from cpvae_jax.training.starts import kmeans, mixture
from cpvae_jax.training.starts.base import Start

FRESH = Start()
REGULARISERS = Start(free=True)
KMEANS = Start((kmeans.partition,))
MIXTURE = Start((mixture.partition,))
LABELS = Start(labels=True)
ADAPTIVE = Start((mixture.partition, kmeans.partition), free=True, gate=True)
