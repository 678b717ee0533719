"""The models of format 1 that the fixtures hold."""

import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parent / "fixtures" / "models-format1.tar.xz"


def unpack(folder: Path) -> None:
    """Put a folder for each model into `folder`."""
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4 on
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, **safe)
