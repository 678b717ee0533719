"""The data sets that `experiments.data` registers."""

import pytest

from cpvae_jax.errors import UserError
from experiments.data import SOURCES, load


def test_the_papers_data_sets_are_registered():
    assert {"mnist", "omniglot", "synthetic", "digits"} <= set(SOURCES.names())


def test_a_misspelt_name_suggests_the_right_one():
    with pytest.raises(UserError, match=r"'mnits'; did you mean 'mnist'\?"):
        load("mnits")


@pytest.mark.parametrize("name", ["MNIST", "Mnist", "minst", "omniglott", "Digits"])
def test_a_misspelt_name_suggests_the_right_one_whatever_its_case(name):
    with pytest.raises(UserError, match=r"did you mean '(mnist|omniglot|digits)'\?"):
        load(name)


def test_the_empty_name_is_refused():
    with pytest.raises(UserError, match=r"The data set is '': choose one of .*mnist"):
        load("")


@pytest.mark.parametrize("name", ["mnist", "omniglot"])
def test_a_url_as_the_folder_of_tfds_is_refused(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://tfds-data/datasets")
    with pytest.raises(UserError, match=r"the data folder is .*, which is a URL"):
        load(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mnist", "omniglot"])
def test_a_prepared_folder_that_may_not_be_read_is_named(name, monkeypatch, tmp_path):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("experiments.data.tfds_prepare.is_prepared", refuse)
    with pytest.raises(UserError, match=rf"{tmp_path}/{name}.* cannot be read \(permission denied"):
        load(name, data_dir=tmp_path)


def test_an_option_that_a_data_set_lacks_is_refused():
    with pytest.raises(UserError, match="digits has no option num"):
        load("digits", num=3)
