import numpy as np
import pytest
from PIL import Image

from cpvae_jax.data import check, load
from cpvae_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.fixture
def put(folder):
    """A function that saves an array, or an image, as a file."""

    def save(name, array, mode=None, **options):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = array if isinstance(array, Image.Image) else Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path, **options)

    return save


@pytest.fixture
def read(folder, tmp_path):
    return lambda: load(folder, cache_dir=tmp_path / "cache")


def grey(value):
    return np.full((4, 5), value, np.uint8)


def every(data):
    """All examples, in the order of their first pixel."""
    x = np.concatenate([data.train, data.valid, data.test])
    return x[np.argsort(x.reshape(len(x), -1)[:, 0])]


def test_grey_files_of_many_kinds(put, read):
    put("a.png", grey(10))
    put("b.PGM", grey(20))
    put("c.bmp", grey(30))
    put("d.tif", np.full((4, 5), 40 * 257, np.uint16))
    put("e.png", np.full((4, 5), 50 * 257 + 100, np.uint16))
    put("f.png", np.full((4, 5), 255, np.uint8), "1")
    put("g.png", grey(60), "LA")
    put(".hidden.png", np.zeros((9, 9), np.uint8))
    data = read()
    check(data)
    assert (data.shape, data.kind, data.train_labels) == ((4, 5), "grey", None)
    assert every(data)[:, 0, 0].tolist() == [10, 20, 30, 40, 50, 60, 255]


def test_one_coloured_file_makes_all_coloured(put, read):
    put("a.png", np.full((4, 5, 3), (10, 2, 3), np.uint8))
    put("b.png", grey(20))
    put("c.png", np.full((4, 5, 4), (30, 5, 6, 0), np.uint8))
    put("d.gif", Image.new("RGB", (5, 4), (40, 0, 0)).quantize())
    put("e.png", np.full((4, 5), 50 * 257, np.uint16))
    palette = Image.new("P", (5, 4))
    palette.putpalette([60, 7, 8, 0, 0, 0])
    put("f.png", palette, transparency=b"\x00\x80")
    data = read()
    assert (data.shape, data.kind) == ((4, 5, 3), "real")
    found = every(data)[:, 0, 0].tolist()
    expected = [[10, 2, 3], [20, 20, 20], [30, 5, 6], [40, 0, 0], [50, 50, 50], [60, 7, 8]]
    assert found == expected


def test_subfolders_are_labels(put, read):
    for k, name in enumerate(["ant/1", "ant/2", "bee/x/1", "bee/2", "cow/1"]):
        put(f"{name}.png", grey(k))
    data = read()
    assert data.class_names == ("ant", "bee", "cow")
    by_image = {int(x[0, 0]): int(y) for x, y in zip(data.train, data.train_labels, strict=True)}
    assert all(label == [0, 0, 1, 1, 2][image] for image, label in by_image.items())
    put("loose.png", grey(9))
    assert read().train_labels is None


def test_the_second_read_decodes_nothing_and_a_change_is_seen(put, read, folder, monkeypatch):
    for k in range(5):
        put(f"{k}.png", grey(k))
    first = read()
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)
        np.testing.assert_array_equal(read().train, first.train)
    put("5.png", grey(99))
    assert every(read()).max() == 99


def test_links_out_of_the_folder_are_not_followed(put, read, folder, tmp_path):
    for k in range(3):
        put(f"{k}.png", grey(k))
    Image.fromarray(grey(200)).save(tmp_path / "secret.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "broken.png").symlink_to(folder / "gone.png")
    assert len(every(read())) == 3
    assert every(read()).max() == 2


def test_errors(put, read, folder):
    with pytest.raises(UserError, match=r"pictures holds no image: .*\.png"):
        read()
    put("a.png", grey(1))
    put("sub/b.png", np.zeros((6, 7), np.uint8))
    with pytest.raises(UserError, match=r"a.png has 5x4 pixels and sub/b.png 7x6"):
        read()
    content = (folder / "a.png").read_bytes()
    (folder / "sub/b.png").write_bytes(content[:-20])
    with pytest.raises(UserError, match=r"b.png cannot be read \(.*: repair it"):
        read()
    (folder / "sub/b.png").write_text("no image")
    with pytest.raises(UserError, match=r"b.png cannot be read \(cannot identify"):
        read()
    (folder / "sub/b.png").unlink()
    with pytest.raises(UserError, match=r"has 1 example, too few to split"):
        read()
    put("f.tif", np.zeros((4, 5), np.float32))
    with pytest.raises(UserError, match=r"f.tif cannot be read \(it holds floats"):
        read()


def test_decompression_bombs_are_refused(put, read, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)  # Pillow warns above, and fails at 30
    put("a.png", grey(1))
    with pytest.raises(UserError, match=r"a.png cannot be read \(Image size \(20 pixels\)"):
        read()
