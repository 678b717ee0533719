"""A run from the data to the pictures, as a `Job` describes it.

It only puts the parts together: `data.load`, `training.fit`, `report`.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from cpvae_jax import checks, devices, likelihoods, objectives, processes
from cpvae_jax.commands import choosing, extend, joining, provenance, settings
from cpvae_jax.commands.flags import SEEDS
from cpvae_jax.commands.job import Job, Options
from cpvae_jax.commands.start import start_jax
from cpvae_jax.config import Config, Training
from cpvae_jax.data import Dataset, Places
from cpvae_jax.data.rows import sample_of
from cpvae_jax.errors import UserError
from cpvae_jax.registry import CALLBACKS
from cpvae_jax.report import run as report
from cpvae_jax.report import scores
from cpvae_jax.report.tighter import Tighter
from cpvae_jax.storage import folders, run_folder, same_run
from cpvae_jax.storage.run_folder import RunFolder
from cpvae_jax.training import callbacks, diagnosis, doubts
from cpvae_jax.training.fit import Fit, fit
from cpvae_jax.training.program import best_seed


def run(job: Job, arguments: Sequence[str], program: str) -> int:
    """Runs a job.

    Args:
      job: what to do.
      arguments, program: the command line that the record of the run shows.

    Returns:
      0, or 128 and the number of the signal that stopped the training.

    Raises:
      UserError: the job is invalid, its data or its folder cannot be used, or training diverged.
    """
    _check(job.options)
    joining.join(job.devices)
    start_jax()
    if not processes.first():
        job = job.with_options(quiet=True)
    with joining.together():
        return _run(job, arguments, program)


def _check(options: Options) -> None:
    """Raise `UserError` for options out of range."""
    for name, least in (("seeds", 1), ("bound_samples", 1), ("log_likelihood", 0), ("refine", 0)):
        checks.at_least(f"--{name.replace('_', '-')}", getattr(options, name), least)
    if not 0 <= options.seed <= options.seed + options.seeds - 1 < SEEDS:
        raise UserError(
            f"--seed {options.seed} with --seeds {options.seeds} needs seeds outside 0 to "
            f"{SEEDS - 1}; choose another --seed."
        )
    if options.likelihood_images is not None:
        checks.at_least("--likelihood-images", options.likelihood_images, 2)


def _run(job: Job, arguments: Sequence[str], program: str) -> int:
    extend.run(job.extend.extend)
    mesh = devices.mesh(job.devices.devices, seeds=job.options.seeds)
    keep_compiled(Places.find(**job.folders.named()).cache_dir / "compiled")
    found = settings.load_data(job)
    config = settings.model_config(job, found)
    training = settings.training(job, config, found)
    checks.dataset(config, found)
    objectives.check(training, config, found.train)
    called = _callbacks(job.options)
    path = folders.given(job.options.out or settings.default_path(job, config), "--out")
    record = settings.record(job, config, training, found)
    with run_folder.open_run(
        path, record, resume=job.options.resume, writer=processes.first()
    ) as folder:
        print(f"{found.source}\n{_read_as(config)}folder of the run: {path}", flush=True)
        _note_unknown_data(folder)
        folder.append(run_folder.SESSIONS, provenance.describe(arguments, program))
        if short := doubts.planned(training, config):
            print(f"note: {short}", flush=True)
        result = train(job, config, training, found, folder, called, mesh)
        if job.numbers is not None:
            training = settings.training(job, result.params.config, found)
            record = choosing.chosen(record, result.params.config)
        if result.stopped is not None and result.stopped in signal.Signals.__members__:
            return _stopped(signal.Signals[result.stopped], int(result.state.epoch[0]))
        diagnosis.raise_if_diverged(
            result.state, folder.lines(run_folder.LOG), training, sample_of(found.train), path
        )
        _report(job, record, training, found, folder, result, mesh)
        print(f"scores, pictures and the model are in {path}", flush=True)
        print(f"report: {path / run_folder.PAGE}", flush=True)
    return 0


def _note_unknown_data(folder: RunFolder) -> None:
    """Says that the data of a run of an earlier version cannot be compared with those given."""
    if not processes.first():
        return
    if not run_folder.read(folder.path / run_folder.CONFIG).get(same_run.DATA):
        print(
            "note: an earlier version started this run and kept no digest of its data, so nothing "
            "checks that these are the same.",
            flush=True,
        )


def keep_compiled(path: Path) -> None:
    """Keeps compiled programs in a folder, so that a second start does not compile them again.

    A folder that the user chose by JAX_COMPILATION_CACHE_DIR takes precedence. Damaged entries
    are compiled again, without a warning.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", str(path))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")


