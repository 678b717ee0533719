"""Command-line flags made from the fields of dataclasses.

Each field becomes one flag: `batch_size: int = 100` becomes `--batch-size`, a whole number with
the default 100. The field's metadata describes the rest:

help         the help text; required
choices      the values allowed
metavar      what the help shows in place of the value
type         a function from text to the value, where the annotation does not say enough
const        the value used when the flag is given without one
positional   True for an argument without a flag
flag         the name of the flag, where it is not that of the field
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from cpvae_jax.errors import UserError
from cpvae_jax.storage import folders

SEEDS = 2**32
"""The number of seeds: a seed is a whole number from 0 to SEEDS - 1."""


def option(default: Any = MISSING, help: str = "", **metadata: Any) -> Any:
    """A dataclass field that becomes a flag; without a default the flag is required.

    >>> @dataclass(frozen=True)
    ... class Draw:
    ...     num: int = option(64, "number of examples")
    >>> parse(["--num", "3"], program="draw", description="", groups={"draw": [Draw]})
    [Draw(num=3)]
    """
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class Partial:
    """Flags for the fields of a dataclass that is completed later: only given values are kept.

    Attributes:
      record: the dataclass.
      without: names of fields that get no flag.
      change: metadata that replaces the fields' own, by field name. `default` in it is the text
        that the help shows as the default.
    """

    record: type
    without: tuple[str, ...] = ()
    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def parse(
    argv: Sequence[str] | None,
    *,
    program: str,
    description: str,
    groups: Mapping[str, Sequence[type | Partial]],
) -> list[Any]:
    """Reads a command line into records.

    An error in the flags ends the program with a message and exit code 2.

    Args:
      argv: the arguments; None takes those of this process.
      program: the command's name, such as "cpvae fit".
      description: what the help says about the command.
      groups: the dataclasses of each group of flags, by the group's title.

    Returns:
      For each dataclass in order, a record of it; for each `Partial`, a dictionary of the values
      that were given.
    """
    parser = argparse.ArgumentParser(prog=program, description=description, allow_abbrev=False)
    for title, parts in groups.items():
        group = parser.add_argument_group(title)
        for part in parts:
            for flag in _flags(part):
                flag.add_to(group, keep_default=not isinstance(part, Partial))
    namespace = vars(parser.parse_args(argv))
    return [_made(part, namespace) for parts in groups.values() for part in parts]


def written(part: type | Partial, values: Mapping[str, Any]) -> list[str]:
    """The arguments from which `parse` reads these values; values equal to the default are left out.

    >>> @dataclass(frozen=True)
    ... class Draw:
    ...     num: int = option(64, "number of examples")
    ...     sizes: tuple[int, ...] = option((), "sizes")
    >>> written(Draw, {"num": 64, "sizes": (3, 4)})
    ['--sizes', '3', '4']
    """
    found: list[str] = []
    for flag in _flags(part):
        value = values.get(flag.name)
        default = None if isinstance(part, Partial) else flag.default
        if value is None or value == default or value is False:
            continue
        items = value if flag.many else () if value is True else (value,)
        found += [flag.text] * (not flag.positional) + [_word(item) for item in items]
    return found


def seed(text: str) -> int:
    """A seed that every random number generator here accepts."""
    number = int(text)
    if not 0 <= number < SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text} is out of range; give a seed from 0 to {SEEDS - 1}"
        )
    return number


def named_number(text: str) -> tuple[str, float]:
    """NAME=NUMBER as a pair.

    >>> named_number("consistency=0.5")
    ('consistency', 0.5)
    """
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} has no weight; write NAME=WEIGHT, such as {name}=1.0"
        ) from None


def _word(value: Any) -> str:
    """A value as it is typed on a command line."""
    return "=".join(map(str, value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class _Flag:
    """One flag: a field, its type and its metadata."""

    name: str
    element: Any
    """The type of the value, or of each of several values."""
    many: bool
    """Whether the flag takes one or more values, which become a tuple."""
    default: Any
    metadata: Mapping[str, Any]

    @property
    def positional(self) -> bool:
        return bool(self.metadata.get("positional"))

    @property
    def text(self) -> str:
        """The flag as typed: --batch-size."""
        return "--" + self.metadata.get("flag", self.name).replace("_", "-")

    def help(self) -> str:
        """The help text with the default at its end, if there is one to show."""
        default = self.metadata.get("default", self.default)
        words = self.metadata["help"]
        if not any(default is nothing for nothing in (MISSING, None, False, ())):
            shown = " ".join(map(_word, default)) if isinstance(default, tuple) else default
            words += f" (default: {shown})"
        return words.replace("%", "%%")

    def add_to(self, group: argparse._ActionsContainer, *, keep_default: bool) -> None:
        """Add the flag to a group of a parser."""
        how: dict[str, Any] = {"help": self.help(), "default": argparse.SUPPRESS}
        if keep_default and self.default is not MISSING:
            how["default"] = self.default
        if self.element is bool:
            group.add_argument(self.text, dest=self.name, action="store_true", **how)
            return
        how["type"] = self.metadata.get("type") or _parser(self.element)
        how |= {key: self.metadata[key] for key in ("choices", "metavar") if key in self.metadata}
        if self.many:
            how["nargs"] = "+" if self.default is MISSING or not self.positional else "*"
        elif "const" in self.metadata:
            how |= {"nargs": "?", "const": self.metadata["const"]}
        if self.positional:
            how.setdefault("metavar", self.name.upper())
            group.add_argument(self.name, **how)
        else:
            if self.many:
                how["action"] = _Collect
            required = keep_default and self.default is MISSING
            group.add_argument(self.text, dest=self.name, required=required, **how)


class _Collect(argparse.Action):
    """The values of a flag that is given several times, one after another, without the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add values to those given before."""
        before = getattr(namespace, self.dest, self.default)
        given = [] if before is self.default else before
        setattr(namespace, self.dest, [*given, *values])


def _flags(part: type | Partial) -> list[_Flag]:
    """The flags of a dataclass."""
    partial = part if isinstance(part, Partial) else Partial(part)
    hints = get_type_hints(partial.record)
    return [
        _flag(of, hints[of.name], partial.change.get(of.name, {}))
        for of in fields(partial.record)
        if of.name not in partial.without
    ]


def _flag(of: Field, annotation: Any, change: Mapping[str, Any]) -> _Flag:
    default = of.default
    if default is MISSING and of.default_factory is not MISSING:
        default = of.default_factory()
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (arm for arm in get_args(annotation) if arm is not NoneType)
    many = get_origin(annotation) is tuple and get_args(annotation)[-1:] == (...,)
    element = get_args(annotation)[0] if many else annotation
    return _Flag(of.name, element, many, default, {**of.metadata, **change})


def _parser(element: Any) -> Callable[[str], Any]:
    """The function that reads one value of a type."""
    if element is Path:
        return _path
    return named_number if get_origin(element) is tuple else element


def _path(text: str) -> Path:
    """A path on this machine, with ~ expanded."""
    try:
        return folders.given(text, "the path")
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _made(part: type | Partial, namespace: Mapping[str, Any]) -> Any:
    """A record, or the values given for a `Partial`, from the parsed command line."""
    values = {
        flag.name: tuple(namespace[flag.name]) if flag.many else namespace[flag.name]
        for flag in _flags(part)
        if flag.name in namespace
    }
    return values if isinstance(part, Partial) else part(**values)
