"""Preparing a data set of TFDS without TensorFlow, wholly or not at all."""

import contextlib
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from cpvae_jax.errors import UserError
from experiments.data.places import Places

# Long enough for a far host; left to itself TFDS would try again for minutes.
_REACH_SECONDS = 2.0


def is_prepared(folder: Path) -> bool:
    """Tells whether `folder` holds a data set in the one format readable without TensorFlow.

    Raises:
      UserError: it holds something else.
    """
    if not folder.exists():
        return False
    if (folder / "dataset_info.json").is_file() and any(folder.glob("*.array_record-*")):
        return True
    raise UserError(
        f"{folder} holds no data set in the array_record format, the one that can be read without "
        "TensorFlow: delete it or name another --data-dir, so that it can be prepared anew."
    )


def prepare(folder: Path, urls: Sequence[str], builder: Callable[[], type], places: Places) -> None:
    """Makes `folder` (`data_dir/name/version`) from the originals at `urls`.

    Originals that lie in `places.manual_dir` are used from there, the others downloaded; TFDS
    checks the checksum of either. All is made in a temporary folder and moved at the end, so
    that nothing half-made is left behind.

    Raises:
      UserError: an original is missing and its host out of reach, or preparing failed.
    """
    name = folder.parent.name
    _check_reach(name, urls, places)
    import tensorflow_datasets as tfds

    failures = (
        OSError,  # no network midway, no space, no permission
        tfds.download.DownloadError,
        tfds.core.download.download_manager.NonMatchingChecksumError,
    )
    try:
        # What TFDS says as it goes is no output of ours.
        with _workshop(places.data_dir) as workshop, contextlib.redirect_stdout(sys.stderr):
            maker = builder()(data_dir=workshop, file_format="array_record")
            maker.download_and_prepare(
                download_dir=workshop / "downloads",
                download_config=tfds.download.DownloadConfig(
                    manual_dir=places.manual_dir,
                    try_download_gcs=False,
                    force_checksums_validation=True,
                ),
            )
            _move(Path(maker.data_dir), folder)
    except failures as error:
        raise UserError(
            f"Preparing {name} in {places.data_dir} failed ({' '.join(str(error).split())}): check "
            f"the network, the space and the permissions there, and the files in "
            f"{places.manual_dir}."
        ) from error


def _check_reach(name: str, urls: Sequence[str], places: Places) -> None:
    """Raises a UserError if a file is missing whose host cannot be reached."""
    missing = [url for url in urls if not (places.manual_dir / Path(url).name).is_file()]
    for host in sorted({urlsplit(url).hostname or "" for url in missing}):
        if not _reachable(host):
            files = ", ".join(Path(url).name for url in missing)
            raise UserError(
                f"The data set {name} is not prepared in {places.data_dir} and {host} cannot be "
                "reached to download it: start once with a network, or name a --data-dir that has "
                f"it, or put the original files ({files}) into {places.manual_dir}."
            )


def _reachable(host: str) -> bool:
    """Tells whether a connection to `host`, or to the proxy on the way, opens in good time."""
    proxy = urlsplit(getproxies().get("https", ""))
    address = (proxy.hostname, proxy.port or 443) if proxy.hostname else (host, 443)
    opened = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection(address, _REACH_SECONDS):
            opened.set()

    # A thread, because looking up a name knows no time limit.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_REACH_SECONDS)
    return opened.is_set()


@contextlib.contextmanager
def _workshop(data_dir: Path) -> Iterator[Path]:
    """Gives a temporary folder in `data_dir`; on failure, `data_dir` too is as it was."""
    made = [path for path in (data_dir, *data_dir.parents) if not path.exists()]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # In `data_dir`, so that moving the result is a renaming on one file system.
        with tempfile.TemporaryDirectory(prefix=".preparing-", dir=data_dir) as folder:
            yield Path(folder)
    except BaseException:
        for path in made:  # the innermost first
            with contextlib.suppress(OSError):  # someone else has put something there
                path.rmdir()
        raise


def _move(made: Path, folder: Path) -> None:
    """Renames `made` to `folder`, unless another process was faster."""
    folder.parent.mkdir(exist_ok=True)
    try:
        os.rename(made, folder)
    except OSError:
        if not is_prepared(folder):
            raise
