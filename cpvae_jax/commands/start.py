"""Starting JAX for a command: an environment in which it cannot start gets one sentence."""

from __future__ import annotations

import os
import resource

from cpvae_jax.errors import UserError, first_line

CHOICES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
"""Environment variables that choose the kind of device."""

SETTINGS = {
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard": "allow",
}
"""Checks that JAX makes of programs while they are written; set by the environment they would end
a command, and numbers do not depend on them."""


OPEN_FILES, FEWEST_OPEN_FILES = 1024, 64
"""Open files that a command asks the system for, and those that a checkpoint of a small model needs."""


def start_jax() -> None:
    """Imports JAX and starts its devices; with several processes, call it once they are connected.

    Raises:
      UserError: JAX cannot start, and the message names the environment variable that is
        responsible; or the system allows too few open files for a checkpoint.
    """
    _allow_open_files()
    try:
        import jax
    except (ValueError, RuntimeError) as error:  # a variable such as JAX_ENABLE_X64=maybe
        raise UserError(
            f"JAX cannot start ({_reason(error)}); unset that environment variable, or set it "
            "to a value that JAX knows."
        ) from error
    for name, value in SETTINGS.items():
        jax.config.update(name, value)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise UserError(_without_device(error)) from error


def _allow_open_files() -> None:
    """Raises a low limit of open files as far as the system lets this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < most:
        soft = most
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < FEWEST_OPEN_FILES:
        raise UserError(
            f"the system lets this command open {soft} files at once, but checkpoints need at least "
            f"{FEWEST_OPEN_FILES}; allow more, for example by ulimit -n {OPEN_FILES}."
        )


def _without_device(error: Exception) -> str:
    """The sentence for a command that gets no device."""
    for name in CHOICES:
        if value := os.environ.get(name):
            return (
                f"{name} is {value!r}, but JAX finds no such device here; unset it to take the "
                "device that there is, set it to cpu, or install JAX for that device."
            )
    return (
        f"JAX cannot start a device ({_reason(error)}); set JAX_PLATFORMS=cpu to use the processor."
    )


def _reason(error: Exception) -> str:
    """The text of an error, for use inside a sentence."""
    return first_line(error).rstrip(".")
