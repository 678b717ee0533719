"""The data sets of the paper, the digits that are included here, and others to compare clusterings on.

Importing this package registers them, so that `load("mnist")` finds them.
"""

from cpvae_jax.data import SOURCES, Dataset, check, load, register
from experiments.data import digits, fashion_mnist, mnist, omniglot, synthetic, tables

__all__ = ["SOURCES", "Dataset", "check", "load"]

register("mnist", mnist.load)
register("omniglot", omniglot.load)
register("synthetic", synthetic.load)
register("digits", digits.load)
register("fashion_mnist", fashion_mnist.load)
for name in tables.TABLES:
    register(name, tables.loader(name))
