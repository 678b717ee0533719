"""What the tests of the commands share: the message of a refused command, the epochs of a process."""

import time


def message(capsys):
    """The one line that a refused command prints, without more."""
    text = capsys.readouterr().err.strip()
    assert text.startswith("error: ")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def wait_for_epochs(process, log, num):
    """Returns when the log of a training has `num` epochs."""
    deadline = time.monotonic() + 300
    while not log.exists() or len(log.read_text().splitlines()) < num:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
