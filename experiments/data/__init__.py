"""The data sets of the paper, and the digits that are included here.

Importing this package registers them, so that `load("mnist")` finds them.
"""

from cpvae_jax.data import SOURCES, Dataset, check, load, register
from experiments.data import digits, mnist, omniglot, synthetic

__all__ = ["SOURCES", "Dataset", "check", "load"]

register("mnist", mnist.load)
register("omniglot", omniglot.load)
register("synthetic", synthetic.load)
register("digits", digits.load)
