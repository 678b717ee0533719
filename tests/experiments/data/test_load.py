import subprocess
import sys

import pytest

from cpvae_jax.errors import UserError
from experiments.data import LOADERS, load
from experiments.data.places import Places


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(UserError, match=r"'mnits': choose one of mnist, omniglot, .* path"):
        load("mnits")
    with pytest.raises(UserError, match="takes no option seed"):
        load(tmp_path, seed=3)
    assert set(LOADERS) == {"mnist", "omniglot", "synthetic", "digits"}


def test_a_data_set_of_ones_own_takes_its_options(monkeypatch):
    monkeypatch.setitem(LOADERS, "mine", lambda places, **options: options)
    assert load("mine", num=3) == {"num": 3}
    with pytest.raises(UserError, match="digits takes no option num"):
        load("digits", num=3)


def test_a_file_of_another_kind_is_no_npz(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(UserError, match=r"data.csv is no .npz file"):
        load(tmp_path / "data.csv")


def test_places_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "t"))
    monkeypatch.setenv("CPVAE_JAX_CACHE", str(tmp_path / "c"))
    places = Places.find()
    assert (places.data_dir, places.cache_dir) == (tmp_path / "t", tmp_path / "c")
    assert places.manual_dir == tmp_path / "t" / "downloads" / "manual"
    assert Places.find(tmp_path / "given").data_dir == tmp_path / "given"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("CPVAE_JAX_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Places.find().data_dir == tmp_path / "tensorflow_datasets"
    assert Places.find().cache_dir == tmp_path / ".cache" / "cpvae_jax"


def test_these_modules_import_nothing_heavy():
    # What `cpvae_jax/__init__.py` imports is not at issue: an empty package stands in for it.
    code = (
        "import sys, types, importlib.util as util\n"
        "package = types.ModuleType('cpvae_jax')\n"
        "package.__path__ = util.find_spec('cpvae_jax').submodule_search_locations\n"
        "sys.modules['cpvae_jax'] = package\n"
        "import experiments.data\n"
        "print({'jax', 'tensorflow_datasets', 'sklearn', 'scipy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
