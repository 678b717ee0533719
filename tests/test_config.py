"""Configurations: what is refused, short names, and dictionaries old and new."""

import json
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest

from cpvae_jax import Config, Training, UserError, config, likelihoods
from cpvae_jax.registry import LIKELIHOODS, NETWORKS, POSTERIORS, PRIORS, parts_of_model


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (0, 3)}, r"shape is \(0, 3\)"),
        ({"K": 0}, "K is 0; it must be at least 1"),
        ({"K": 2.0}, "K is 2.0; it must be a whole number"),
        ({"K": np.float32(2)}, r"K is np.float32\(2.0\); it must be a whole number"),
        ({"K": "3"}, "K is '3'; it must be a whole number"),
        ({"K": None}, "K is None; it must be a whole number"),
        ({"latent": 0}, "latent is 0"),
        ({"latent": 1.5}, "latent is 1.5"),
        ({"hidden": ()}, r"hidden is \(\)"),
        ({"hidden": (8, 0)}, r"hidden is \(8, 0\)"),
        ({"hidden": (4,) * 101}, "give the widths of 1 to 100 layers"),
        ({"hidden": 300}, r"hidden is 300; give whole numbers, such as \(300, 300\)"),
        ({"shape": "28"}, "shape is '28'; give whole numbers"),
        ({"shape": (2.5,)}, "shape is 2.5; it must be a whole number"),
        ({"shape": np.array(5)}, "shape is array"),
        ({"shape": {3, 1}}, "shape is {1, 3}"),
        ({"K": True}, "K is True"),
        ({"levels": 3}, "levels is 3; choose 1 or 2"),
        ({"levels": 0}, "levels is 0"),
        ({"levels": True}, "levels is True"),
        ({"scale": "wide", "likelihood": "gaussian"}, "scale is 'wide'"),
        ({"scale": 10**400, "likelihood": "gaussian"}, "scale is 1000"),
        ({"scale": 0.0, "likelihood": "gaussian"}, "scale is 0.0"),
        ({"scale": float("nan"), "likelihood": "gaussian"}, "scale is nan"),
        ({"binarise": "maybe"}, "'maybe'; choose one of dynamic, threshold, none"),
        ({"category_prior": "equal"}, "'equal'; choose one of uniform, learned"),
        ({"K": 3, "groups": (0, 1)}, r"groups is \(0, 1\); give a category for each of the 3"),
        ({"K": 3, "groups": (0, 2, 2)}, "number the categories from 0 without a gap"),
        ({"K": 3, "groups": (-1, -1, -1)}, "keep at least one"),
        ({"K": 3, "groups": (0, -2, 1)}, "number the categories from 0 without a gap"),
        ({"K": 3, "groups": 0}, "groups is 0; give whole numbers"),
        ({"K": 3, "groups": (0, 0.5, 1)}, "groups is 0.5; it must be a whole number"),
    ],
)
def test_a_value_out_of_range_is_refused(options, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        Config(**({"shape": (3,)} | options))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("seam", "names"),
    [
        ("network", NETWORKS),
        ("posterior", POSTERIORS),
        ("prior", PRIORS),
        ("likelihood", LIKELIHOODS),
    ],
)
@pytest.mark.parametrize("name", ["nothing", "", None, 3, ["cp"], ("cp",)], ids=str)
def test_an_unknown_part_is_refused_and_the_known_ones_are_listed(seam, names, name):
    with pytest.raises(UserError, match=f"^{seam} is ") as error:
        Config(shape=(3,), **{seam: name})
    assert f"choose one of {', '.join(names.names())}" in str(error.value)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("K", [2, 10])
def test_a_prior_with_one_component_has_one_category(levels, K):
    with pytest.raises(UserError, match=f"K is {K}, but the prior 'vae' has a single component"):
        Config(shape=(3,), K=K, prior="vae", levels=levels)
    assert Config(shape=(3,), K=1, prior="vae", levels=levels).K == 1