def _read_as(config: Config) -> str:
    """A line on what the likelihood takes the data for, if it says so."""
    words = likelihoods.of(config).description
    return f"likelihood {config.likelihood}: {words}\n" if words else ""


def train(
    job: Job,
    config: Config,
    training: Training,
    found: Dataset,
    folder: RunFolder,
    called: Sequence[Any],
    mesh: Mesh | None,
) -> Fit:
    """Trains all seeds of a job in a run folder, from its last checkpoint if it is resumed."""
    with warnings.catch_warnings():
        # What these say is printed by the command, with more about the run.
        said = "training (diverged|was stopped|is to end)|one category takes|the categories carry"
        warnings.filterwarnings("ignore", said, RuntimeWarning)
        if job.numbers is not None:
            return choosing.train(job, config, found, folder, called, mesh)
        return fit(
            settings.seed_keys(job),
            config,
            found.train,
            found.valid,
            recipe=training,
            folder=folder,
            resume=job.options.resume,
            callbacks=called,
            mesh=mesh,
        )


def _callbacks(options: Options) -> list[Any]:
    """The callbacks of the command, and those that the user named."""
    return [
        callbacks.Bar(quiet=options.quiet, always=True),
        callbacks.Interrupt((signal.SIGINT, signal.SIGTERM)),
        callbacks.Checkpoint(every=options.checkpoint_every),
        *(_callback(name) for name in ("tensorboard",) * options.tensorboard + options.callback),
    ]


def _callback(name: str) -> Any:
    """A registered callback; a class, or a function without parameters, is called to make it."""
    part = CALLBACKS[name]
    if isinstance(part, type) or (callable(part) and not signature(part).parameters):
        return part()
    return part


def _stopped(number: signal.Signals, epoch: int) -> int:
    """Says that a signal stopped the training, and returns the exit code that shells expect."""
    print(
        f"stopped by {number.name} after epoch {epoch} and saved; the same command with --resume continues from there.",
        flush=True,
    )
    return 128 + number


def _report(
    job: Job,
    record: dict[str, Any],
    training: Training,
    found: Dataset,
    folder: RunFolder,
    result: Fit,
    mesh: Mesh | None,
) -> None:
    """Prints how training ended, scores every seed, and draws and reports the best one."""
    history = folder.lines(run_folder.LOG)
    trained = _trained(job, result)
    print(outcome(trained, training, history, best_seed(result.state), result.stopped), flush=True)
    options = job.options
    tighter = Tighter(
        samples=options.log_likelihood,
        images=options.likelihood_images,
        progress=None if options.quiet else _progress,
        refine=options.refine,
    )
    best = report.write_scores(
        folder,
        found,
        trained,
        training,
        record,
        bound_samples=options.bound_samples,
        tighter=tighter,
        mesh=mesh,
    )
    print(scores.summary(best), flush=True)
    if processes.first():
        seed, params = trained.seeds[trained.best], trained.params[trained.best]
        report.draw_pictures(folder, seed, found, params, history)
        report.write_page(folder, seed, found, params)


def _trained(job: Job, result: Fit) -> report.Trained:
    """What training left, for the report."""
    state = result.state
    return report.Trained(
        seeds=job.seeds,
        params=result.seeds,
        valid_bounds=state.best_bound.tolist(),
        best_epochs=state.best_epoch.tolist(),
        epochs=int(state.epoch[0]),
        stopped_early=bool(state.stopped.all()),
    )


def outcome(
    trained: report.Trained,
    training: Training,
    history: Sequence[dict[str, Any]],
    place: int = 0,
    stopped: str | None = None,
) -> str:
    """Sentences on how training ended.

    Args:
      trained: what it left.
      training: the settings.
      history: the lines of the log.
      place: the place of the best seed in those lines.
      stopped: the reason that a callback gave for stopping, if one did.
    """
    best = trained.best
    notes = [diagnosis.skips(history), diagnosis.came_apart(history, place)]
    several = len(trained.seeds) > 1
    kept = f"; kept seed {trained.seeds[best]} of {len(trained.seeds)}" if several else ""
    early, most = "early stopping", f"the most epochs, {training.epochs}"
    why = stopped or (early if trained.stopped_early else most)
    minutes = sum(line["seconds"] for line in history) / 60
    ended = (
        f"trained {trained.epochs} epochs in {minutes:.1f} minutes, ended by {why}; best validation "
        f"bound {trained.valid_bounds[best]:.2f} nats at epoch {trained.best_epochs[best]}{kept}"
    )
    return "\n".join([ended, *(f"note: {note}" for note in notes if note)])


def _progress(done: int, total: int) -> None:
    print(f"\rlog-likelihood: {done} of {total} examples", end="", file=sys.stderr, flush=True)
    if done == total:
        print(file=sys.stderr)
