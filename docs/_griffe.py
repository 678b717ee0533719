"""Griffe extensions: what the site does to docstrings before it shows them.

`Doctests` makes code blocks of doctests. `Help` shows the fields of a dataclass with the help text
that the command line shows.
"""

import ast
from typing import Any

import griffe

FIELDS = ("setting", "option")
"""Functions that make a dataclass field from a default and a help text."""


class Doctests(griffe.Extension):
    """Fences every doctest that is outside an `Examples:` section, where Griffe ignores it.

    Unfenced, Markdown would read `>>>` as nested quotations.
    """

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Fence the doctests of one object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


class Help(griffe.Extension):
    """Gives a field its default and its help text in place of the call that makes it."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Rewrite one attribute, if it is such a field."""
        call = attr.value
        if not isinstance(call, griffe.ExprCall) or str(call.function) not in FIELDS:
            return
        default, *rest = call.arguments
        named = {a.name: a.value for a in call.arguments if isinstance(a, griffe.ExprKeyword)}
        text = named.get("help", rest[0] if rest else default)
        attr.value = None if isinstance(default, griffe.ExprKeyword) else default
        attr.docstring = griffe.Docstring(
            ast.literal_eval(str(text)), parent=attr, parser=griffe.Parser.google
        )


def fenced(text: str) -> str:
    """The text with each unindented doctest, up to the next blank line, in a fenced block.

    >>> fenced("Sum.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Sum.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        f"```pycon\n{paragraph}\n```" if paragraph.startswith(">>> ") else paragraph
        for paragraph in paragraphs
    )
