"""The parameters of one of our models under the names that the PyTorch one gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Layer = Mapping[str, Any]
"""`kernel`, `bias`, and `category` where the layer meets one: arrays."""


def named(params: Any) -> dict[str, np.ndarray]:
    """A state for `load_state_dict`, of a model with two gated layers a network."""
    encoder, decoder, model = params.encoder, params.decoder, params.config.model
    if model == "cp":
        heads = np.concatenate([encoder[name]["category"] for name in ("mean", "log_var")], 1)
        return {
            **_gated("encoder", encoder["trunk"]),
            **_linear("category", encoder["logits"]),
            **_linear("z_from_h", encoder["mean"], encoder["log_var"]),
            "z_from_c": heads,
            **_decoder("decoder", decoder["trunk"], decoder["output"]),
            "prior_mean": np.asarray(params.prior["mean"]),
            "prior_log_var": np.asarray(params.prior["log_var"]),
        }
    pseudo_inputs = {name: np.asarray(a) for name, a in params.prior.items() if model != "vae"}
    levels = _two_levels(encoder["below"], decoder) if model == "hvp" else _one_level(decoder)
    return {
        **_gaussian("encoder", encoder["trunk"], encoder),
        **{f"levels.{name}": array for name, array in levels.items()},
        **pseudo_inputs,
    }


def _one_level(decoder: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return _decoder("decoder", decoder["trunk"], decoder["output"])


def _two_levels(below: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {
        **_linear("posterior_x.linear", below["x"]),
        **_linear("posterior_z.linear", below["top"]),
        **_gaussian("posterior", below["joint"], below),
        **_gaussian("prior", decoder["prior"]["trunk"], decoder["prior"]),
        **_linear("decoder_z1.linear", decoder["code"]),
        **_linear("decoder_z.linear", decoder["top"]),
        **_decoder("decoder", decoder["joint"], decoder["output"]),
    }


def _linear(name: str, *layers: Layer) -> dict[str, np.ndarray]:
    """One layer, or several that share a product; rows that meet the category come last."""
    kernels = [np.concatenate([layer["kernel"], *_rows(name, layer)]) for layer in layers]
    return {
        f"{name}.weight": np.concatenate(kernels, axis=1).T.copy(),
        f"{name}.bias": np.concatenate([layer["bias"] for layer in layers]),
    }


def _rows(name: str, layer: Layer) -> list[Any]:
    """Rows of the category; those of the heads of z are a table of their own."""
    return [layer["category"]] if "category" in layer and name != "z_from_h" else []


def _gated(name: str, layers: Sequence[Layer]) -> dict[str, np.ndarray]:
    parts = (_linear(f"{name}.{i}.linear", layer) for i, layer in enumerate(layers))
    return {key: array for part in parts for key, array in part.items()}


def _gaussian(name: str, layers: Sequence[Layer], heads: Mapping[str, Layer]) -> dict[str, Any]:
    head = _linear(f"{name}.{len(layers)}", heads["mean"], heads["log_var"])
    return {**_gated(name, layers), **head}


def _decoder(name: str, layers: Sequence[Layer], output: Layer) -> dict[str, np.ndarray]:
    return {**_gated(name, layers), **_linear(f"{name}.{len(layers)}", output)}
