"""Checkpoints from strangers: the files may be anything, and the manifest may fit them."""

import json
import os
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import UserError, load, save
from cpvae_jax.storage import checkpoint, manifest

ARRAY = "params/weights.decoder.output.kernel"


@pytest.fixture(scope="module")
def saved(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(folder, params)
    return folder


@pytest.fixture
def step(saved, tmp_path):
    """The folder of a step, to damage."""
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model" / "0"


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def remove(step):
    shutil.rmtree(step / ARRAY)


def link(step):
    (step / ARRAY / "0.0").unlink()
    (step / ARRAY / "0.0").symlink_to("/dev/zero")


def pipe(step):
    (step / ARRAY / "0.0").unlink()
    os.mkfifo(step / ARRAY / "0.0")


def flip(step):
    content = bytearray((step / ARRAY / "0.0").read_bytes())
    content[3] ^= 1
    (step / ARRAY / "0.0").write_bytes(content)


def cut(step):
    os.truncate(step / ARRAY / "0.0", 5)


def add(step):
    (step / "params" / "more").write_text("more")


def not_a_manifest(step):
    (step / manifest.FILE).write_text("[1, 2]")


def deep(step):
    (step / manifest.FILE).write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove, r"kernel/\.zarray is missing"),
        (link, r"kernel/0\.0 is not a regular file"),
        (pipe, r"kernel/0\.0 is not a regular file"),
        (flip, r"kernel/0\.0 has other contents"),
        (cut, r"kernel/0\.0 has another length"),
        (add, r"params/more is not listed"),
        (not_a_manifest, r"manifest\.json is not a manifest"),
        (deep, r"manifest\.json cannot be read"),
    ],
)
def test_files_that_differ_from_the_manifest_are_named(step, spoil, words):
    spoil(step)
    with pytest.raises(UserError, match=rf"model/0 is damaged .*{words}"):
        load(step.parent)


def longer_array(step):
    (step / ARRAY / "0.0").write_bytes(bytes(4 * 10**6))


def another_type(step):
    edit_json(step / ARRAY / ".zarray", dtype="<i4")


def another_shape(step):
    edit_json(step / ARRAY / ".zarray", shape=[10**9, 10**9], chunks=[10**9, 10**9])


def huge_pieces(step):
    edit_json(step / ARRAY / ".zarray", chunks=[10**9, 10**9])


def compressed(step):
    edit_json(step / ARRAY / ".zarray", compressor={"id": "zstd", "level": 1})


def python_objects(step):
    edit_json(step / ARRAY / ".zarray", dtype="|O", filters=[{"id": "pickle"}])


def more_categories(step):
    edit_json(step / checkpoint.CONFIG, K=3)


def huge_model(step):
    edit_json(step / checkpoint.CONFIG, K=10**9, hidden=[10**6])


def many_layers(step):
    edit_json(step / checkpoint.CONFIG, hidden=[5] * 10_000)


def another_value(step):
    edit_json(step / checkpoint.CONFIG, likelihood="poisson")


def no_configuration(step):
    (step / checkpoint.CONFIG).write_text('"K"')


def types_of_anything(step):
    edit_json(step / checkpoint.CONFIG, K=[1], shape={"a": 1})


def large_json(step):
    (step / "params" / "_METADATA").write_text(" " * 2**21)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (longer_array, "has another length"),
        (another_type, "is <i4 of shape"),
        (another_shape, "of shape"),
        (huge_pieces, "is split into pieces"),
        (compressed, "is compressed"),
        (python_objects, "is compressed"),
        (more_categories, "of shape"),
        (huge_model, "of shape"),
        (many_layers, "widths of 1 to 100 layers"),
        (another_value, "likelihood is 'poisson'"),
        (no_configuration, "is not a configuration"),
        (types_of_anything, "must be a whole number"),
        (large_json, "_METADATA is larger than"),
    ],
)
def test_a_manifest_that_fits_does_not_make_files_trusted(step, spoil, words):
    spoil(step)
    manifest.write(step)
    with pytest.raises(UserError, match=rf"model/0 .*{words}"):
        load(step.parent)


@pytest.mark.parametrize(
    "spoil", [another_type, another_shape, more_categories, huge_model], ids=lambda f: f.__name__
)
def test_whole_files_of_another_model_are_not_called_damaged(step, spoil):
    spoil(step)
    manifest.write(step)
    with pytest.raises(
        UserError, match=r"its files are whole, but they hold another model"
    ) as found:
        load(step.parent)
    for word in ("damaged", "remove", "delete", "move that folder"):
        assert word not in str(found.value)


