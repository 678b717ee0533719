"""The folders where data sets and the cache are."""

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.data.paths import printable
from cpvae_jax.errors import UserError
from cpvae_jax.storage import folders


@dataclass(frozen=True)
class Places:
    """Where loaders look for data.

    Attributes:
      data_dir: The folder of TensorFlow Datasets (TFDS), with subfolders such as `mnist/3.0.1`.
      manual_dir: The folder of original files that the user downloaded.
      cache_dir: The folder of decoded arrays.
    """

    data_dir: Path
    manual_dir: Path
    cache_dir: Path

    @classmethod
    def find(
        cls,
        data_dir: str | os.PathLike | None = None,
        manual_dir: str | os.PathLike | None = None,
        cache_dir: str | os.PathLike | None = None,
    ) -> "Places":
        """Returns the given folders; those left out come from the environment or the defaults.

        A user without a home folder gets a private folder for temporary files in place of `~`.

        Args:
          data_dir: By default TFDS_DATA_DIR, otherwise `~/tensorflow_datasets`.
          manual_dir: By default `downloads/manual` in `data_dir`.
          cache_dir: By default CPVAE_JAX_CACHE, otherwise `~/.cache/cpvae_jax`.

        Raises:
          UserError: `manual_dir` is given, but is not a folder; or a folder is a URL such as
            `gs://bucket`, or its `~` stands for no folder.

        >>> Places.find("/data", cache_dir="/cache").manual_dir.as_posix()
        '/data/downloads/manual'
        """
        set_to = os.environ.get("TFDS_DATA_DIR", "")
        try:
            data = _folder("data", data_dir, set_to, "tensorflow_datasets")
        except UserError:
            if data_dir:
                raise
            # A URL, perhaps. It matters only to a data set of TFDS, which calls `local` again.
            data = Path(set_to)
        if manual_dir is None:
            manual = data / "downloads" / "manual"  # where TFDS itself looks
        else:
            manual = local("manual", manual_dir)
            if not os.path.isdir(manual):
                raise UserError(
                    f"The manual folder {printable(manual)} is not a folder: give the folder of the "
                    "original files, or leave the option out."
                )
        set_to = os.environ.get("CPVAE_JAX_CACHE", "")
        return cls(data, manual, _folder("cache", cache_dir, set_to, ".cache/cpvae_jax"))


def _folder(what: str, given: str | os.PathLike | None, set_to: str, otherwise: str) -> Path:
    """Returns `given`, else the value of an environment variable, else `otherwise` at home."""
    chosen = given or set_to
    return local(what, chosen) if chosen else _home() / otherwise


def local(what: str, path: str | os.PathLike) -> Path:
    """Returns the absolute path of a folder of this machine.

    Args:
      what: Which folder it is, for the error message.
      path: The folder, perhaps with `~`.

    Raises:
      UserError: It is a URL such as `gs://bucket`, or its `~` stands for no folder.
    """
    return folders.given(path, f"the {what} folder").absolute()


def _home() -> Path:
    """Returns the user's home folder, or a private temporary one if there is none."""
    try:
        return Path.home().absolute()
    except RuntimeError:  # neither HOME nor an entry of the user database, as in some containers
        return _private()


def _private() -> Path:
    """Returns a folder for temporary files that nobody else can write to.

    Compiled programs are kept there, so another user's folder of the same name must not be used.
    """
    number = os.getuid()
    path = Path(tempfile.gettempdir(), f"cpvae_jax-{number}")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:  # a file of that name, or no permission
        return Path(tempfile.mkdtemp(prefix="cpvae_jax-"))
    if stat.S_ISDIR(found.st_mode) and found.st_uid == number and not found.st_mode & 0o022:
        return path
    return Path(tempfile.mkdtemp(prefix="cpvae_jax-"))
