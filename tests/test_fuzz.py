"""A short run of `tests.fuzz`, and a check that it reports findings."""

import random

import pytest

from tests import fuzz


@pytest.mark.parametrize("name", fuzz.KINDS)
def test_a_damaged_file_is_refused_by_name_or_read_unchanged(name):
    found = fuzz.damage(fuzz.KINDS[name], 15, random.Random(name))
    assert found["findings"] == []
    assert found["more_memory_mib"] < 300
    if name != "cache":  # a damaged cache is rebuilt, and never refused
        assert found["refused"] > 0


def _make(path):
    (path / "file").write_text("sound" * 100)


def _misread(path):
    text = (path / "file").read_text(errors="replace")
    return int(text) if len(text) < 100 else text


def test_other_contents_and_other_errors_are_findings():
    found = fuzz.damage(fuzz.Kind(_make, _misread), 60, random.Random(0))
    assert any("finding: other contents" in text for text in found["findings"])
    assert any("ValueError: invalid literal" in text for text in found["findings"])
    assert any("FileNotFoundError" in text for text in found["findings"])
