"""A folder with the files that the documentation's examples read."""

import numpy as np
import pytest
from PIL import Image

from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """Files of the user's own, under the names on the pages; examples and results of the repository."""
    folder = tmp_path_factory.mktemp("documentation")
    for shared in ("examples", "results"):
        (folder / shared).symlink_to(ROOT / shared)
    rng = np.random.default_rng(0)
    np.savez(folder / "mine.npz", x=rng.random((120, 4, 4)), y=np.arange(120) % 3)
    for index, pixels in enumerate(rng.integers(0, 256, (60, 4, 4), np.uint8)):
        path = folder / "folder/of/images" / str(index % 3) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    arrays = folder / "folder/of/arrays"
    arrays.mkdir(parents=True)
    for part, num in (("train", 200), ("valid", 50), ("test", 50)):
        np.save(arrays / f"{part}.npy", rng.integers(0, 256, (num, 4, 4), np.uint8))
    return folder
