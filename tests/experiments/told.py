"""What the tests of the commands share: the sentence of a refusal, the epochs of a process."""

import time


def sentence(capsys):
    """The one sentence that a refused command prints."""
    text = capsys.readouterr().err.strip()
    assert text.startswith("error: ")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def wait_for_epochs(process, log, num):
    """Returns when a training has told `num` epochs in its log."""
    deadline = time.monotonic() + 300
    while not log.exists() or len(log.read_text().splitlines()) < num:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
