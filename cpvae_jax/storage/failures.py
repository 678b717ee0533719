"""What can go wrong with a checkpoint, in sentences: damage is told from everything else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpvae_jax.errors import UserError, first_line
from cpvae_jax.storage import files, manifest


@contextmanager
def explained(step: Path) -> Iterator[None]:
    """Turns every error in reading a step into a `UserError` that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"the checkpoint {step} cannot be loaded: {error}") from error
    except OSError as error:
        raise files.unreadable(step, error) from error
    except manifest.NewerError as error:
        raise UserError(
            f"the checkpoint {step} was written by a newer version of cpvae_jax ({error}); load it "
            "with that version."
        ) from error
    except manifest.MisfitError as error:
        raise UserError(
            f"the checkpoint {step} cannot be loaded: its files are whole, but they hold another "
            f"model than its configuration describes here ({error}); load it with the version of "
            "cpvae_jax, and with the parts of your own, that it was saved with."
        ) from error
    except files.DamagedError as error:
        raise UserError(
            f"the checkpoint {step} is damaged or was not written by cpvae_jax ({error}); move that "
            f"folder away to use an earlier one in {step.parent}, if there is one."
        ) from error
    except Exception as error:  # Orbax, and the user's own parts, may raise anything
        raise UserError(
            f"the checkpoint {step} cannot be loaded, although its files are whole "
            f"({type(error).__name__}: {first_line(error)}); load it with the versions of "
            "cpvae_jax, jax and orbax-checkpoint that it was saved with."
        ) from error


def reason(error: Exception) -> str:
    """Why writing failed, in few words; some layers report a full disk at great length."""
    full = os.strerror(errno.ENOSPC)
    if full in str(error):
        return full
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
