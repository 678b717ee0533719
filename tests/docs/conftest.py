"""A folder with the files that the documentation's examples read."""

import numpy as np
import pytest
from PIL import Image

from tests.docs.pages import ROOT


def write_table(path, rng, *, species, num=120):
    """A table with gaps, an id, a comment, columns of all kinds, and perhaps a label."""
    lines = ["id,length,price,visits,colour,member,rating,comment" + ",species" * species]
    for row in range(num):
        cells = [
            f"{rng.normal(5, 1):.2f}",
            f"{np.exp(rng.normal(3, 1)):.2f}",
            str(rng.poisson(2)),
            str(rng.choice(["red", "green", "blue"])),
            str(rng.choice(["yes", "no"])),
            str(rng.integers(1, 6)),
        ]
        cells = ["" if rng.random() < 0.1 else cell for cell in cells]
        end = [rng.choice(["fine", "broken", "as new"])] + [f"kind {row % 3}"] * species
        lines.append(",".join([str(row), *cells, *end]))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """Files of the user's own, under the names on the pages; examples and results of the repository."""
    folder = tmp_path_factory.mktemp("documentation")
    for shared in ("examples", "results"):
        (folder / shared).symlink_to(ROOT / shared)
    rng = np.random.default_rng(0)
    np.savez(folder / "mine.npz", x=rng.random((120, 4, 4)), y=np.arange(120) % 3)
    write_table(folder / "mine.csv", rng, species=True)
    write_table(folder / "new.csv", rng, species=False)
    for index in range(30):  # of several sizes
        pixels = rng.integers(0, 256, (30 + index, 40, 3), np.uint8)
        path = folder / "folder/of/photographs" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    for index, pixels in enumerate(rng.integers(0, 256, (60, 4, 4), np.uint8)):
        path = folder / "folder/of/images" / str(index % 3) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    arrays = folder / "folder/of/arrays"
    arrays.mkdir(parents=True)
    for part, num in (("train", 200), ("valid", 50), ("test", 50)):
        np.save(arrays / f"{part}.npy", rng.integers(0, 256, (num, 4, 4), np.uint8))
    return folder