def test_a_part_of_one_s_own_that_fails_is_not_called_damage(step, monkeypatch):
    def template(config):
        raise KeyError("a layer of my own")

    with pytest.raises(
        UserError, match=r"files are whole .KeyError: 'a layer of my own'."
    ) as found:
        checkpoint.read(step.parent, template)
    assert "damaged" not in str(found.value)


@pytest.mark.parametrize("array", ["stats.aggregate", "weights.decoder.output.kernel"])
def test_an_array_that_is_neither_there_nor_in_the_list_of_files_is_missed(step, array):
    shutil.rmtree(step / "params" / array)
    about = json.loads((step / manifest.FILE).read_text())
    kept = {n: facts for n, facts in about["files"].items() if f"/{array}/" not in n}
    assert array in about["arrays"]["params"]
    edit_json(step / manifest.FILE, files=kept)
    with pytest.raises(UserError, match=rf"is damaged .*the array params/{array} is missing"):
        load(step.parent)


@pytest.mark.parametrize("arrays", [3, {"params": "all"}, {"params": {}}])
def test_a_list_of_arrays_that_is_none_is_damage(step, arrays):
    edit_json(step / manifest.FILE, arrays=arrays)
    with pytest.raises(UserError, match=r"is damaged .*manifest\.json is not a manifest"):
        load(step.parent)


def test_newer_checkpoints_are_refused_as_such(step):
    edit_json(step / manifest.FILE, format=manifest.FORMAT + 1)
    with pytest.raises(UserError, match=r"by a newer version of cpvae_jax \(format 4\)"):
        load(step.parent)
    edit_json(step / manifest.FILE, format=manifest.FORMAT)
    edit_json(step / checkpoint.CONFIG, temperament="mild")
    manifest.write(step)
    with pytest.raises(UserError, match="unknown keys temperament; load it with the version"):
        load(step.parent)


@pytest.mark.parametrize("claimed", [1, True, 0, -3, "2", None])
def test_a_wrong_format_does_not_let_arrays_pass(step, claimed, params, assert_same_bits):
    """Format 1 has other arrays; what is not a format at all is read as the present one."""
    edit_json(step / manifest.FILE, format=claimed)
    if claimed == 1:
        with pytest.raises(UserError, match=r"model/0 cannot be loaded.*whole.*the array"):
            load(step.parent)
    else:
        assert_same_bits(load(step.parent), params)


def with_aggregate(params, value):
    """A model whose q(c) is `value` twice, to tell it from others."""
    return params.replace(stats={**params.stats, "aggregate": jnp.full(2, value)})


def test_a_step_that_a_crash_left_unfinished_is_passed_over_and_removed(params, tmp_path):
    with checkpoint.open_for(tmp_path) as steps:
        steps.write(1, with_aggregate(params, 1.0))
    shutil.copytree(tmp_path / "1", tmp_path / "2")
    (tmp_path / "2" / manifest.FILE).unlink()
    shutil.copytree(tmp_path / "2", tmp_path / "3.orbax-checkpoint-tmp")
    (tmp_path / "notes").mkdir()
    np.testing.assert_array_equal(load(tmp_path).aggregate, [1, 1])
    with checkpoint.open_for(tmp_path) as steps:
        assert steps.latest() == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "notes"]
        steps.write(2, with_aggregate(params, 2.0))
    np.testing.assert_array_equal(load(tmp_path).aggregate, [2, 2])


def test_a_crash_while_an_old_step_is_removed_leaves_no_half_step(params, tmp_path, monkeypatch):
    """Found by `tests.faults`: Orbax removes file by file, and was killed in between."""
    with checkpoint.open_for(tmp_path) as steps:
        for number in (1, 2):
            steps.write(number, params)

        def die_half_way(step):
            shutil.rmtree(tmp_path / str(step) / "config")
            raise KeyboardInterrupt

        monkeypatch.setattr(steps._manager, "delete", die_half_way)
        with pytest.raises(KeyboardInterrupt):
            steps.write(3, params)
    assert not (tmp_path / "1" / "config").exists()
    with checkpoint.open_for(tmp_path) as steps:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]
    assert load(tmp_path).config == params.config
