"""The card of a model: a page for people that says what it is, how good it is, and how to load it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.deployment.programs import Input, Program
from cpvae_jax.types import Params

FILE = "README.md"

LOAD_SAVED = """import cpvae_jax

params = cpvae_jax.load("FOLDER")  # the path of this folder
"""

LOAD = {
    "onnx": """import numpy as np
import onnxruntime

sampler = onnxruntime.InferenceSession("FOLDER/sampler.onnx")
{arrays}
(x,) = sampler.run(None, {{{named}}})
""",
    "stablehlo": """from pathlib import Path

import jax
import numpy as np

sampler = jax.export.deserialize(bytearray(Path("FOLDER/sampler.stablehlo").read_bytes()))
{arrays}
x = sampler.call({called})
""",
}
"""How to draw ten examples, by format"""


def of_saved(params: Params, record: Mapping[str, Any]) -> bytes:
    """The card of a folder that `save` wrote; `record` holds what is known about the training."""
    return _card(params, record, [], LOAD_SAVED)


def of_exported(
    params: Params, record: Mapping[str, Any], programs: Sequence[Program], format: str
) -> bytes:
    """The card of a folder that `export` wrote."""
    sampler = programs[-1]
    load = LOAD[format].format(
        arrays="\n".join(f"{given.name} = {_ten(given)}" for given in sampler.inputs),
        named=", ".join(f'"{given.name}": {given.name}' for given in sampler.inputs),
        called=", ".join(given.name for given in sampler.inputs),
    )
    return _card(params, record, _files(programs, format), load)


def _ten(given: Input) -> str:
    """Python for ten values of an input of the sampler."""
    shape = "".join(f", {size}" for size in given.shape)
    if given.dtype == "int32":
        return "np.zeros(10, np.int32)"
    if given.name == "pick":
        return "np.random.default_rng(1).random(10, np.float32)"
    return f"np.random.default_rng(0).standard_normal((10{shape}), np.float32)"


def _card(params: Params, record: Mapping[str, Any], files: Sequence[str], load: str) -> bytes:
    config = params.config
    lines = [
        f"# {_title(config)}",
        "",
        f"A variational autoencoder ({params!r}), trained with cpvae_jax. {_purpose(config)}",
        "",
        "## Configuration",
        "",
        *_table(("setting", "value"), config.to_dict().items()),
        *_section("Data", _data(record)),
        *_section("Scores", _scores(record)),
        *files,
        *_section("Limits", _limits(config)),
        "",
        "## Load it",
        "",
        f"```python\n{load}```",
        "",
        "`weights.safetensors` holds every array of the model by its name, and the configuration as "
        "JSON in its metadata.",
    ]
    # A path that is no UTF-8 may be the name of the data.
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _title(config: Config) -> str:
    count = config.categories
    return f"Model {config.model}" + (f" of {count} categories" if count > 1 else "")


def _purpose(config: Config) -> str:
    if config.categories == 1:
        return "It gives a code for each example, and new examples from codes."
    return "It splits unlabelled data into categories, and generates new examples of each."


def _files(programs: Sequence[Program], format: str) -> list[str]:
    """What the programs take and give."""
    rows = []
    for program in programs:
        given = "; ".join(
            f"`{i.name}` {_axes(i.shape)} {i.dtype}: {i.meaning}" for i in program.inputs
        )
        gives = "; ".join(f"`{name}`: {what}" for name, what in program.outputs.items())
        rows.append((f"`{program.name}.{format}`", given, gives))
    return ["", "## Files", "", *_table(("file", "inputs, in order", "outputs, in order"), rows)]


def _axes(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, ('B', *shape)))}]"


def _limits(config: Config) -> list[str]:
    words = likelihoods.of(config).description
    return [
        f"It takes examples of shape {config.shape} in the unit of the training data. Exported "
        "programs take float32, and grey levels from 0 to 1.",
        f"Likelihood `{config.likelihood}`" + (f": {words}." if words else "."),
        "Categories are groups that the training found without labels; their numbers mean nothing. "
        "Each example gets probabilities of all of them, also one that is unlike the training data.",
        "Scores hold for data like the training data.",
    ]


def _data(record: Mapping[str, Any]) -> list[str]:
    name = _at(record, "config", "dataset", kind=str)
    source = _at(record, "source", kind=str)
    counts = [
        f"{number} {words}"
        for part, words in (("train", "training"), ("valid", "validation"), ("test", "test"))
        if (number := _at(record, "examples", part, kind=int)) is not None
    ]
    return [
        *([f"Name: {PurePath(name).name}"] if name else []),
        *([f"Source: {source}"] if source else []),
        *([f"Examples: {', '.join(counts)}"] if counts else []),
    ]


def _scores(record: Mapping[str, Any]) -> list[str]:
    numbers: dict[str, tuple[tuple[str, ...], str]] = {
        "Validation bound, in nats per example": (("valid_bound",), ".2f"),
        "Test bound, in nats per example": (("test_bound", "mean"), ".2f"),
        "Log-likelihood of test examples, in nats": (("log_likelihood", "mean"), ".2f"),
        "Hungarian accuracy against labels that training never saw": (
            ("clustering", "accuracy_hungarian"),
            ".3f",
        ),
        "The same of k-means": (("baselines", "kmeans", "accuracy_hungarian"), ".3f"),
        "The same of a Gaussian mixture": (("baselines", "mixture", "accuracy_hungarian"), ".3f"),
    }
    return [
        f"{words}: {found:{digits}}"
        for words, (path, digits) in numbers.items()
        if (found := _at(record, *path, kind=float)) is not None
    ]


def _at(record: Any, *path: str, kind: type) -> Any:
    """A value inside nested dictionaries; None if it is missing, or of another type."""
    for key in path:
        record = record.get(key) if isinstance(record, Mapping) else None
    wanted = (int, float) if kind is float else kind
    return record if isinstance(record, wanted) and not isinstance(record, bool) else None


def _section(title: str, items: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {item}" for item in items)] if items else []


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    body = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *body]
