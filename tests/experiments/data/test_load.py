"""The data sets that `experiments.data` registers."""

import pytest

from cpvae_jax.errors import UserError
from experiments.data import SOURCES, load


def test_the_papers_data_sets_are_registered():
    assert {"mnist", "omniglot", "synthetic", "digits"} <= set(SOURCES.names())


def test_a_misspelt_name_suggests_the_right_one():
    with pytest.raises(UserError, match=r"'mnits'; did you mean 'mnist'\?"):
        load("mnits")


def test_an_option_that_a_data_set_lacks_is_refused():
    with pytest.raises(UserError, match="digits has no option num"):
        load("digits", num=3)
