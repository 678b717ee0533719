"""Marks of numbers in tables."""

import pytest

from experiments import marks


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"session": {"commit": "ab12+"}}, "‡"),
        ({"sessions": [{"commit": "ab12"}, {"commit": "cd34+"}]}, "‡"),
        ({"classifier": {"session": {"commit": "ab12+"}}, "session": {"commit": "ab12"}}, "‡"),
        ({"session": {"commit": "ab12", "command": "a+"}, "seeds": [1.5, None]}, ""),
        ({"session": {"commit": None}}, ""),
        ({}, ""),
    ],
)
def test_a_commit_with_a_plus_marks_a_result_wherever_it_stands(result, expected):
    assert marks.modified(result) == expected


def test_scores_of_an_earlier_kind_are_told_by_what_their_files_lack():
    assert marks.purity({"purity": {"mean": 0.5}}) == "†"
    assert marks.purity({"purity": {"mean": 0.5}, "purity_samples_per_category": 200}) == ""
    assert marks.majority({"clustering": {"accuracy_majority": 0.5}}) == "†"
    assert (
        marks.majority({"clustering": {"accuracy_majority": 0.5, "majority_from": "train"}}) == ""
    )


def test_a_footnote_stands_where_its_mark_does():
    notes = (marks.PURITY_NOTE, marks.MODIFIED_NOTE)
    assert marks.footnotes("| 1 |", *notes) == "| 1 |"
    assert marks.footnotes("| 1 ‡ |", *notes) == f"| 1 ‡ |\n\n{marks.MODIFIED_NOTE}"
    assert marks.footnotes("| 1 †‡ |", *notes).endswith("\n\n".join(notes))
