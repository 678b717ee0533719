"""The look-up tables of parts: names, registering, and what is refused."""

import inspect
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from cpvae_jax import Config, UserError, likelihoods, models, networks, posteriors, priors, registry
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.models import start
from cpvae_jax.networks.base import Network
from cpvae_jax.objectives.views.base import View
from cpvae_jax.posteriors.base import PosteriorFamily
from cpvae_jax.priors.base import Prior
from cpvae_jax.registry import LIKELIHOODS, NETWORKS, OBJECTIVES, POSTERIORS, PRIORS, Registry
from cpvae_jax.training.recipe import Recipe
from cpvae_jax.training.starts.base import Start

TABLES = {name: table for name, table in vars(registry).items() if isinstance(table, Registry)}


def test_there_is_a_table_for_every_seam():
    assert {table.kind for table in TABLES.values()} >= {
        *("network", "posterior", "prior", "likelihood"),
        *("objective", "regulariser", "recipe", "callback"),
    }


@pytest.mark.parametrize("name", TABLES)
def test_every_built_in_part_can_be_imported_and_is_documented(name):
    table = TABLES[name]
    records = {
        "NETWORKS": Network,
        "POSTERIORS": PosteriorFamily,
        "PRIORS": Prior,
        "LIKELIHOODS": Likelihood,
        "RECIPES": Recipe,
        "STARTS": Start,
        "VIEWS": View,
    }
    for part in table.names():
        assert part in table
        found = table[part]
        assert found is table[part]
        if name in records:
            assert isinstance(found, records[name])
        else:
            assert callable(found)
            assert inspect.getdoc(found)


@pytest.mark.parametrize(
    ("package", "table", "field"),
    [
        (networks, NETWORKS, "network"),
        (posteriors, POSTERIORS, "posterior"),
        (priors, PRIORS, "prior"),
        (likelihoods, LIKELIHOODS, "likelihood"),
    ],
)
def test_a_part_of_your_own_is_found_by_the_name_in_a_configuration(package, table, field):
    default = getattr(Config(shape=(3,)), field)
    part = table[default]._replace()
    try:
        package.register("mine", part)
        assert package.names() == [*table.names()[:-1], "mine"]
        assert package.of(Config(shape=(3,), **{field: "mine"})) is part
    finally:
        table.forget("mine")
    assert "mine" not in package.names()
    with pytest.raises(UserError, match=f"{field} is 'mine'"):
        Config(shape=(3,), **{field: "mine"})


@pytest.mark.parametrize("name", TABLES)
def test_the_name_of_a_built_in_part_is_taken(name):
    table = TABLES[name]
    for taken in table.names():
        before = table[taken]
        with pytest.raises(UserError, match="because a built-in one has that name"):
            table.register(taken, object())
        assert table[taken] is before
        table.forget(taken)
        assert table[taken] is before


@pytest.mark.parametrize(
    "name", ["", "two words", "1st", "a/b", "a.b", "--extend", None, 3, ["a"]], ids=repr
)
def test_a_name_must_be_one_word(name):
    table = Registry("colour", {}, "builtins:int")
    with pytest.raises(UserError, match="the name must be a single word"):
        table.register(name, 1)
    assert table.names() == []


def test_names_with_a_dash_and_other_alphabets_are_words():
    table = Registry("colour", {}, "builtins:str")
    for name in ("dark-red", "dark_red", "röt", "x2"):
        table.register(name, name.upper())
        assert table[name] == name.upper()
    assert table.names() == ["dark-red", "dark_red", "röt", "x2"]


def test_another_part_under_a_name_of_your_own_is_refused_and_the_same_one_run_again_is_not():
    def first(training):
        return training

    def second(training):
        return training

    def made():
        def part(training):
            return training

        return part

    table = Registry("objective", {})
    table.register("one", first)
    with pytest.raises(UserError, match="because another one has that name"):
        table.register("one", second)
    assert table["one"] is first
    parts = made(), made()  # as if a notebook cell was run twice
    for part in parts:
        table.register("two", part)
        assert table["two"] is part
    assert table.names() == ["one", "two"]


@pytest.mark.parametrize("table", [NETWORKS, POSTERIORS, PRIORS, LIKELIHOODS, OBJECTIVES])
@pytest.mark.parametrize("part", [None, 3, "cp", (1, 2)], ids=repr)
def test_a_part_of_another_type_is_refused(table, part):
    names = table.names()
    with pytest.raises(UserError, match=f"cannot be registered as a {table.kind}; it must be"):
        table.register("mine", part)
    assert table.names() == names


def test_an_unknown_name_lists_the_known_ones_and_says_how_to_register():
    table = Registry("colour", {"red": "colorsys:rgb_to_hsv"})
    table.register("blue", print)
    with pytest.raises(UserError, match="colour is 'green'; choose one of red, blue, or register"):
        table["green"]
    assert "green" not in table
    table.forget("green")
    table.forget("blue")
    assert table.names() == ["red"]


def test_a_part_must_be_what_such_parts_are():
    with pytest.raises(UserError, match=r"3 cannot be registered as a prior; it must be a .*Prior"):
        priors.register("three", 3)
    assert "three" not in PRIORS


@pytest.mark.parametrize("name", ["hcp", "hvae"])
def test_a_prior_cannot_have_the_short_name_of_a_two_level_model(name):
    with pytest.raises(UserError, match=r"short for .* on two levels; choose another name"):
        priors.register(name, PRIORS["cp"])
    assert name not in PRIORS


def test_the_same_definition_can_run_again_and_another_one_is_refused():
    table = Registry("loader", {})

    def loader():
        def load():
            return None

        return load

    first, again = loader(), loader()
    table.register("mine", first)
    table.register("mine", again)
    assert table["mine"] is again
    with pytest.raises(UserError, match="because another one has that name"):
        table.register("mine", print)
    assert table["mine"] is again


@jax.jit
def log_prior_at_one(params):
    return models.of(params.config).log_prior(params, jnp.ones((1, 1)), jnp.zeros(1, jnp.int32))


@pytest.mark.parametrize("forget_first", [False, True])
def test_replacing_a_part_recompiles_the_programs_that_used_the_old_one(forget_first):
    """A configuration is static under jit, so only its name would keep the old program."""

    def prior_at(place):
        def components(config, weights, encode):
            zero = jnp.zeros((config.K, config.latent))
            return Diagonal(zero + place, zero)

        return Prior(lambda key, config, start: {}, components, inferred=True)

    found = []
    try:
        for place in (1.0, 2.0):
            if forget_first:
                PRIORS.forget("place")
            priors.register("place", prior_at(place))
            config = Config(shape=(3,), K=2, latent=1, hidden=(4,), prior="place")
            found.append(float(log_prior_at_one(start.init(jax.random.key(0), config))[0]))
    finally:
        PRIORS.forget("place")
    assert found[0] - found[1] == pytest.approx(0.5, abs=1e-5)


def test_names_are_known_without_importing_jax():
    code = (
        "import json, sys; from cpvae_jax import registry, config; "
        "print(json.dumps([registry.PRIORS.names(), 'jax' in sys.modules]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(printed) == [PRIORS.names(), False]


def test_objectives_are_made_by_name():
    assert OBJECTIVES.names() == ["bound", "iwae", "dreg", "regularisers", "partition"]
