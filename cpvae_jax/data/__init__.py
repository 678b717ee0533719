"""Data sets: the user's own files, and the loaders that are registered by name.

`load` reads tables, `.npz` files, folders of images and folders of `.npy` files. Nothing here imports
JAX, except `stream`, which training imports.
"""

from cpvae_jax.data.dataset import Dataset, check
from cpvae_jax.data.places import Places
from cpvae_jax.data.rows import Rows
from cpvae_jax.data.sources import SOURCES, Loader, is_table, load, register

__all__ = [
    "SOURCES",
    "Dataset",
    "Loader",
    "Places",
    "Rows",
    "check",
    "is_table",
    "load",
    "register",
]
