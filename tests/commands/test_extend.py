"""`--extend FILE`: a file that fails ends the command with one sentence, before anything else."""

import os

import pytest

from cpvae_jax.commands import main
from tests.running import message

FILES = {
    "syntax": (b"x = 1\ndef (", "in line 2: SyntaxError: "),
    "missing package": (b"\nimport not_there\n", "in line 2: ModuleNotFoundError: No module"),
    "mistake": (b"def f():\n    return 1 / 0\n\nf()\n", "in line 2: ZeroDivisionError: "),
    "elsewhere": (b"import json\njson.loads('{')\n", "in line 2: json.decoder.JSONDecodeError: "),
    "exit": (b"import sys\nsys.exit(0)\n", "in line 2: SystemExit: 0"),
    "not text": (b"\x00\xff\xfe", ": "),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_fails_is_named_with_its_line(name, tmp_path, capsys):
    content, words = FILES[name]
    file, out = tmp_path / "mine.py", tmp_path / "run"
    file.write_bytes(content)
    assert main.main(["fit", "digits", "--extend", str(file), "--out", str(out)]) == 2
    text = message(capsys)
    assert text.startswith(f"error: --extend {file} ended with an error")
    assert words in text
    assert not out.exists()


@pytest.mark.parametrize("name", ["missing.py", ".", "x" * 300 + ".py", os.fsdecode(b"\xff.py")])
def test_what_is_no_file_is_refused(name, tmp_path, capsys):
    assert main.main(["fit", "digits", "--extend", str(tmp_path / name)]) == 2
    assert "is not a file; give a Python file of your own." in message(capsys)
