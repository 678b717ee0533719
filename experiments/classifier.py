"""A small convolutional classifier, for scoring only: `python -m experiments.classifier`.

It is trained on the labels of a data set of grey images. Generated images are compared with real
ones in the space of its last hidden layer. No label ever reaches a model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from cpvae_jax import checks
from cpvae_jax.commands import flags, provenance
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.commands.start import start_jax
from cpvae_jax.data import Dataset
from cpvae_jax.data.archive import read_npz
from cpvae_jax.data.labels import known
from cpvae_jax.distributions.precision import exact
from cpvae_jax.errors import UserError
from cpvae_jax.storage import files, run_folder
from experiments.data import load
from experiments.run import Named

PROGRAM = "python -m experiments.classifier"
WEIGHTS, ABOUT = "weights.npz", "classifier.json"
BATCH = 100
SHIFT = 1 / 14
"""Training images are shifted at random by up to this share of their sides: 2 pixels of 28."""
EPOCHS, EPOCHS_OF = 12, {"omniglot": 40}
"""Passes over the training data: enough for 99% on MNIST. Omniglot's 50 alphabets take more."""


class Conv(nn.Module):
    """A strided convolution, computed as one matrix product over shifted views of the padded image.

    On a CPU this is ten times as fast as XLA's own, which is slow inside a loop.
    """

    units: int
    size: int
    stride: int = 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, ⌈H / stride⌉, ⌈W / stride⌉, units]."""
        padding, counts = [(0, 0)], []
        for n in x.shape[1:3]:
            count = -(-n // self.stride)
            more = max((count - 1) * self.stride + self.size - n, 0)
            padding.append((more // 2, more - more // 2))
            counts.append((count - 1) * self.stride + 1)
        x = jnp.pad(x, [*padding, (0, 0)])
        views = [
            x[:, i : i + counts[0] : self.stride, j : j + counts[1] : self.stride]
            for i in range(self.size)
            for j in range(self.size)
        ]
        return nn.Dense(self.units)(jnp.concatenate(views, axis=-1))


class Net(nn.Module):
    """Two strided convolutions, a layer of features, and the logits of the classes."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Grey images [B, H, W] in 0..1 to features [B, 128] and logits [B, classes]."""
        h = nn.relu(Conv(16, 5)(x[..., None]))
        h = nn.relu(Conv(32, 3)(h))
        features = nn.relu(nn.Dense(128)(h.reshape(len(h), -1)))
        return features, nn.Dense(self.classes)(features)


@dataclass(frozen=True)
class Classifier:
    """A trained `Net`, and facts about it."""

    weights: Any
    classes: int
    about: dict[str, Any]
    """data, seed, epochs, test accuracy"""

    def features(self, images: np.ndarray) -> np.ndarray:
        """The features [N, 128] of images [N, H, W]: grey levels, or floats in 0..1."""
        return self._apply(images)[0]

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image, [N]."""
        return np.argmax(self._apply(images)[1], axis=1)

    def _apply(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            _apply(self.weights, _grey(images[start : start + 1000]), classes=self.classes)
            for start in range(0, len(images), 1000)
        ]
        features, logits = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in (0, 1))
        return features, logits


@partial(jax.jit, static_argnames="classes")
@exact
def _apply(weights: Any, images: jax.Array, *, classes: int) -> tuple[jax.Array, jax.Array]:
    features, logits = Net(classes).apply(weights, images)
    return jnp.asarray(features), jnp.asarray(logits)


def _grey(images: np.ndarray | jax.Array) -> jax.Array:
    """Grey levels 0..255, or floats, as floats in 0..1."""
    x = jnp.asarray(images)
    return x / 255 if jnp.issubdtype(x.dtype, jnp.integer) else x


def train(data: Dataset, seed: int = 0, epochs: int | None = None) -> Classifier:
    """Trains a classifier on the training part; its reported accuracy is that of the test part.

    Args:
      data: grey images with labels.
      seed: decides all randomness.
      epochs: passes over the training data; by default those of the data set.

    Raises:
      UserError: the data have no labels, or are not grey images.
    """
    epochs = EPOCHS_OF.get(data.name, EPOCHS) if epochs is None else epochs
    checks.at_least("epochs", epochs, 1)
    images, labels, names = _labelled(data)
    classes = len(names)
    batch = min(BATCH, len(images))
    steps = len(images) // batch
    net, adam = Net(classes), optax.adam(optax.cosine_decay_schedule(2e-3, epochs * steps))
    key_init, key_train = jax.random.split(jax.random.key(seed))
    weights = jax.jit(net.init)(key_init, _grey(images[:1]))
    epoch = _epoch(net, adam, images, labels, batch)
    state = adam.init(weights)
    for number in range(epochs):
        key = jax.random.fold_in(key_train, number)
        weights, state, value = epoch(weights, state, key)
        print(f"epoch {number + 1} of {epochs}, cross-entropy {float(value):.4f}", flush=True)
    found = Classifier(weights, classes, {})
    of_test, has = known(f"{data.name}: the test labels", data.test_labels)
    accuracy = float(np.mean(names[found.classify(data.test[has])] == of_test[has]))
    about = {"data": data.name, "source": data.source, "seed": seed, "epochs": epochs}
    about |= {"classes": classes, "shape": list(data.shape), "test_accuracy": accuracy}
    return Classifier(weights, classes, about)


def _labelled(data: Dataset) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """The training images with a label, the place of each label among the classes, and the classes.

    Raises:
      UserError: the data cannot be classified.
    """
    parts = {"training": data.train_labels, "test": data.test_labels}
    for part, given in parts.items():
        if given is None or not known(f"{data.name}: the {part} labels", given)[1].any():
            raise UserError(
                f"{data.name} has no labels in its {part} part; a classifier needs them."
            )
    if len(data.shape) != 2:
        raise UserError(
            f"an example of {data.name} has shape {data.shape}; the classifier takes grey images "
            "[height, width]."
        )
    labels, has = known(f"{data.name}: the training labels", data.train_labels)
    names, places = np.unique(labels[has], return_inverse=True)
    return jnp.asarray(data.train[np.flatnonzero(has)]), jnp.asarray(places, jnp.int32), names


def _epoch(
    net: Net, adam: optax.GradientTransformation, images: jax.Array, labels: jax.Array, batch: int
) -> Any:
    """A compiled pass over the data: (weights, state, key) to the next two and the mean loss."""
    steps = len(images) // batch

    def loss(weights: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        _, logits = net.apply(weights, x)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    @jax.jit
    def epoch(weights: Any, state: Any, key: jax.Array) -> tuple[Any, Any, jax.Array]:
        key_order, key_shift = jax.random.split(key)
        order = jax.random.permutation(key_order, len(images))[: steps * batch]

        def step(carry: tuple[Any, Any], at: tuple[jax.Array, jax.Array]) -> Any:
            weights, state = carry
            number, index = at
            x = _shifted(jax.random.fold_in(key_shift, number), _grey(images[index]))
            value, gradient = jax.value_and_grad(loss)(weights, x, labels[index])
            updates, state = adam.update(gradient, state)
            return (optax.apply_updates(weights, updates), state), value

        carry, losses = jax.lax.scan(
            step, (weights, state), (jnp.arange(steps), order.reshape(steps, batch))
        )
        return *carry, losses.mean()

    return epoch


def _shifted(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images [B, H, W], each shifted at random."""
    pixels = round(SHIFT * min(x.shape[1:]))
    padded = jnp.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels)))
    starts = jax.random.randint(key, (len(x), 2), 0, 2 * pixels + 1)
    return jax.vmap(lambda a, s: jax.lax.dynamic_slice(a, s, x.shape[1:]))(padded, starts)


