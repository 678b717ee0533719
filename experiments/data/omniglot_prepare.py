"""Prepares Omniglot for TFDS without TensorFlow, from the two archives of its authors."""

import io
import zipfile
from pathlib import Path

VERSION = "3.0.0"
URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
# The archive of each split of TFDS.
FILES = {"train": "images_background.zip", "test": "images_evaluation.zip"}


def builder(manual_dir: Path) -> type:
    """Returns the TFDS builder of Omniglot, with the steps that need TensorFlow replaced.

    Args:
      manual_dir: Not used; TFDS itself finds the original files there.
    """
    del manual_dir
    import tensorflow_datasets as tfds

    # `skip_registration` is a keyword of TFDS; it keeps its own Omniglot registered.
    class Omniglot(tfds.image_classification.Omniglot, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version(VERSION)

        def _split_generators(self, dl_manager):
            # TFDS has two more splits, small1 and small2, which repeat parts of train.
            paths = dl_manager.download({part: URL + file for part, file in FILES.items()})
            drawings = {part: _read_zip(path) for part, path in paths.items()}
            names = {
                label: f"{alphabet}_{character}"
                for examples in drawings.values()
                for _, alphabet, character, label, _ in examples
            }
            features = self.info.features
            features["label"].names = [names[label] for label in sorted(names)]
            features["alphabet"].names = sorted(
                {example[1] for examples in drawings.values() for example in examples}
            )
            return {part: self._generate_examples(d) for part, d in drawings.items()}

        def _generate_examples(self, drawings):
            for key, alphabet, character, label, png in drawings:
                yield (
                    key,
                    {
                        "image": io.BytesIO(png),
                        "alphabet": alphabet,
                        "alphabet_char_id": character,
                        "label": label,
                    },
                )

    return Omniglot


def _read_zip(path: Path) -> list[tuple[str, str, int, int, bytes]]:
    """Returns the drawings in an archive: key, alphabet, character, label and PNG of each.

    The files in it are named `images_background/ALPHABET/characterNN/LLLL_DD.png`; NN and LLLL
    count from 1. The character counts within its alphabet. TFDS sorts by a hash of the key, so
    the keys must be those of its own builder.
    """
    found = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                _, alphabet, folder, image = name.split("/")
                character = int(folder.removeprefix("character")) - 1
                label = int(image.split("_")[0]) - 1
                key = f"{alphabet}_{character}_{image}"
                found.append((key, alphabet, character, label, archive.read(name)))
    return found
