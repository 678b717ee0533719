"""A run from the data to the pictures, as the flags of `experiments.run` describe it.

Orchestration only: the data come from `experiments.data`, training from `cpvae_jax.train`,
scores from `experiments.evaluate`, pictures from `experiments.pictures`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from cpvae_jax import (
    Config,
    Params,
    Training,
    UserError,
    checkpoint,
    checks,
    devices,
    likelihoods,
    priors,
    stream,
    train,
)
from cpvae_jax.rows import sample_of
from experiments import diagnosis, extend, folder, grey, processes, provenance
from experiments.data import Dataset, check, load
from experiments.data.places import Places
from experiments.options import MIXTURE, SEEDS, places
from experiments.progress import Interrupt, Log

READ_AS = {
    "bernoulli": "likelihood bernoulli: grey levels, black or white; for real numbers take "
    "--likelihood gaussian\n",
    "gaussian": "likelihood gaussian: real numbers, of one noise; for grey levels take "
    "--likelihood bernoulli\n",
}
"""What the values of data are taken for, told at the start of a run."""


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """The whole of a run, from the data to the pictures; 0, or 130 or 143 if interrupted."""
    for name, least in (("seeds", 1), ("bound_samples", 1), ("log_likelihood", 0)):
        checks.at_least(f"--{name.replace('_', '-')}", getattr(options, name), least)
    if options.seed + options.seeds > SEEDS:
        raise UserError(
            f"--seed {options.seed} and --seeds {options.seeds} go beyond the last seed, {SEEDS - 1}; "
            "give a smaller --seed."
        )
    if options.likelihood_images is not None:
        checks.at_least("--likelihood-images", options.likelihood_images, 2)
    processes.join(options)
    with processes.together():
        return _run(options, arguments)


def _run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    extend.run(options.extend)
    mesh = devices.mesh(options.devices, seeds=options.seeds)
    keep_compiled(Places.find(**places(options)).cache_dir / "compiled")
    data = load_data(options)
    given = {f.name: getattr(options, f.name) for f in fields(Training) if f.name in options}
    training = Training(**{**data.training, **given})
    config = model_config(options, data)
    likelihoods.of(config)  # a name that there is not is told before a folder is made
    check(data, config.likelihood)
    path = options.out or default_path(options)
    with folder.open_run(
        path,
        settings(options, config, training),
        resume=options.resume,
        writer=processes.first(),
    ) as run_folder:
        print(f"{data.source}\n{READ_AS.get(config.likelihood, '')}run folder: {path}", flush=True)
        run_folder.append(folder.SESSIONS, provenance.describe(arguments))
        state, trained, stopped_by = train_in(run_folder, options, config, training, data, mesh)
        if trained is None:
            print(
                f"stopped by {stopped_by.name} after epoch {int(state.epoch[0])} and saved; "
                "the same command with --resume goes on from there.",
                flush=True,
            )
            return stopped_by.exit_code
        history = run_folder.lines(folder.LOG)
        diagnosis.raise_if_diverged(state, history, training, sample_of(data.train), path)
        print(outcome(state, training, options.seed, history), flush=True)
        score(run_folder, options, data, state, trained, training, history, mesh)
        if processes.first():
            best = train.best_seed(state)
            draw(run_folder, seeds(options)[best], data, trained[best], history)
        print(f"scores, pictures and the model are in {path}", flush=True)
    return 0


def keep_compiled(path: Path) -> None:
    """Keep compiled programs in a folder, so that a second start need not compile them again.

    A folder that the user chose, by JAX_COMPILATION_CACHE_DIR, goes before. An entry that is
    damaged is compiled again, and no matter of the user's.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", str(path))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")


def load_data(options: argparse.Namespace) -> Dataset:
    """The data set that the flags name; those of the synthetic mixture go along if given."""
    return load(options.dataset, **places(options), **mixture(options))


