"""Standard streams of a command: no print can end it, whatever the streams are."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cpvae_jax.commands.main import exit_code

REPOSITORY = Path(__file__).parents[2]

PROGRAM = r"""
import sys
from cpvae_jax.commands.main import as_process

def command():
    print("-1.5 \u00b1 0.2 nats \u2026 \u00e9 \udcff")
    print("note \u00b1", file=sys.stderr)
    for _ in range(20):
        print("y" * 5000, flush=True)
    with open(sys.argv[1], "w") as file:
        file.write("scores")
    print("the end")
    return int(sys.argv[2])

sys.exit(as_process(command))
"""


def run(path, shell, *, code=0, **environment):
    """Runs the program in a shell. In any case it must write its file, without what it prints.

    If the shell closed descriptor 1, the file would receive the output if nothing was done.
    """
    path /= "scores"
    words = [sys.executable, PROGRAM, str(path), str(code)]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    done = subprocess.run(
        ["bash", "-c", shell.replace("PROGRAM", '"$0" -c "$1" "$2" "$3"'), *words],
        cwd=REPOSITORY,
        env={**clean, **environment},
        capture_output=True,
    )
    assert path.read_text() == "scores"
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"-1.5 +- 0.2 nats ... \\xe9 \\udcff"),
        (
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            b"-1.5 +- 0.2 nats ... \\xe9 \\udcff",
        ),
        ({"PYTHONIOENCODING": "latin-1:strict"}, b"-1.5 \xb1 0.2 nats ... \xe9 \\udcff"),
        ({"PYTHONIOENCODING": "utf-8"}, "-1.5 ± 0.2 nats … é \\udcff".encode()),
    ],
)
def test_every_character_can_be_printed(environment, line, tmp_path):
    done = run(tmp_path, "PROGRAM", **environment)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == line
    assert done.stdout.splitlines()[-1] == b"the end"


@pytest.mark.parametrize(
    ("shell", "code", "expected"),
    [
        ("PROGRAM >&-", 0, 0),
        ("PROGRAM 2>&-", 0, 0),
        ("PROGRAM <&- >&- 2>&-", 0, 0),
        ("PROGRAM 2>/dev/full", 0, 0),
        ("PROGRAM >/dev/full", 0, 2),
        ("PROGRAM >/dev/full", 130, 130),
        ("PROGRAM | true; exit ${PIPESTATUS[0]}", 0, 141),
        ("PROGRAM | head -n 1; exit ${PIPESTATUS[0]}", 0, 141),
        ("PROGRAM 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}", 0, 0),
    ],
)
def test_a_stream_that_takes_nothing_does_not_end_the_command(shell, code, expected, tmp_path):
    done = run(tmp_path, shell, code=code)
    assert done.returncode == expected
    if expected == 2:
        lost = "error: the standard output cannot be written (No space left on device)"
        assert done.stderr.decode().splitlines()[-1].startswith(lost)


def test_a_pipe_that_does_not_block_gets_all_of_the_output(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "scores"), "0"]
    with subprocess.Popen(words, cwd=REPOSITORY, stdout=writer, stderr=subprocess.DEVNULL) as child:
        os.close(writer)
        with open(reader, "rb") as output:
            text = output.read()
    assert child.returncode == 0
    assert text.count(b"y") == 100_000
    assert text.endswith(b"the end\n")


def test_a_command_called_from_python_prints_every_character(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert exit_code(lambda: print("±\udcff", flush=True)) == 0
    assert stream.buffer.getvalue() == b"+-\\udcff\n"
    assert stream.errors == "strict"  # as before
