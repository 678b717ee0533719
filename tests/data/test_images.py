"""A folder of images: what is found, labelled and split, and how pixels are read."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

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


@pytest.fixture
def noted(read):
    """A function that reads the folder and returns the data and all warnings as one text."""

    def run():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = read()
        assert all(one.category is UserWarning for one in caught)
        assert all(one.filename == __file__ for one in caught)  # where `load` is called
        told = [str(one.message).partition("pictures: ")[2] for one in caught]
        assert all(one in data.source for one in told)
        assert ("Note: " in data.source) == bool(told)
        return data, "\n".join(told)

    return run


def grey(value):
    return np.full((4, 5), value, np.uint8)


def every(data):
    """All examples, in the order of their first pixel."""
    x = np.concatenate([data.train, data.valid, data.test])
    return x[np.argsort(x.reshape(len(x), -1)[:, 0], kind="stable")]


def ramp(*levels, dtype=np.uint8):
    """An image of 2 by N pixels with these levels."""
    return np.tile(np.array(levels, dtype), (2, 1))


def png(depth, colour, rows):
    """The bytes of a PNG with a bit depth and a colour type that Pillow does not write."""
    rows = np.asarray(rows, ">u2" if depth == 16 else np.uint8)

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def test_grey_files_of_many_kinds(put, read):
    put("a.png", grey(10))
    put("b.PGM", grey(20))
    put("c.bmp", grey(30))
    put("d.tif", np.full((4, 5), 40 * 257, np.uint16))
    put("e.png", np.full((4, 5), 50 * 257 + 100, np.uint16))
    put("f.png", np.full((4, 5), 255, np.uint8), "1")
    put("g.png", grey(60), "LA")
    put("h.tiff", np.full((4, 5), 70 * 257, np.int32))
    put("i.png", np.full((4, 5), 65535, np.uint16))
    put("j.gif", Image.fromarray(grey(80)).quantize())
    put(".hidden.png", np.zeros((9, 9), np.uint8))
    data = read()
    check(data)
    assert (data.shape, data.train_labels) == ((4, 5), None)
    assert every(data)[:, 0, 0].tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 255, 255]


@pytest.mark.parametrize(
    ("suffix", "dtype", "levels", "expected", "note"),
    [
        ("png", np.uint16, (0, 100, 255), (0, 100, 255), "8-bit levels in 16-bit files (4)"),
        ("png", np.uint16, (0, 512, 1023), (0, 128, 255), "scaled by 1023"),
        (
            "png",
            np.uint16,
            (0, 2048, 4000),
            (0, 128, 249),
            "12-bit levels in 16-bit files (4): sca",
        ),
        ("tif", np.uint16, (0, 8192, 16383), (0, 128, 255), "14-bit levels"),
        ("tif", np.int32, (0, 100, 255), (0, 100, 255), "scaled by 255"),
        ("tif", np.int32, (0, 2048, 4095), (0, 128, 255), "scaled by 4095"),
        ("tif", np.int32, (0, 32768, 65000), (0, 128, 253), ""),
        ("png", np.uint16, (0, 20 * 257, 30 * 257), (0, 20, 30), ""),  # 8 bits, repeated
        ("png", np.uint16, (0, 0, 1), (0, 0, 255), "levels 0 to 1 in the images"),
        ("png", np.uint8, (0, 0, 1), (0, 0, 255), "levels 0 to 1 in the images: scaled by 1"),
        ("png", np.uint8, (0, 8, 15), (0, 136, 255), "scaled by 15"),
        ("bmp", np.uint8, (0, 8, 16), (0, 128, 255), "scaled by 16"),
        ("png", np.uint8, (0, 8, 17), (0, 8, 17), ""),
        ("tif", np.float32, (0, 0.5, 1), (0, 128, 255), "floats from 0 to 1 (4 files)"),
        ("tif", np.float32, (0, 100, 254.6), (0, 100, 255), "multiplied by 1"),
        ("pgm", np.int32, (0, 100, 65535), (0, 0, 255), ""),
    ],
)
def test_levels_are_scaled_by_what_their_bits_hold(
    put, noted, suffix, dtype, levels, expected, note
):
    for number in range(3):
        put(f"{number}.{suffix}", ramp(*levels[:2], 0, dtype=dtype))
    put(f"3.{suffix}", ramp(*levels, dtype=dtype))  # one bright image decides for all
    data, told = noted()
    assert data.shape == (2, 3)
    assert [x[0].tolist() for x in every(data)].count([*expected[:2], 0]) == 3
    assert list(expected) in [x[0].tolist() for x in every(data)]
    assert note in told
    assert bool(note) == bool(told)


def test_the_white_of_a_pgm_file_is_that_of_its_header(folder, noted):
    for number in range(3):
        pixels = np.array([0, 1000, 2000], ">u2").tobytes()
        (folder / f"{number}.pgm").write_bytes(b"P5 3 1 4095\n" + pixels)
    data, told = noted()
    assert (every(data)[0, 0].tolist(), told) == ([0, 62, 125], "")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (
            ramp(-5, 100, dtype=np.int32),
            "levels from -5 to 100, so that black and white are unknown",
        ),
        (ramp(0, 70_000, dtype=np.int32), "levels from 0 to 70000"),
        (
            ramp(0, 300, dtype=np.float32),
            r"range from 0 to 300, .* scale them to 0\.\.1 or 0\.\.255",
        ),
        (ramp(-0.5, 1, dtype=np.float32), "range from -0.5 to 1"),
        (ramp(0, np.nan, dtype=np.float32), "range from nan to nan"),
        (ramp(0, np.inf, dtype=np.float32), "range from 0 to inf"),
    ],
)
def test_levels_without_a_known_range_are_refused(put, read, array, words):
    for number in range(4):
        put(f"{number}.tif", array)
    with pytest.raises(UserError, match=rf"The 4 images .*pictures.*{words}"):
        read()


@pytest.mark.parametrize(
    ("colour", "channels", "high", "shape"),
    [(2, 3, 65535, (2, 2, 3)), (6, 4, 65535, (2, 2, 3)), (4, 2, 65535, (2, 2))],
)
def test_colours_of_16_bits_are_cut_to_8(folder, noted, colour, channels, high, shape):
    rows = np.full((2, 2, channels), high)
    rows[0, :, 0] = 128 * 256
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(16, colour, rows))
    data, told = noted()
    assert (data.shape, told) == (shape, "")
    assert every(data)[0].reshape(4, -1)[:, 0].tolist() == [128, 128, 255, 255]


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
@pytest.mark.parametrize(("high", "bits"), [(4095, 12), (255, 8), (10_000, 14)])
def test_colours_of_fewer_bits_in_16_are_refused(folder, read, colour, channels, high, bits):
    rows = np.full((2, 2, channels), high)
    rows[:, :, 3:] = 65535
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(16, colour, rows))
    with pytest.raises(UserError, match=rf"only the lowest {bits} of them.*convert them to 8 bits"):
        read()


def test_one_coloured_file_makes_all_coloured(put, noted):
    put("a.png", np.full((4, 5, 3), (10, 2, 3), np.uint8))
    put("b.png", grey(20))
    put("c.png", np.full((4, 5, 4), (30, 5, 6, 255), np.uint8))
    put("d.gif", Image.new("RGB", (5, 4), (40, 0, 0)).quantize())
    put("e.png", np.full((4, 5), 50 * 257, np.uint16))
    palette = Image.new("P", (5, 4))
    palette.putpalette([60, 7, 8, 0, 0, 0])
    put("f.png", palette)
    put("g.tif", Image.new("CMYK", (5, 4), (255 - 70, 255, 255, 0)))
    data, told = noted()
    assert (data.shape, data.kind) == ((4, 5, 3), "real")
    assert told == "grey images among those with colours (2 of 7): read as colours"
    found = every(data)[:, 0, 0].tolist()
    expected = [
        [10, 2, 3],
        [20, 20, 20],
        [30, 5, 6],
        [40, 0, 0],
        [50, 50, 50],
        [60, 7, 8],
        [70, 0, 0],
    ]
    assert found == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_the_exif_orientation_is_applied(put, noted, folder, suffix, orientation):
    pixels = np.full((16, 24), 255, np.uint8)
    pixels[:8, :8] = 0  # one dark corner
    for number in range(3):
        image = Image.fromarray(pixels)
        exif = image.getexif()
        exif[0x0112] = orientation
        put(f"{number}.{suffix}", image.convert("RGB"), exif=exif)
    with Image.open(folder / f"0.{suffix}") as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    data, told = noted()
    np.testing.assert_array_equal(data.train[0], expected)
    assert np.argwhere(data.train[0, 4::8, 4::8, 0] < 100).tolist() == {
        1: [[0, 0]], 2: [[0, 2]], 3: [[1, 2]], 4: [[1, 0]],
        5: [[0, 0]], 6: [[0, 1]], 7: [[2, 1]], 8: [[2, 0]],
    }[orientation]  # fmt: skip
    turned = orientation > 1 and suffix != "tif"  # Pillow itself turns those
    assert told == ("images turned as their EXIF orientation says: 3" if turned else "")


def test_an_image_that_is_turned_to_another_size_is_refused(put, read):
    image = Image.fromarray(grey(10))
    put("a.png", image)
    exif = image.getexif()
    exif[0x0112] = 6
    put("b.png", image, exif=exif)
    with pytest.raises(UserError, match=r"a\.png has 5x4 pixels and b\.png 4x5"):
        read()


BLACK_INK = np.array([[[0, 0], [0, 255], [0, 128]]], np.uint8)  # levels and alphas


@pytest.mark.parametrize(
    ("pixels", "mode", "expected", "ground"),
    [
        (BLACK_INK, "LA", [255, 0, 127], "white"),
        (BLACK_INK, "RGBA", [255, 0, 127], "white"),
        (BLACK_INK, "PA", [255, 0, 127], "white"),
        (BLACK_INK + np.array([100, 0], np.uint8), "LA", [255, 100, 177], "white"),
        (
            BLACK_INK + np.array([255, 0], np.uint8),
            "LA",
            [0, 255, 128],
            "black, because the visible",
        ),
        (BLACK_INK + np.array([255, 0], np.uint8), "RGBA", [0, 255, 128], "black"),
        (BLACK_INK | np.array([0, 255], np.uint8), "RGBA", [0, 0, 0], None),  # opaque
    ],
)
def test_transparent_pixels_are_laid_over_a_ground(put, noted, pixels, mode, expected, ground):
    image = Image.merge("LA", [Image.fromarray(pixels[:, :, k]) for k in (0, 1)])
    for number in range(3):
        put(
            f"{number}.{'tif' if mode == 'PA' else 'png'}",
            image.convert("RGBA").convert(mode if mode != "PA" else "RGBA"),
        )
    data, told = noted()
    assert data.train[0, 0].reshape(3, -1)[:, 0].tolist() == expected
    assert data.shape == ((1, 3) if mode == "LA" else (1, 3, 3))
    assert told.startswith(f"transparent pixels (3 files): laid over {ground}" if ground else "")
    assert bool(told) == bool(ground)


@pytest.mark.parametrize(
    ("mode", "other", "expected", "ground"),
    [("L", 100, 255, "white"), ("RGB", 100, 255, "white"), ("P", 100, 255, "white"),
     ("L", 255, 0, "black"), ("P", 255, 0, "black"), ("1", 255, 0, "black")],
)  # fmt: skip
def test_a_transparent_colour_of_a_png_is_laid_over_a_ground(
    put, noted, mode, other, expected, ground
):
    image = Image.fromarray(ramp(0, other)).convert(mode)
    key = {"L": 0, "RGB": (0, 0, 0), "P": image.getpixel((0, 0)), "1": 0}[mode]
    for number in range(3):
        put(f"{number}.png", image, transparency=key)
    data, told = noted()
    assert data.train[0, 0].reshape(2, -1)[:, 0].tolist() == [expected, other]
    assert told.startswith(f"transparent pixels (3 files): laid over {ground}")


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_only_the_first_frame_is_read_and_the_others_are_counted(put, noted, suffix):
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (40, 120, 200)]
    put(f"0.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    for number in range(1, 4):
        put(f"{number}.png", frames[0])
    data, told = noted()
    assert abs(every(data).astype(int) - 40).max() <= 2  # WebP is lossy
    assert "frames or pages after the first (1 files): 2 left out" in told


def test_a_stack_of_pages_alone_is_refused_with_the_reason(put, read):
    pages = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in range(50)]
    put("stack.tif", pages[0], save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"pictures \(.*49 left out\) has 1 example, too few"):
        read()


def test_subfolders_are_labels(put, read):
    for k, name in enumerate(["ant/1", "ant/2", "bee/x/1", "bee/2", "cow/1"]):
        put(f"{name}.png", grey(10 * k))
    data = read()
    assert data.class_names == ("ant", "bee", "cow")
    by_image = {int(x[0, 0]): int(y) for x, y in zip(data.train, data.train_labels, strict=True)}
    assert all(label == [0, 0, 1, 1, 2][image // 10] for image, label in by_image.items())
    put("loose.png", grey(90))
    assert read().train_labels is None


def test_the_second_read_decodes_nothing_and_a_change_is_seen(put, noted, folder, monkeypatch):
    for k in range(5):
        put(f"{k}.png", np.full((4, 5), 4000 * k // 4, np.uint16))
    first, told = noted()
    assert "12-bit" in told
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)
        again, told_again = noted()
    np.testing.assert_array_equal(again.train, first.train)
    assert told_again == told
    put("5.png", np.full((4, 5), 65535, np.uint16))
    assert noted()[1] == ""


def test_links_out_of_the_folder_are_left_out_and_counted(put, noted, folder, tmp_path):
    for k in range(3):
        put(f"{k}.png", grey(20 * k))
    Image.fromarray(grey(200)).save(tmp_path / "secret.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "broken.png").symlink_to(folder / "gone.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    os.mkfifo(folder / "pipe.png")
    data, told = noted()
    assert len(every(data)) == 3
    assert every(data).max() == 40
    assert "special files (4, such as broken.png): left out" in told


def test_a_folder_of_links_alone_says_why_it_holds_no_image(folder, read):
    (folder / "out.png").symlink_to(folder.parent / "gone.png")
    with pytest.raises(UserError, match=r"pictures holds no image \(links .* such as out\.png"):
        read()


SPLITS = {
    "plain": ("train/{c}", "valid/{c}", "test/{c}"),
    "other words": ("Training/{c}", "VAL/{c}", "testing/{c}"),
    "words after": ("train_set/{c}", "val2017/{c}", "test-images/{c}"),
    "words before": ("seg_train/{c}", "seg_dev/{c}", "seg_test/{c}"),
    "in a folder": ("images/train/{c}", "images/val/{c}", "images/test/{c}"),
    "in two folders": ("a/b/train/{c}", "a/b/dev/{c}", "a/b/test/{c}"),
    "below the classes": ("{c}/train", "{c}/validation", "{c}/test"),
    "deeper": ("train/{c}/x", "valid/{c}", "test/{c}/y/z"),
}


def fill(put, layout, sizes, classes=("cat", "dog")):
    """Images whose levels say their part (hundreds) and class (tens)."""
    for p, (place, size) in enumerate(zip(layout, sizes, strict=True)):
        for c, name in enumerate(classes):
            for number in range(size):
                put(f"{place.format(c=name)}/{number}.png", grey(100 * p + 10 * c + 30))


@pytest.mark.parametrize("name", SPLITS)
def test_folders_of_parts_are_the_parts(put, read, name):
    fill(put, SPLITS[name], (3, 2, 1))
    data = read()
    check(data)
    assert data.class_names == ("cat", "dog")
    for p, (part, size) in enumerate((("train", 3), ("valid", 2), ("test", 1))):
        x, labels = getattr(data, part)[:, 0, 0].tolist(), getattr(data, f"{part}_labels")
        assert x == [100 * p + 30] * size + [100 * p + 40] * size
        assert labels.tolist() == [0] * size + [1] * size
    assert "as parts" in data.source


@pytest.mark.parametrize(
    ("layout", "sizes", "expected"),
    [
        (("train/{c}", "", "test/{c}"), (20, 0, 5), (36, 4, 10)),
        (("train/{c}", "val/{c}", ""), (20, 5, 0), (36, 10, 4)),
        (("train/{c}", "", ""), (20, 0, 0), (32, 4, 4)),
    ],
)
def test_a_missing_part_is_a_tenth_of_the_training_images(put, read, layout, sizes, expected):
    fill(put, layout, sizes)
    data = read()
    assert (len(data.train), len(data.valid), len(data.test)) == expected
    missing = [p for p, size in zip(("train", "valid", "test"), sizes, strict=True) if not size]
    assert f"a tenth of train drawn at random for {' and for '.join(missing)}" in data.source
    assert sorted(np.concatenate([getattr(data, p)[:, 0, 0] for p in ("train", *missing)])) == (
        [30] * 20 + [40] * 20
    )
    for p in ("train", *missing):
        assert (getattr(data, f"{p}_labels") == (getattr(data, p)[:, 0, 0] == 40)).all()


def test_a_part_without_classes_has_no_labels(put, read):
    fill(put, ("train/{c}", "", ""), (5, 0, 0))
    for number in range(3):
        put(f"test/{number}.png", grey(100))
    data = read()
    assert data.class_names == ("cat", "dog")
    assert data.train_labels is not None
    assert data.test_labels is None
    assert len(data.test) == 3


def test_parts_without_any_classes(put, read):
    for part, size in (("train", 4), ("test", 2)):
        for number in range(size):
            put(f"{part}/{number}.png", grey(100))
    data = read()
    assert (len(data.train), len(data.valid), len(data.test)) == (3, 1, 2)
    assert (data.train_labels, data.class_names) == (None, None)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("train/a", "cats/a"), "holds train, which may be .* beside cats"),
        (("train/a", "test/a", "unlabeled/a"), "holds test, train, .* beside unlabeled"),
        (
            ("bus/a", "car/a", "train/a"),
            "holds train, .* beside bus, car: .* such as to train_class",
        ),
        (("train/a", "test/a", "loose"), "holds test, train, .* beside images outside them"),
        (("test/a", "val/a"), "holds test, val, but no part for training"),
        (("test/a",), "holds test, but no part for training"),
        (("a/train/1", "a/test/1", "b/1"), "holds test, train, .* beside images outside them"),
        (("a/train/1", "a/test/1", "b/extra/1"), "holds test, train, .* beside extra"),
    ],
)
def test_parts_among_other_folders_are_refused(put, read, names, words):
    for name in names:
        put(f"{name}.png", grey(10))
    with pytest.raises(UserError, match=rf"pictures {words}"):
        read()


@pytest.mark.parametrize(
    "classes",
    [
        ("trainer", "tester"),
        ("bullet_train", "crash_test"),
        ("training wheels", "latest"),
        ("a/dev", "b"),
    ],
)
def test_folders_with_similar_names_are_classes(put, read, classes):
    for name in classes:
        for number in range(5):
            put(f"{name}/{number}.png", grey(10))
    assert read().class_names == tuple(sorted(name.split("/")[0] for name in classes))


def test_names_that_are_not_utf8_are_read_and_shown(put, folder, read):
    for c, name in enumerate((b"caf\xe9", b"na\xefve")):
        place = os.path.join(os.fsencode(folder), name)
        os.mkdir(place)
        for number in range(5):
            Image.fromarray(grey(10 * c + 10)).save(os.path.join(place, b"\xff%d.png" % number))
    data = read()
    assert data.class_names == (r"caf\xe9", r"na\xefve")
    assert len(read().train) == 8  # from the cache


def test_a_folder_whose_name_is_not_utf8_is_shown(tmp_path):
    folder = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    os.mkdir(folder)
    with pytest.raises(UserError, match=r"caf\\xe9 holds no image"):
        load(folder)
    for number in range(5):
        Image.fromarray(grey(10)).save(os.path.join(folder, f"{number}.png"))
    data = load(folder, cache_dir=tmp_path / "cache")
    assert data.name == r"caf\xe9"
    assert (data.name + data.source).encode("utf-8")


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
    (folder / "sub/b.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"b.png cannot be read \(cannot identify"):
        read()
    (folder / "sub/b.png").unlink()
    with pytest.raises(UserError, match=r"has 1 example, too few to split"):
        read()


@pytest.mark.parametrize("what", ["file", "folder", "entering"])
def test_what_may_not_be_read_is_named(put, read, folder, monkeypatch, what):
    """Root may read everything, so the refusals of the system are imitated."""
    put("sub/a.png", grey(10))
    closed = folder / "sub" / ("a.png" if what != "folder" else "")

    def refusing(function):
        def call(path, *args, **kwargs):
            if str(path) == str(closed):
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *args, **kwargs)

        return call

    if what == "file":
        monkeypatch.setattr(Image, "open", refusing(Image.open))
    elif what == "folder":
        monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    else:
        monkeypatch.setattr("pathlib.Path.stat", refusing(type(folder).stat))
    with pytest.raises(
        UserError, match=r"pictures/sub.* cannot be read \(permission denied\): allow"
    ):
        read()


def test_decompression_bombs_are_refused(put, read, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)  # Pillow warns above, and fails at 30
    put("a.png", grey(1))
    with pytest.raises(UserError, match=r"a.png cannot be read \(Image size \(20 pixels\)"):
        read()