def mixture(options: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of the synthetic mixture."""
    given = {name: getattr(options, name) for name in MIXTURE}
    return {name: value for name, value in given.items() if value is not None}


def model_config(options: argparse.Namespace, data: Dataset) -> Config:
    """The model that the flags and the data's shape describe."""
    return Config(
        shape=data.shape,
        model=options.model,
        K=categories(options),
        latent=options.latent,
        hidden=options.hidden,
        likelihood=data.likelihood if options.likelihood == "auto" else options.likelihood,
        scale=options.scale,
        binarise=options.binarise,
    )


def categories(options: argparse.Namespace) -> int:
    """K as given, and else what suits the prior."""
    if options.K is not None:
        return options.K
    prior = priors.PRIORS.get(options.model.removeprefix(priors.TWO_LEVELS))
    return 1 if prior is not None and prior.single else Config.K


def default_path(options: argparse.Namespace) -> Path:
    """runs/mnist-K10-seed0, runs/mnist-hvp-K10-seed0, or runs/mnist-K10-seeds0-7."""
    first, last = options.seed, options.seed + options.seeds - 1
    parts = [
        Path(options.dataset).stem,
        *([] if options.model == Config.model else [options.model]),
        f"K{categories(options)}",
        f"seed{first}" if first == last else f"seeds{first}-{last}",
    ]
    return Path("runs") / "-".join(parts)


def settings(options: argparse.Namespace, config: Config, training: Training) -> dict[str, Any]:
    """All that decides the numbers of a run; it goes on only with the same.

    The most epochs are left out, so that a finished run can be given more of them; so is a
    precision that runs had before it could be chosen, so that those go on too.
    """
    left_out = {"epochs"} | ({"precision"} if training.precision == Training.precision else set())
    return {
        "dataset": folder.same_path(options.dataset),
        **mixture(options),
        "seed": options.seed,
        "seeds": options.seeds,
        "model": {**config.to_dict(), "shape": list(config.shape), "hidden": list(config.hidden)},
        "training": {k: v for k, v in asdict(training).items() if k not in left_out},
    }


def train_in(
    run_folder: folder.RunFolder,
    options: argparse.Namespace,
    config: Config,
    training: Training,
    data: Dataset,
    mesh: Mesh | None,
) -> tuple[train.TrainState, list[Params] | None, Interrupt]:
    """Train in a run folder, from its last checkpoint if it has one.

    Returns the state, the best parameters of each seed (None if a signal stopped the training
    before its end), and what was heard of signals.
    """
    flat_train = stream.readable(config, data.train)
    flat_valid = checks.data(config, data.valid, "valid")
    program = train.program(config, training, sample_of(data.train), mesh)
    state = program.init(jnp.stack([jax.random.key(s) for s in seeds(options)]))
    steps: checkpoint.Checkpoints | None
    place = run_folder.path / checkpoint.FOLDER
    with (
        Interrupt() as interrupt,
        checkpoint.open_for(place) if processes.first() else nullcontext() as steps,
    ):

        def save(params: Params) -> None:
            whole = devices.home(state, mesh)  # of all processes, before the first one writes
            if steps is not None:
                steps.write(int(whole.epoch[0]), params, whole)

        (saved,) = processes.largest((steps.latest() if steps is not None else None) or 0)
        if saved:
            template = devices.home(state, mesh)
            found = template if steps is None else steps.read_state(saved, template)
            state = train.place(processes.told(found), mesh)
        run_folder.rewind(saved)
        board = options.tensorboard and processes.first()
        log = Log(run_folder, training.epochs, saved, quiet=options.quiet, board=board)
        last_save = time.monotonic()
        for state, metrics in train.epochs(  # noqa: B020 - the old state is used up
            program, state, flat_train, flat_valid
        ):
            log.epoch(metrics)
            due = time.monotonic() - last_save >= options.checkpoint_every
            heard, due = processes.largest(interrupt.signal or 0, due and processes.first())
            if heard:
                interrupt.signal = signal.Signals(heard)
                break
            if due:
                save(train.best_params(state, mesh=mesh))
                last_save = time.monotonic()
        log.close()
        trained = None
        if train.finished(state, training):
            trained = [
                train.finish(state, flat_train, index, mesh) for index in range(options.seeds)
            ]
        save(trained[train.best_seed(state)] if trained else train.best_params(state, mesh=mesh))
    return devices.home(state, mesh), trained, interrupt


def seeds(options: argparse.Namespace) -> list[int]:
    """The seeds of a run, in order."""
    return [options.seed + i for i in range(options.seeds)]


def outcome(
    state: train.TrainState, training: Training, seed: int, history: Sequence[dict[str, Any]]
) -> str:
    """Sentences on how training ended."""
    best = train.best_seed(state)
    notes = [
        note for note in (diagnosis.skips(history), diagnosis.came_apart(history, best)) if note
    ]
    kept = f"; kept seed {seed + best} of {len(state.epoch)}" if len(state.epoch) > 1 else ""
    epoch = int(state.epoch[0])
    why = "early stopping" if bool(state.stopped.all()) else f"the most epochs, {training.epochs}"
    minutes = sum(line["seconds"] for line in history) / 60
    ended = (
        f"trained {epoch} epochs in {minutes:.1f} minutes, ended by {why}; best validation bound "
        f"{float(state.best_bound[best]):.2f} nats at epoch {int(state.best_epoch[best])}{kept}"
    )
    return "\n".join([ended, *(f"note: {note}" for note in notes)])


def score(
    run_folder: folder.RunFolder,
    options: argparse.Namespace,
    data: Dataset,
    state: train.TrainState,
    trained: Sequence[Params],
    training: Training,
    history: Sequence[dict[str, Any]],
    mesh: Mesh | None,
) -> None:
    """Score every seed on the test split, write metrics.json, and print the kept seed's scores."""
    from experiments.evaluate import evaluate, summary

    best = train.best_seed(state)
    per_seed = []
    began = time.monotonic()
    for index, (seed, params) in enumerate(zip(seeds(options), trained, strict=True)):
        per_seed.append(
            {
                "seed": seed,
                "valid_bound": float(state.best_bound[index]),
                "best_epoch": int(state.best_epoch[index]),
                **evaluate(
                    params,
                    seed,
                    data,
                    temperature=training.temperature_end,
                    bound_samples=options.bound_samples,
                    likelihood_samples=options.log_likelihood,
                    likelihood_images=options.likelihood_images,
                    progress=None if options.quiet else _tell,
                    mesh=mesh,
                ),
            }
        )
    run_folder.write_json(
        folder.SCORES,
        {
            "sessions": run_folder.lines(folder.SESSIONS),
            "source": data.source,
            "examples": {p: len(getattr(data, p)) for p in ("train", "valid", "test")},
            "config": settings(options, trained[best].config, training),
            "epochs": int(state.epoch[0]),
            "stopped_early": bool(state.stopped.all()),
            "seconds_training": sum(line["seconds"] for line in history),
            "seconds_scoring": time.monotonic() - began,
            "kept_seed": seeds(options)[best],
            "value_range": grey.value_range(trained[best].config, data.test),
            "seeds": per_seed,
        },
    )
    print(summary(per_seed[best]), flush=True)


def _tell(done: int, total: int) -> None:
    print(f"\rlog-likelihood: {done} of {total} examples", end="", file=sys.stderr, flush=True)
    if done == total:
        print(file=sys.stderr)


def draw(
    run_folder: folder.RunFolder,
    seed: int,
    data: Dataset,
    params: Params,
    history: Sequence[dict[str, Any]],
) -> None:
    """Draw the pictures of the kept seed."""
    from experiments import evaluate, pictures

    key = jax.random.fold_in(jax.random.key(seed), 2)
    with run_folder.writing():
        pictures.samples(run_folder.picture("samples"), params, key, data.test)
        pictures.reconstructions(run_folder.picture("reconstructions"), params, data.test)
        if history:
            pictures.curves(run_folder.picture("curves"), history)
        if params.config.K > 1:
            pictures.aggregate(run_folder.picture("aggregate"), params)
        if data.shape == (1,):
            draws = evaluate.densities(params, evaluate.Keys.of(seed).density, data)
            distances = evaluate.density_distances(draws, sample_of(data.train))
            pictures.densities(run_folder.picture("densities"), draws, distances)
