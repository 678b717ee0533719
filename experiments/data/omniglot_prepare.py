"""How TFDS prepares Omniglot without TensorFlow, from the two archives of its authors."""

import io
import zipfile
from pathlib import Path

VERSION = "3.0.0"
URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
# The archive behind each split of TFDS.
FILES = {"train": "images_background.zip", "test": "images_evaluation.zip"}


def builder() -> type:
    """Returns TFDS's builder of Omniglot with every step that needs TensorFlow replaced."""
    import tensorflow_datasets as tfds

    # TFDS takes the keyword: its own Omniglot stays the registered one.
    class Omniglot(tfds.image_classification.Omniglot, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version(VERSION)

        def _split_generators(self, dl_manager):
            # The stock builder's splits small1 and small2 repeat parts of train: left out.
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
    """Returns key, alphabet, character in it, label and PNG of each drawing in an original.

    The names in it are `images_background/ALPHABET/characterNN/LLLL_DD.png`, with NN and LLLL
    counted from one. The keys are those of the stock builder: TFDS orders by a hash of them.
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
