"""Saving and loading by Orbax. Nothing is pickled: arrays, and the configuration as JSON.

A folder holds numbered steps, each with `params` and `config` and, in a training run, the
`state` that training goes on from. `load` reads any of them, and a run folder too.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import jax

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.models import cpvae
from cpvae_jax.types import Params, Tree

FOLDER = "checkpoints"
"""Name of the folder of checkpoints inside a run folder."""


def manager(folder: str | Path, *, create: bool) -> Any:
    """An Orbax manager that keeps the two latest steps; close it, or use `with`, to be safe.

    Two, so that the one before is there should the last be damaged.
    """
    import orbax.checkpoint as ocp

    # Orbax tells each save and restore at the level of warnings: true, but not for a user.
    logging.getLogger("absl").setLevel(logging.ERROR)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, create=create, read_only=not create)
    return ocp.CheckpointManager(Path(folder).absolute(), options=options)


def write(manager: Any, step: int, params: Params, state: Tree | None = None) -> None:
    """Save a step: `params` for use, `state` to go on training from.

    Waits until it is written: the next epoch reuses the memory of the state, and a disk that
    is full is heard of at once. A step that exists is left as it is.
    """
    import orbax.checkpoint as ocp

    items = {
        "params": ocp.args.StandardSave(_arrays(params)),
        "config": ocp.args.JsonSave(params.config.to_dict()),
    }
    if state is not None:
        items["state"] = ocp.args.StandardSave(state)
    if step not in manager.all_steps():
        manager.save(step, args=ocp.args.Composite(**items))
        manager.wait_until_finished()


def read_state(manager: Any, step: int, template: Tree) -> Tree:
    """The training state of a step, of the shapes of `template`."""
    import orbax.checkpoint as ocp

    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
    try:
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return manager.restore(step, args=args)["state"]
    except Exception as error:
        raise _damaged(Path(manager.directory), step) from error


def save(folder: str | Path, params: Params) -> None:
    """Save parameters and their configuration to a new folder; `load` reads it back.

    Raises `UserError` where the folder holds something already or cannot be written.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists and is not an empty folder; choose another one to save to.")
    try:
        with manager(path, create=True) as steps:
            write(steps, 0, params)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose another folder."
        ) from error


def load(folder: str | Path) -> Params:
    """The parameters that `save` wrote, or the best ones of a training run's folder.

    Raises `UserError` for a folder that is missing, holds no model, or is damaged.

    >>> import tempfile, cpvae_jax
    >>> config = cpvae_jax.Config(shape=(8, 8), K=5)
    >>> params = cpvae_jax.initialise(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cpvae_jax.save(folder + "/model", params)
    ...     cpvae_jax.load(folder + "/model").config == config
    True
    """
    import orbax.checkpoint as ocp

    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give the folder of a run or of a saved model.")
    inner = path / FOLDER if (path / FOLDER).is_dir() else path
    if not any(child.name.isdigit() for child in inner.iterdir()):
        raise UserError(
            f"{path} holds no saved model; give the folder of a run or of a saved model."
        )
    with manager(inner, create=False) as steps:
        step = steps.latest_step()
        try:
            stored = steps.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))
            config = Config.from_dict(stored["config"])
            template = jax.eval_shape(lambda key: cpvae.init(key, config, None), _key())
            arrays = jax.tree.map(ocp.utils.to_shape_dtype_struct, _arrays(template))
            restored = steps.restore(
                step, args=ocp.args.Composite(params=ocp.args.StandardRestore(arrays))
            )
        except UserError:
            raise
        except Exception as error:
            raise _damaged(inner, step) from error
    return Params(**restored["params"], config=config)


def _key() -> jax.Array:
    """Stands for any key: only shapes are asked for."""
    return jax.eval_shape(lambda: jax.random.key(0))


def _arrays(params: Params) -> dict[str, Tree]:
    """Parameters as a plain dictionary, readable without this package's classes."""
    return {
        "encoder": params.encoder,
        "prior": params.prior,
        "decoder": params.decoder,
        "likelihood": params.likelihood,
        "aggregate": params.aggregate,
    }


def _damaged(folder: Path, step: int | None) -> UserError:
    return UserError(
        f"the checkpoint {folder / str(step)} is damaged, incomplete or of another program; "
        f"remove that folder to fall back on the one before it in {folder}, if there is one."
    )