def save(path: Path, classifier: Classifier) -> None:
    """Writes a classifier to a folder: its arrays, and the facts about it as JSON."""
    flat = flatten_dict(classifier.weights, sep="/")
    with run_folder.writing(path):
        path.mkdir(parents=True, exist_ok=True)
        np.savez(path / WEIGHTS, allow_pickle=False, **flat)
    run_folder.RunFolder(path).write_json(ABOUT, classifier.about)


def read(path: Path) -> Classifier:
    """Reads the classifier that `save` wrote; `UserError` if there is none, or it is damaged."""
    try:
        about = files.read_json(path / ABOUT)
        _, arrays = read_npz(path / WEIGHTS)
        weights = unflatten_dict(jax.tree.map(jnp.asarray, arrays), sep="/")
        classes, shape = int(about["classes"]), tuple(about["shape"])
        wanted = jax.eval_shape(Net(classes).init, jax.random.key(0), jnp.zeros((1, *shape)))
        if jax.tree.map(jnp.shape, weights) != jax.tree.map(jnp.shape, wanted):
            raise ValueError("other shapes")
    except Exception as error:
        raise UserError(
            f"{path} holds no readable classifier; train one with "
            f"python -m experiments.classifier --out {path}."
        ) from error
    return Classifier(weights, classes, about)


@dataclass(frozen=True)
class Training:
    """How to train, and where to write."""

    out: Path = option(help="folder to write")
    seed: int = option(0, "seed of all randomness", type=flags.seed)
    epochs: int | None = option(
        None,
        f"passes over the training data (default: {EPOCHS}; {EPOCHS_OF['omniglot']} for omniglot)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    named, folders, training = flags.parse(
        arguments,
        program=PROGRAM,
        description="Train the classifier that generated images are scored with.",
        groups={"data": [Named, Folders], "training": [Training]},
    )
    return exit_code(run, named, folders, training, arguments)


def run(
    named: Named, folders: Folders, training: Training, arguments: Sequence[str] | None = None
) -> None:
    """Trains a classifier and writes it to a folder.

    Args:
      named: the data set.
      folders: where the files of data sets are.
      training: how to train, and where to write.
      arguments: the command line that the record shows; by default that of the options.
    """
    if arguments is None:
        arguments = ["--dataset", named.dataset, *flags.written(Training, asdict(training))]
    start_jax()
    data = load(named.dataset, **folders.named())
    found = train(data, training.seed, training.epochs)
    found.about.update(session=provenance.describe(arguments, PROGRAM))
    save(training.out, found)
    print(f"test accuracy {found.about['test_accuracy']:.4f}; written to {training.out}")


if __name__ == "__main__":
    sys.exit(as_process(main))
