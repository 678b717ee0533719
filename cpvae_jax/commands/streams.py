"""The standard streams of a command: nothing that is printed can end it.

A terminal may lack characters, a reader such as `head` may end early, a disk may be full, and the
caller may have closed a stream. A command that computes for hours goes on, and what it writes to
files is complete.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

PLAIN = {"±": "+-", "–": "-", "−": "-", "…": "...", "×": "x", "≥": ">=", "≤": "<="}
"""What stands for a character in an encoding that lacks it; other characters are escaped."""

ERRORS = "cpvae_jax.plain"
"""The name of the handler of encoding errors that does this."""


class _Output(io.FileIO):
    """A file descriptor that drops what it cannot write, and keeps the first error."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, or drop; where the descriptor does not block, wait until it takes more."""
        try:
            while self.error is None:
                written = super().write(data)
                if written is not None:
                    return written
                select.select((), (self,), ())
        except OSError as error:
            self.error = error
        return len(data)


class Streams:
    """Standard output and standard error of this process, made safe to print to."""

    def __init__(self) -> None:
        _fill()
        sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 - until the process ends
        self._output, sys.stdout = _safe(sys.stdout, line_buffering=False)
        _, sys.stderr = _safe(sys.stderr, line_buffering=True)

    def exit_code(self, code: int) -> int:
        """The exit code of the command, once all output is written.

        A code of 0 becomes that of SIGPIPE if the reader of the output ended, as shells expect, and
        2, with a message, if the output was lost for another reason.
        """
        sys.stdout.flush()
        error = self._output.error if self._output else None
        if error is not None and error.errno != errno.EPIPE:
            print(
                f"error: the standard output cannot be written ({error.strerror}); free its disk or "
                "send it elsewhere. Files that the command writes are complete.",
                file=sys.stderr,
            )
        if error is None or code:
            return code
        return 128 + signal.SIGPIPE if error.errno == errno.EPIPE else 2


def _fill() -> None:
    """Opens the descriptors 0, 1 and 2 if the caller closed them.

    Otherwise the next file to be opened, such as a checkpoint, would receive what is printed.
    """
    number = 0
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def _safe(stream: TextIO | None, *, line_buffering: bool) -> tuple[_Output | None, TextIO]:
    """A stream in place of another one; one that is no descriptor, such as a test's, is kept."""
    if stream is None:
        return None, open(os.devnull, "w", errors=ERRORS)
    try:
        stream.flush()
        output = _Output(stream.fileno())
    except (OSError, ValueError):
        return None, stream
    text = io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=stream.encoding,
        errors=ERRORS,
        line_buffering=line_buffering or stream.isatty(),
    )
    return output, text


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Handles an encoding error: characters that the encoding lacks, as `PLAIN` or as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    escaped = (c.encode("ascii", "backslashreplace").decode() for c in lost)
    return "".join(PLAIN.get(c, e) for c, e in zip(lost, escaped, strict=True)), error.end


codecs.register_error(ERRORS, _plain)


@contextmanager
def any_character() -> Iterator[None]:
    """A block in which both streams take every character, also where they are not this module's."""
    changed = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=ERRORS)
            changed.append(stream)
    try:
        yield
    finally:
        for stream in changed:
            if not stream.closed:
                stream.reconfigure(errors="strict")
