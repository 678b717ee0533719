import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from cpvae_jax import Config, checks
from cpvae_jax.data import Places
from cpvae_jax.errors import UserError
from experiments.data import load, omniglot_mat, omniglot_prepare
from experiments.data import omniglot as module
from experiments.data.tfds_source import decode_grey, examples


@pytest.fixture(scope="module")
def folder(prepared):
    return prepared / "omniglot" / omniglot_prepare.VERSION


def test_sizes(omniglot):
    checks.dataset(Config(shape=(28, 28)), omniglot)
    parts = (omniglot.train, omniglot.valid, omniglot.test)
    assert [len(x) for x in parts] == [23_000, 1_345, 8_115]
    assert omniglot.shape == (28, 28)
    assert omniglot.train.dtype == np.uint8
    assert len(omniglot.class_names) == 50
    assert "Greek" in omniglot.class_names
    assert "8,070" in omniglot.source
    for labels in (omniglot.train_labels, omniglot.test_labels):
        assert labels.dtype == np.int32
        assert np.unique(labels).tolist() == list(range(50))


def test_each_character_has_15_drawings_to_learn_from_and_5_to_test(
    omniglot, prepared, cache_dir, rows
):
    arrays = module._SOURCE.load(Places.find(prepared, cache_dir=cache_dir))
    to_test = module.rank_within(arrays["characters"]) >= 15
    assert np.bincount(arrays["characters"][to_test]).tolist() == [5] * 1623
    assert np.bincount(arrays["characters"][~to_test]).tolist() == [15] * 1623
    np.testing.assert_array_equal(omniglot.test, arrays["images"][to_test])
    # The rest is for training and validation: no drawing is lost, and none is in both.
    seen = np.concatenate([rows(omniglot.train), rows(omniglot.valid)])
    np.testing.assert_array_equal(np.sort(seen), np.sort(rows(arrays["images"][~to_test])))


def test_images_are_the_drawings_averaged_with_ink_as_255(folder, prepared, cache_dir):
    arrays = module._SOURCE.load(Places.find(prepared, cache_dir=cache_dir))
    for image, example in zip(arrays["images"][:200], examples(folder, "train"), strict=False):
        ink = 255 - decode_grey(example["image"])
        assert set(np.unique(ink)) == {0, 255}
        assert image.mean() == pytest.approx(ink.mean(), abs=0.5)
        # 105 · 4 = 28 · 15: pixels repeated four times fall into whole blocks.
        blocks = np.kron(ink, np.ones((4, 4))).reshape(28, 15, 28, 15)
        assert abs(blocks.mean(axis=(1, 3)) - image).max() <= 0.501
        assert image.mean() < 127  # most of a page is paper


@pytest.mark.parametrize(("large", "small"), [(105, 28), (7, 7), (9, 3)])
def test_averaging_keeps_the_mean(large, small):
    weights = module.averaging(large, small)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=0), small / large, rtol=1e-5)


def test_preparing_from_the_original_archives(folder, tmp_path, monkeypatch, offline):
    """The archives have the original layout, with one drawing per character."""
    import tensorflow_datasets as tfds

    labels = (folder / "label.labels.txt").read_text().split()
    known = tfds.core.download.checksums.get_all_url_infos()
    expected = {}
    for part, file in omniglot_prepare.FILES.items():
        with zipfile.ZipFile(tmp_path / file, "w") as archive:
            for example in examples(folder, part):
                label = int(example["label"])
                if label not in expected:
                    expected[label] = (part, int(example["alphabet"]), example["image"])
                    alphabet, character = labels[label].rsplit("_", 1)
                    archive.writestr(
                        f"{file[:-4]}/{alphabet}/character{int(character) + 1:02}/"
                        f"{label + 1:04}_01.png",
                        example["image"],
                    )
        content = (tmp_path / file).read_bytes()
        info = tfds.core.download.checksums.UrlInfo(
            len(content), hashlib.sha256(content).hexdigest(), file
        )
        monkeypatch.setitem(known, omniglot_prepare.URL + file, info)
    monkeypatch.setattr(module, "_DRAWINGS", 1)
    data = tmp_path / "data"
    places = Places.find(data, manual_dir=tmp_path, cache_dir=tmp_path / "cache")
    arrays = module._SOURCE.load(places)
    assert sorted(arrays["characters"].tolist()) == list(range(1623))
    found = {
        int(example["label"]): (part, int(example["alphabet"]), example["image"])
        for part in omniglot_prepare.FILES
        for example in examples(data / "omniglot" / "3.0.0", part)
    }
    assert found == expected
    names = (folder / "alphabet.labels.txt").read_text().split()
    assert arrays["alphabet_names"].tolist() == names


@pytest.fixture
def mat(tmp_path):
    """A file with the layout of Burda's, whose images have ink only in row 3, column 20."""
    from scipy.io import savemat

    image = np.zeros((28, 28))
    image[3, 20] = 0.5
    column = image.reshape(-1, order="F")[:, None]
    labels = np.arange(40) % 50
    savemat(
        tmp_path / "chardata.mat",
        {
            "data": np.tile(column, 40),
            "testdata": np.tile(column, 10),
            "target": np.eye(50)[:, labels],
            "testtarget": np.eye(50)[:, labels[:10]],
        },
    )
    return tmp_path


def test_chardata_takes_precedence(mat, offline):
    for _ in range(2):  # decoded, then from the cache
        found = load("omniglot", data_dir=mat, manual_dir=mat, cache_dir=mat / "cache")
        checks.dataset(Config(shape=(28, 28)), found)
        assert [len(x) for x in (found.train, found.valid, found.test)] == [38, 2, 10]
        assert np.argwhere(found.test[0]).tolist() == [[3, 20]]
        assert found.test.max() == 128
        assert found.test_labels.tolist() == list(range(10))
        assert sorted([*found.train_labels, *found.valid_labels]) == list(range(40))
        assert "chardata.mat" in found.source
        assert "is NOT the file of Burda" in found.source
    content = (mat / "chardata.mat").read_bytes()
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omniglot_mat, "_BLOB", blob)
        found = load("omniglot", data_dir=mat, manual_dir=mat, cache_dir=mat / "cache")
    assert "id is the file of Burda" in found.source


def test_a_chardata_of_another_layout_is_named(mat):
    from scipy.io import savemat

    savemat(mat / "chardata.mat", {"other": np.zeros(3)})
    with pytest.raises(UserError, match=r"chardata.mat does not have the layout .*'data'"):
        load("omniglot", manual_dir=mat, cache_dir=mat / "cache")
    (mat / "chardata.mat").write_bytes(b"no such thing")
    with pytest.raises(UserError, match=r"chardata.mat does not have the layout"):
        load("omniglot", manual_dir=mat, cache_dir=mat / "cache")


def test_one_bit_images_come_back_in_full_range():
    buffer = io.BytesIO()
    Image.fromarray(np.eye(4, dtype=bool)).save(buffer, format="PNG")
    np.testing.assert_array_equal(decode_grey(buffer.getvalue()), np.eye(4) * 255)