def test_options_of_another_likelihood_are_refused():
    with pytest.raises(UserError, match=r"scale is 0.5, which the likelihood 'bernoulli' does not"):
        Config(shape=(3,), scale=0.5)
    for binarise in ("none", "threshold"):
        with pytest.raises(UserError, match=f"binarise is '{binarise}', which the likelihood"):
            Config(shape=(3,), likelihood="gaussian", binarise=binarise)
    Config(shape=(3,), likelihood="gaussian", binarise="dynamic")  # the default means nothing


def test_the_check_of_a_network_is_called():
    def check(config):
        if config.hidden[-1] % 2:
            raise UserError("the last width must be even.")

    NETWORKS.register("even", NETWORKS["gated"]._replace(check=check))
    try:
        Config(shape=(3,), hidden=(3, 4), network="even")
        with pytest.raises(UserError, match="the last width must be even"):
            Config(shape=(3,), hidden=(4, 3), network="even")
        with pytest.raises(UserError, match="the last width must be even"):
            replace(Config(shape=(3,), hidden=(4,), network="even"), hidden=(5,))
    finally:
        NETWORKS.forget("even")


def test_a_likelihood_of_your_own_reads_the_options_that_it_names():
    likelihoods.register("wide", LIKELIHOODS["gaussian"]._replace(options=("scale", "binarise")))
    try:
        assert Config(shape=(3,), likelihood="wide", scale=2, binarise="none").scale == 2.0
    finally:
        LIKELIHOODS.forget("wide")


@pytest.mark.parametrize("prior", PRIORS.names())
@pytest.mark.parametrize("levels", [1, 2])
def test_prior_and_levels_are_two_fields_with_one_short_name(prior, levels):
    K = 1 if PRIORS[prior].single else 4
    found = Config(shape=(3,), K=K, prior=prior, levels=levels)
    assert found.model == ("h" if levels == 2 else "") + prior
    assert Config.of_model(found.model, shape=(3,), K=K) == found
    assert parts_of_model(found.model) == (prior, levels)
    assert "model" not in {field.name for field in fields(Config)}
    with pytest.raises(TypeError):
        Config(shape=(3,), model=prior)


@pytest.mark.parametrize("model", ["gan", "hgan", "h", "", "hhcp", None, 3, ["cp"]], ids=str)
def test_an_unknown_model_is_refused(model):
    with pytest.raises(UserError, match=r"^model is .*; choose one of cp, full, .*hcp, hfull"):
        Config.of_model(model, shape=(3,))


def test_a_prior_of_your_own_whose_name_starts_with_h_is_not_read_as_two_levels():
    PRIORS.register("hexagon", PRIORS["mg"])
    try:
        assert parts_of_model("hexagon") == ("hexagon", 1)
        assert parts_of_model("hhexagon") == ("hexagon", 2)
        assert Config.of_model("hhexagon", shape=(3,)).model == "hhexagon"
    finally:
        PRIORS.forget("hexagon")


# Dictionaries


def test_configurations_are_records_that_json_can_hold():
    real = partial(Config, likelihood="gaussian")
    config = real(shape=[2, 3], hidden=[8], scale=0.5)
    numpys = real(
        shape=np.array([2, 3]),
        hidden=(np.int64(8),),
        K=np.int32(10),
        latent=np.uint8(40),
        levels=np.int64(1),
        scale=np.float32(0.5),
    )
    assert json.loads(json.dumps(numpys.to_dict())) == json.loads(json.dumps(config.to_dict()))
    assert config == numpys == real(shape=(2, 3), hidden=(8,), scale=0.5)
    assert hash(config) == hash(numpys)
    assert type(numpys.K) is int
    assert config.size == 6
    assert Config.from_dict(config.to_dict()) == config
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(UserError, match="has the unknown keys colour, size; load it with"):
        Config.from_dict(config.to_dict() | {"size": 3, "colour": 1})


def test_a_dictionary_without_a_shape_is_not_that_of_a_model():
    with pytest.raises(UserError, match="no key 'shape'"):
        Config.from_dict({"K": 3})


OLD = {
    "shape": [28, 28],
    "K": 500,
    "latent": 40,
    "hidden": [300, 300],
    "likelihood": "bernoulli",
    "scale": None,
    "binarise": "dynamic",
    "model": "hvp",
}
"""A configuration as the first runs of version 0.1.0 stored it."""


