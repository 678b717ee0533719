"""Flags made from dataclasses: names, types, defaults, help, and the way back to arguments."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from cpvae_jax.commands import flags
from cpvae_jax.commands.flags import Partial, option


@dataclass(frozen=True)
class Everything:
    place: Path = option(help="a folder", positional=True)
    batch_size: int = option(100, "100% of the examples per step")
    K: int | None = option(None, "categories")
    rate: float = option(0.5, "step size")
    sizes: tuple[int, ...] = option((3, 4), "sizes")
    weighted: tuple[tuple[str, float], ...] = option((), "weights", flag="weight", metavar="NAME=W")
    kind: str = option("a", "kind", choices=("a", "b"))
    fast: bool = option(False, "be fast")
    samples: int = option(0, "samples", const=5000, metavar="S")
    seed: int = option(0, "seed", type=flags.seed)


def parse(*arguments):
    (found,) = flags.parse(
        arguments, program="it", description="Does it.", groups={"all": [Everything]}
    )
    return found


GIVEN = [
    *["here", "--batch-size", "7", "--K", "3", "--rate", "1e-3", "--sizes", "1", "2", "3"],
    *["--weight", "a=1.5", "b=-2", "--kind", "b", "--fast", "--samples", "9", "--seed", "4"],
]


def test_every_type_is_read():
    assert parse(*GIVEN) == Everything(
        Path("here"), 7, 3, 1e-3, (1, 2, 3), (("a", 1.5), ("b", -2.0)), "b", True, 9, 4
    )
    assert parse("here") == Everything(Path("here"))
    assert parse("here", "--samples").samples == 5000


def test_a_flag_given_several_times_keeps_all_values():
    found = parse(
        "here", "--weight", "a=1", "--sizes", "1", "--weight", "b=2", "c=3", "--sizes", "2"
    )
    assert found.weighted == (("a", 1.0), ("b", 2.0), ("c", 3.0))
    assert found.sizes == (1, 2)  # the default is replaced


def test_what_is_written_is_read_back():
    for arguments in (GIVEN, ["here"], ["here", "--samples", "0"]):
        found = parse(*arguments)
        written = flags.written(Everything, asdict(found))
        assert parse(*written) == found
    assert flags.written(Everything, asdict(parse("here"))) == ["here"]


def test_the_help_has_names_defaults_and_choices(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--help")
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "100% of the examples per step (default: 100)",
        "--sizes SIZES [SIZES ...] sizes (default: 3 4)",
        "--kind {a,b} kind (default: a)",
        "--weight NAME=W [NAME=W ...] weights",
        "--samples [S] samples (default: 0)",
        "--seed SEED seed (default: 0)",
    ):
        assert words in text, words
    assert "None" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["here", "--K", "ten"], "invalid int value: 'ten'"),
        (["here", "--kind", "c"], "invalid choice: 'c'"),
        (["here", "--weight", "a"], "a has no weight; write NAME=WEIGHT"),
        (["here", "--seed", "-1"], "give a seed from 0 to 4294967295"),
        (["here", "--seed", str(2**32)], "give a seed from 0 to 4294967295"),
        (["here", "--batch", "3"], "unrecognized arguments"),
        ([], "the following arguments are required: PLACE"),
    ],
)
def test_an_error_is_printed_with_exit_code_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(*arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_of_a_partial_record_only_given_values_are_kept(capsys):
    partial = Partial(Everything, without=("place",), change={"K": {"default": "as many as fit"}})

    def read(*arguments):
        return flags.parse(arguments, program="it", description="", groups={"some": [partial]})

    assert read() == [{}]
    values = {"batch_size": 100, "sizes": (1,)}
    assert read("--batch-size", "100", "--sizes", "1") == [values]
    assert flags.written(partial, values) == ["--batch-size", "100", "--sizes", "1"]
    with pytest.raises(SystemExit):
        read("--help")
    text = capsys.readouterr().out
    assert "categories (default: as many as fit)" in text
    assert "(default: 100)" in text
