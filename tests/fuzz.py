"""Damages every kind of file that is read, at random, and looks at what the reader does.

    python -m tests.fuzz --num 1000 --out results/reliability/fuzz.json

A reader may refuse a damaged file with a `UserError` that names it, or return the original
contents. Anything else, another exception or other contents, is a finding; where a format has no
checksum (a log, a bitmap), other contents are counted and allowed. The memory of the process is
watched throughout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from scipy.io import savemat

import cpvae_jax
from cpvae_jax import Config, Training, UserError
from cpvae_jax.data import Places, images, npz
from cpvae_jax.data.cache import cached
from cpvae_jax.storage import checkpoint, run_folder
from cpvae_jax.training import program
from cpvae_jax.training.step import TrainState
from experiments import classifier
from experiments.data import omniglot_mat
from tests import old_models

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,))


class Kind(NamedTuple):
    """A kind of file."""

    make: Callable[[Path], None]
    """Writes sound files to a folder"""
    read: Callable[[Path], Any]
    """Reads them; what it returns is compared"""
    unprotected: bool = False
    """Whether the format cannot detect changed contents"""


@cache
def _params() -> cpvae_jax.Params:
    return cpvae_jax.initialise(jax.random.key(0), CONFIG)


@cache
def _state() -> TrainState:
    keys = jax.random.split(jax.random.key(0), 2)
    return program.begin(program.program(Training(), 1), keys, CONFIG)


def _make_old_model(path: Path) -> None:
    """A model of format 1."""
    old_models.unpack(path)
    for other in path.iterdir():
        if other.name != "grey-vp":
            shutil.rmtree(other)


def _make_state(path: Path) -> None:
    with checkpoint.open_for(path) as steps:
        steps.write(1, _params(), _state())


def _read_state(path: Path) -> Any:
    with checkpoint.open_for(path) as steps:
        last = steps.latest()
        state = None if last is None else steps.read_state(last, _state())
    if state is None:
        raise UserError(f"{path} is empty")
    return state.replace(key=jax.random.key_data(state.key))


SETTINGS = {"dataset": "digits", "seed": 0, "model": {"K": 3}, "training": {"learning_rate": 1e-3}}


def _make_run(path: Path) -> None:
    with run_folder.open_run(path, SETTINGS, resume=False):
        pass


def _read_run(path: Path) -> None:
    """Opens the run, which checks every one of these settings."""
    with run_folder.open_run(path, SETTINGS, resume=True):
        pass


def _make_log(path: Path) -> None:
    for epoch in range(1, 9):
        run_folder.RunFolder(path).append(run_folder.LOG, {"epoch": epoch, "bound": -epoch / 7})


def _read_log(path: Path) -> Any:
    return run_folder.RunFolder(path).lines(run_folder.LOG)


ARRAYS = {"x": np.arange(1200, dtype=np.uint8).reshape(100, 12), "y": np.arange(100) % 3}


def _source(path: Path) -> Path:
    source = path.with_name("source")
    source.mkdir(exist_ok=True)
    return source


def _read_cache(path: Path) -> Any:
    source = _source(path)
    return cached(path, "some", source, source.iterdir(), lambda: dict(ARRAYS))


def _make_npz(path: Path) -> None:
    np.savez(path / "some.npz", **ARRAYS)
    np.savez_compressed(path / "packed.npz", **ARRAYS)


def _read_npz(path: Path) -> Any:
    return [_parts(npz.load(path / name)) for name in ("some.npz", "packed.npz")]


def _parts(data: Any) -> Any:
    return data.train, data.valid, data.test, data.train_labels, data.class_names


def _make_images(suffixes: Sequence[str]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        rng = np.random.default_rng(0)
        for number in range(6):
            for suffix in suffixes:
                pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(path / f"{number}{suffix}")

    return make


def _read_images(path: Path) -> Any:
    with tempfile.TemporaryDirectory() as cache:  # an old cache would hide the damage
        return _parts(images.load(path, Places(path, path, Path(cache))))


def _make_mat(path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "data": rng.random((784, 40)),
        "testdata": rng.random((784, 20)),
        "target": np.eye(5)[:, rng.integers(0, 5, 40)],
        "testtarget": np.eye(5)[:, rng.integers(0, 5, 20)],
    }
    savemat(path / omniglot_mat.FILE, arrays, do_compression=True)


def _read_mat(path: Path) -> Any:
    if not (path / omniglot_mat.FILE).exists():
        raise UserError(f"{path} has no such file")  # `omniglot.load` would use TFDS
    with tempfile.TemporaryDirectory() as cache:
        data = omniglot_mat.load(Places(path, path, Path(cache)))
    assert data.shape == (28, 28)
    assert "is NOT the file" in data.source
    return _parts(data)


def _make_classifier(path: Path) -> None:
    shape = (1, 8, 8)
    weights = jax.jit(classifier.Net(3).init)(jax.random.key(0), np.zeros(shape, np.float32))
    about = {"classes": 3, "shape": [8, 8], "data": "some", "test_accuracy": 1.0}
    classifier.save(path, classifier.Classifier(weights, 3, about))


def _read_classifier(path: Path) -> Any:
    return classifier.read(path).weights


KINDS = {
    "model": Kind(lambda path: cpvae_jax.save(path, _params()), lambda path: cpvae_jax.load(path)),
    "old model": Kind(_make_old_model, lambda path: cpvae_jax.load(path / "grey-vp")),
    "training state": Kind(_make_state, _read_state),
    "run configuration": Kind(_make_run, _read_run),
    "log of epochs": Kind(_make_log, _read_log, unprotected=True),
    "cache": Kind(lambda path: _read_cache(path) and None, _read_cache),
    "npz": Kind(_make_npz, _read_npz),
    "png": Kind(_make_images([".png"]), _read_images, unprotected=True),
    "other images": Kind(
        _make_images([".jpg", ".bmp", ".gif", ".tif", ".webp"]), _read_images, unprotected=True
    ),
    "chardata.mat": Kind(_make_mat, _read_mat, unprotected=True),
    "classifier": Kind(_make_classifier, _read_classifier),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--num", type=int, default=1000, help="damaged files of each kind")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    chosen = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    found = {}
    for name in chosen.only:
        found[name] = damage(KINDS[name], chosen.num, random.Random(chosen.random))
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if any(result["findings"] for result in found.values()) else 0


def damage(kind: Kind, num: int, rng: random.Random) -> dict[str, Any]:
    """Damages sound files `num` times, one at a time, and counts what the reader does."""
    outcomes: Counter[str] = Counter()
    findings = []
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "files"
        path.mkdir()
        kind.make(path)
        sound = _digest(kind.read(path))
        originals = {file: file.read_bytes() for file in _files(path)}
        before = _peak()
        for number in range(num):
            file = rng.choice(sorted(originals))
            what = _spoil(file, originals[file], rng)
            outcome = _outcome(kind, path, sound)
            outcomes[outcome.split(":")[0]] += 1
            if outcome.startswith("finding"):
                findings.append(f"{number}, {what} in {file.relative_to(path)}: {outcome}")
            for file, content in originals.items():  # a reader may have repaired or removed some
                if not file.exists() or file.read_bytes() != content:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
            for file in _files(path):
                if file not in originals:
                    file.unlink()
    return {**outcomes, "findings": findings, "more_memory_mib": round((_peak() - before) / 1024)}


def _outcome(kind: Kind, path: Path, sound: str) -> str:
    try:
        same = _digest(kind.read(path)) == sound
    except UserError as error:
        return "refused" if str(path) in str(error) else f"finding: no file named in: {error}"
    except Exception as error:
        return f"finding: {type(error).__name__}: {error}"
    return (
        "unchanged" if same else "other contents" if kind.unprotected else "finding: other contents"
    )


def _spoil(file: Path, content: bytes, rng: random.Random) -> str:
    """Damages one file, and tells how."""
    data = bytearray(content)
    how = rng.choice(("cut", "flip", "flip many", "noise", "zeros", "insert", "remove", "empty"))
    at = rng.randrange(len(data)) if data else 0
    if how == "cut":
        del data[at:]
    elif how == "flip" and data:
        data[at] ^= 1 << rng.randrange(8)
    elif how == "flip many" and data:
        for _ in range(rng.randrange(2, 20)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how in ("noise", "zeros"):
        length = rng.randrange(1, 65)
        data[at : at + length] = rng.randbytes(length) if how == "noise" else bytes(length)
    elif how == "insert":
        data[at:at] = rng.randbytes(rng.randrange(1, 65))
    elif how == "empty":
        data.clear()
    if how == "remove":
        file.unlink()
    else:
        file.write_bytes(data)
    return how


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file())


def _digest(value: Any) -> str:
    """A digest of what was read: arrays by type, shape and bytes, anything else by its `repr`."""
    digest = hashlib.sha256()
    for part in _leaves(value):
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, cpvae_jax.Params):
        yield value.config
    for leaf in jax.tree.leaves(value):
        yield np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf


def _peak() -> int:
    """The peak memory of this process, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