def test_an_old_dictionary_names_prior_and_levels_by_its_model():
    found = Config.from_dict(OLD)
    assert found == Config(shape=(28, 28), K=500, prior="vp", levels=2)
    assert OLD["model"] == "hvp"  # the caller's dictionary stays as it is
    assert found.model == "hvp"
    assert Config.from_dict({**OLD, "model": "cp"}).levels == 1
    assert Config.from_dict({k: v for k, v in OLD.items() if k != "model"}).model == "cp"
    with pytest.raises(UserError, match="model is 'gan'"):
        Config.from_dict({**OLD, "model": "gan"})


def test_every_option_has_a_help_text_and_every_default_is_valid():
    for record in (Config(shape=(3,)), Training()):
        for field in fields(record):
            if field.name != "shape":
                assert field.metadata["help"], field.name
        assert replace(record) == record
    assert set(config.OPTIONS) <= {field.name for field in fields(Config)}
    for name in LIKELIHOODS.names():
        assert set(LIKELIHOODS[name].options) <= set(config.OPTIONS)


# Settings of training


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"learning_rate": 0}, "learning_rate is 0; it must be a positive number"),
        ({"learning_rate": True}, "learning_rate is True"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature_end": float("inf")}, "temperature_end is inf"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"batch_size": 10.0}, "batch_size is 10.0; it must be a whole number"),
        ({"epochs": 0}, "epochs is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"warmup": -1}, "warmup is -1; it must be at least 0"),
        ({"decay_epochs": -1}, "decay_epochs is -1"),
        ({"temperature_epochs": 1.5}, "temperature_epochs is 1.5"),
        ({"estimator": "hard"}, "'hard'; choose one of relaxed, straight-through, exact"),
        ({"precision": "half"}, "'half'; choose one of float32, tensorfloat32, bfloat16"),
        ({"objective": "elbow"}, "objective is 'elbow'; choose one of bound"),
        ({"averaging": 1}, "averaging is 1; it must be a finite number from 0 and below 1"),
        ({"averaging": -0.1}, "averaging is -0.1; it must be a finite number from 0"),
        ({"averaging": "0.9"}, "averaging is '0.9'"),
        ({"free_bits": -1}, "free_bits is -1; it must be a finite number from 0"),
        ({"free_bits": float("inf")}, "free_bits is inf; it must be a finite number"),
        ({"free_bits": float("nan")}, "free_bits is nan"),
        (
            {"regularisers": (("nothing", 1.0),)},
            "regulariser is 'nothing'; choose one of anchor, balance",
        ),
        ({"regularisers": "balance"}, "regularisers is 'balance'; give pairs"),
        ({"regularisers": ("balance",)}, "give pairs of a name and a weight"),
        ({"regularisers": 3}, "regularisers is 3; give pairs"),
        ({"regularisers": (("balance", "much"),)}, "weight of 'balance' in regularisers is not"),
        ({"regularisers": {"balance": float("inf")}}, "weight of 'balance' in regularisers is not"),
    ],
)
def test_settings_of_training_out_of_range_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        Training(**options)
    assert "\n" not in str(error.value)


def test_settings_of_training_are_plain_and_hashable():
    given = Training(
        learning_rate=np.float32(0.5), epochs=np.int64(3), regularisers={"balance": np.float64(2)}
    )
    assert given == Training(learning_rate=0.5, epochs=3, regularisers=[["balance", 2]])
    assert given.regularisers == (("balance", 2.0),)
    assert type(given.epochs) is int
    assert type(given.learning_rate) is float
    assert isinstance(hash(given), int)


def test_groups_decide_the_number_of_categories():
    merged = Config(shape=(3,), K=4, groups=[np.int64(0), 1, -1, 0])
    assert merged.groups == (0, 1, -1, 0)
    assert (merged.K, merged.categories) == (4, 2)
    assert Config(shape=(3,), K=4).categories == 4
    assert Config(shape=(3,), K=3, groups=(0, 1, 2)) == Config(shape=(3,), K=3)
    assert Config.from_dict(json.loads(json.dumps(merged.to_dict()))) == merged
    assert Config.from_dict({**OLD, "K": 3}).groups is None
