"""How good generated images are: `python -m experiments.generation RUN... --classifier FOLDER`.

Means of p(x|z, c), grey images, are compared with the grey test images in the features of the
classifier of `experiments.classifier`. Held-out real images get the same scores, as the ceiling,
and images whose pixels are shuffled, as the floor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import Params, UserError, checks, generation, priors
from experiments import classifier, extend, folder, options, provenance
from experiments.classifier import Classifier
from experiments.data import Dataset, load

NUM, DRAWS = 10_000, 5
"""Images a draw, and draws."""

REAL = "real"
"""Name of the file of ceiling and floor, after that of the data set."""


class Judge:
    """The test images of a data set as a classifier sees them; scores sets of images."""

    def __init__(self, data: Dataset, classifier: Classifier) -> None:
        self.data, self.classifier = data, classifier
        self.real = classifier.features(data.test)
        self.manifold = generation.Manifold(self.real)

    def scores(self, images: np.ndarray) -> dict[str, float]:
        """Every score of images [N, H, W] that needs no category."""
        features, classes = self.classifier.features(images), self.classifier.classify(images)
        return {
            "frechet": generation.frechet_distance(self.real, features),
            **self.manifold.scores(features),
            "class_entropy": generation.class_entropy(classes),
        }

    def purity(self, images: np.ndarray, categories: np.ndarray) -> float:
        """The share of a category's images that are of its main class, see `generation.purity`."""
        return generation.purity(self.classifier.classify(images), categories)


def score(
    params: Params, judge: Judge, key: jax.Array, *, num: int = NUM, draws: int = DRAWS
) -> dict[str, Any]:
    """The scores of a model's samples: mean and standard deviation over `draws` of `num` each.

    For `purity` the categories are drawn equally often; it is left out where there are none.
    """

    def once(key: jax.Array) -> dict[str, float]:
        key_all, key_each = jax.random.split(key)
        result = judge.scores(np.asarray(cpvae_jax.sample(params, key_all, num=num)))
        if not priors.of(params.config).single:
            categories = np.arange(num) % params.config.K
            x = cpvae_jax.sample(params, key_each, category=categories, num=num)
            result["purity"] = judge.purity(np.asarray(x), categories)
        return result

    return _spread([once(k) for k in jax.random.split(key, draws)])


def ceiling(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of real images: `num` of the training part, or half of it, another choice a draw.

    Models have seen them; the judge's reference, the test part, has not.
    """
    return _of_real(judge, seed, num, draws, lambda rng, x: x)


def floor(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of training images whose pixels are shuffled, each image in its own way."""

    def shuffled(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        return rng.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)

    return _of_real(judge, seed, num, draws, shuffled)


def _of_real(
    judge: Judge,
    seed: int,
    num: int,
    draws: int,
    change: Callable[[np.random.Generator, np.ndarray], np.ndarray],
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    train = judge.data.train
    count = min(num, len(train) // 2)
    found = []
    for _ in range(draws):
        images = train[rng.choice(len(train), count, replace=False)]
        found.append(judge.scores(change(rng, images)))
    return {**_spread(found), "images": count}


def _spread(draws: Sequence[dict[str, float]]) -> dict[str, Any]:
    result = {}
    for name in draws[0]:
        values = [draw[name] for draw in draws]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        result[name] = {"mean": float(np.mean(values)), "std": spread}
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m experiments.generation",
        description="Score the samples of finished runs against the test images of their data.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of one data set")
    parser.add_argument(
        "--classifier", type=Path, required=True, help="folder that experiments.classifier wrote"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the scores, a file a run"
    )
    parser.add_argument("--num", type=int, default=NUM, help="images a draw")
    parser.add_argument("--draws", type=int, default=DRAWS, help="independent draws")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    options.add_data(parser, dataset=False)
    extend.add_flag(parser)
    chosen = parser.parse_args(arguments)
    try:
        score_runs(chosen, provenance.describe(arguments, program="experiments.generation"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def score_runs(chosen: argparse.Namespace, session: dict[str, Any]) -> None:
    """Score every run that has no file yet, and real images if they have none."""
    checks.at_least("--num", chosen.num, 100)
    checks.at_least("--draws", chosen.draws, 1)
    extend.run(chosen.extend)
    judge_of = classifier.read(chosen.classifier)
    name = judge_of.about["data"]
    for path in chosen.runs:
        if not (path / folder.SCORES).exists():
            raise UserError(
                f"{path} holds no finished run; give folders that experiments.run made."
            )
        found = folder.read(path / folder.CONFIG).get("dataset")
        if found != name:
            raise UserError(
                f"{path} is a run on {found}, but the classifier of {chosen.classifier} was trained "
                f"on {name}; give runs of one data set, and its classifier."
            )
    judge = Judge(load(name, **options.places(chosen)), judge_of)
    settings = {"num": chosen.num, "draws": chosen.draws, "seed": chosen.seed}
    settings |= {"classifier": judge_of.about, "reference": f"{len(judge.real)} test images"}
    common: dict[str, Any] = {**settings, "session": session}
    out = folder.RunFolder(chosen.out)
    with folder.writing(chosen.out):
        chosen.out.mkdir(parents=True, exist_ok=True)
    limits = {"num": chosen.num, "draws": chosen.draws}
    real = f"{name}-{REAL}.json"
    if not (chosen.out / real).exists():
        scores = {
            "ceiling": ceiling(judge, chosen.seed, **limits),
            "floor": floor(judge, chosen.seed, **limits),
            "class_entropy_of_test": generation.class_entropy(judge_of.classify(judge.data.test)),
        }
        out.write_json(real, {**scores, **common})
    for path in chosen.runs:
        file = f"{path.resolve().name}.json"
        if not (chosen.out / file).exists():
            scores = score(cpvae_jax.load(path), judge, jax.random.key(chosen.seed), **limits)
            out.write_json(file, {**scores, **common})
        print(f"{file}: {summary(json.loads((chosen.out / file).read_text()))}", flush=True)


def summary(scores: dict[str, Any]) -> str:
    """The scores of a file on one line."""
    return ", ".join(
        f"{name} {value['mean']:.3f}" for name, value in scores.items() if _is_score(value)
    )


def _is_score(value: Any) -> bool:
    return isinstance(value, dict) and "mean" in value


if __name__ == "__main__":
    sys.exit(main())
