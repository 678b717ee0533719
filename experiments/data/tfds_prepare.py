"""Prepares a data set of TFDS without TensorFlow. A failure leaves nothing behind."""

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

from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError

# Long enough for a distant host; TFDS itself would retry for minutes.
_REACH_SECONDS = 2.0


def is_prepared(folder: Path) -> bool:
    """Returns whether `folder` holds a data set in the one format readable without TensorFlow.

    Raises:
      UserError: The folder holds something else.
    """
    if not folder.exists():
        return False
    if (folder / "dataset_info.json").is_file() and any(folder.glob("*.array_record-*")):
        return True
    raise UserError(
        f"{folder} holds no data set in the array_record format, the only format that can be read "
        "without TensorFlow: give another --data-dir, or rename the folder, to prepare it again."
    )


def prepare(
    folder: Path, urls: Sequence[str], builder: Callable[[Path], type], places: Places
) -> None:
    """Creates `folder` from the original files at `urls`.

    Original files in `places.manual_dir` are used, the others are downloaded; TFDS checks the
    checksums of both. The data set is prepared in a temporary folder and renamed at the end, so
    that a failure leaves nothing behind.

    Args:
      folder: The folder to create, `data_dir/name/version`.
      urls: The original files.
      builder: Returns the TFDS builder class, given the folder of original files.
      places: Its `manual_dir` may hold original files; `folder` is in its `data_dir`.

    Raises:
      UserError: A file is missing and its host cannot be reached, or the preparation failed.
    """
    name = folder.parent.name
    _check_reach(name, urls, places)
    import tensorflow_datasets as tfds

    failures = (
        OSError,  # the network failed, no space, no permission
        tfds.download.DownloadError,
        tfds.core.download.download_manager.NonMatchingChecksumError,
    )
    try:
        # TFDS prints its progress, which is not the output of a command.
        with _workshop(places.data_dir) as workshop, contextlib.redirect_stdout(sys.stderr):
            maker = builder(places.manual_dir)(data_dir=workshop, file_format="array_record")
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
            f"the network, the free space and permissions of that folder, and the files in "
            f"{places.manual_dir}."
        ) from error


def _check_reach(name: str, urls: Sequence[str], places: Places) -> None:
    """Raises a `UserError` if a file is missing and its host cannot be reached."""
    missing = [url for url in urls if not os.path.isfile(places.manual_dir / Path(url).name)]
    for host in sorted({urlsplit(url).hostname or "" for url in missing}):
        if not _reachable(host):
            files = ", ".join(Path(url).name for url in missing)
            raise UserError(
                f"The data set {name} is not prepared in {places.data_dir}, and {host} cannot be "
                "reached to download it: connect to a network, give a --data-dir that has it, or "
                f"put the original files ({files}) into {places.manual_dir}."
            )


def _reachable(host: str) -> bool:
    """Returns whether a connection to `host`, or to the proxy, opens in `_REACH_SECONDS`."""
    proxy = urlsplit(getproxies().get("https", ""))
    address = (proxy.hostname, proxy.port or 443) if proxy.hostname else (host, 443)
    opened = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection(address, _REACH_SECONDS):
            opened.set()

    # In a thread, because a name look-up has no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_REACH_SECONDS)
    return opened.is_set()


@contextlib.contextmanager
def _workshop(data_dir: Path) -> Iterator[Path]:
    """Yields a temporary folder in `data_dir`; on failure, removes `data_dir` if it was new."""
    made = [path for path in (data_dir, *data_dir.parents) if not path.exists()]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # In `data_dir`, so that moving the result is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".preparing-", dir=data_dir) as folder:
            yield Path(folder)
    except BaseException:
        for path in made:  # innermost first
            with contextlib.suppress(OSError):  # another program has put something there
                path.rmdir()
        raise


def _move(made: Path, folder: Path) -> None:
    """Renames `made` to `folder`, unless another process has prepared it in the meantime."""
    folder.parent.mkdir(exist_ok=True)
    try:
        os.rename(made, folder)
    except OSError:
        if not is_prepared(folder):
            raise
