"""The parts of the page about the run as a whole: its summary, its warnings and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cpvae_jax.report.html.comparison import BASELINES, signed

MODELS = {
    "cp": "CP-VAE",
    "full": "CP-VAE with full covariances",
    "mg": "VAE with a mixture of Gaussians as prior",
    "vp": "VAE with VampPrior",
    "vae": "VAE with a standard normal prior",
}
"""What the priors that come with the package make of a VAE."""

LEFT_OUT = ("data", "prng", "format", "dataset", "seed", "seeds", "model", "training")
"""Settings that stand elsewhere on the page, or that only a resumed run needs."""


def headline(content: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """A sentence on what was fitted, as HTML."""
    model, examples = scores["config"]["model"], scores["examples"]
    name = MODELS.get(model["prior"], f"VAE with the prior {model['prior']}")
    levels = " on two levels" if model["levels"] == 2 else ""
    categories = f" with {content['categories']} categories" if content["has_categories"] else ""
    if model.get("groups") is not None:
        categories += f", merged from {model['K']} components"
    shape = " × ".join(map(str, content["shape"]))
    unit = (
        "pixels" if "images" in content else "columns" if len(content["shape"]) == 1 else "numbers"
    )
    of_each = "one number" if "density" in content else f"{shape} {unit}"
    return (
        f"<b>{escape(name)}</b>{levels}{categories}, trained without labels on "
        f"{examples['train']:,} examples of {of_each}; validated on {examples['valid']:,}, scored on "
        f"{examples['test']:,}."
    )


def tiles(content: Mapping[str, Any], scores: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """The most important numbers."""
    found = [("True test bound", signed(best["test_bound"]), "nats per example; higher is better")]
    used = best["categories"]
    if content["has_categories"]:
        G = content["categories"]
        found.append(
            (
                "Categories in use",
                f"{used['effective_number']:.1f} <small>of {G}</small>",
                f"effective number; they carry {used['information']:.2f} nats about x",
            )
        )
    scored = best.get("clustering", {})
    if "accuracy_hungarian" in scored:
        beside = [
            f"{BASELINES[name]} {one['accuracy_hungarian']:.3f}"
            for name, one in best.get("baselines", {}).items()
            if "accuracy_hungarian" in one
        ]
        about = "; ".join(["Hungarian", *([", ".join(beside)] if beside else [])])
        found.append(("Accuracy", f"{scored['accuracy_hungarian']:.3f}", about))
    if "stability" in scores:
        stable = scores["stability"]
        spread = f"adjusted Rand index, {stable['min']:.2f} to {stable['max']:.2f} between pairs"
        found.append(("Stability between seeds", f"{stable['mean']:.2f}", spread))
    ended = "early stopping" if scores["stopped_early"] else "the most epochs"
    found.append(
        (
            "Training",
            f"{scores['epochs']} <small>epochs</small>",
            f"{duration(scores['seconds_training'])}, ended by {ended}",
        )
    )
    boxes = (
        f'<div class="tile"><h3>{name}</h3><p class="number">{number}</p><p>{about}</p></div>'
        for name, number, about in found
    )
    return f'<div class="tiles">{"".join(boxes)}</div>'


def health(warnings: Sequence[str]) -> str:
    """The warnings of the run, or that there are none."""
    if not warnings:
        return '<p class="health good"><b>No warnings.</b> No check of the training or of the categories found a fault.</p>'
    items = "".join(f"<li>{escape(words)}</li>" for words in warnings)
    many = f"{len(warnings)} warning{'s' * (len(warnings) != 1)}"
    return f'<div class="health bad"><b>{many}</b><ul>{items}</ul></div>'


def configuration(scores: Mapping[str, Any]) -> str:
    """The settings of the run, and how it was made."""
    config = scores["config"]
    made = {"data": scores["source"], "data set": config["dataset"]}
    made["seeds"] = ", ".join(str(one["seed"]) for one in scores["seeds"])
    made |= {name: value for name, value in config.items() if name not in LEFT_OUT}
    if scores["sessions"]:
        last = scores["sessions"][-1]
        names = ("command", "commit", "device", "python")
        made |= {name: last[name] for name in names if last.get(name)}
        versions = last.get("versions") or {}
        made["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = (("Run", made), ("Model", config["model"]), ("Training", config["training"]))
    tables = "".join(
        f"<div><h3>{title}</h3><table class='settings'><tbody>{_settings(values)}</tbody></table></div>"
        for title, values in parts
    )
    return f'<div class="columns">{tables}</div>'


def _settings(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<tr><th scope='row'>{escape(str(name))}</th><td>{escape(setting(value))}</td></tr>"
        for name, value in values.items()
    )


def setting(value: Any) -> str:
    """A setting as text.

    >>> setting([["balance", 4.0]]), setting(None), setting([300, 300])
    ('balance 4.0', '–', '300, 300')
    """
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(
            " ".join(map(setting, one)) if isinstance(one, list) else setting(one) for one in value
        )
    return str(value)


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(21.2), duration(150), duration(7300)
    ('21 seconds', '2.5 minutes', '2.0 hours')
    """
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
