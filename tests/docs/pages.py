"""The pages of the documentation, and what is printed in them: code, commands, paragraphs."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(
    r"python -m |cpvae (export|fit|impute|predict|report|sample)\b|pip install |pytest$|mkdocs |taskset "
)
"""How a command begins that stands within a sentence."""


def name(page):
    """The page's path in the repository, for the names of tests."""
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """The fenced blocks of a page in one language, in order."""
    return [text for found, text in FENCE.findall(page.read_text()) if found == language]


def paragraphs(page):
    """The paragraphs of a page, the items of its lists and the rows of its tables, as one line each."""
    text = FENCE.sub("", page.read_text())
    parts = re.split(r"\n\s*\n|\n(?=[-|]|\d\. )", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def shell(page):
    """The commands of a page's blocks of shell, as lists of words."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [command for line in lines for command in split(line)]


def inline(page):
    """The commands within a page's sentences, as lists of words."""
    text = FENCE.sub("", page.read_text())
    found = (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text))
    return [command for code in found if PROGRAM.match(code) for command in split(code)]


def split(line):
    """The commands of a line of shell: `a && b &` gives [["a"], ["b"]].

    >>> split("pip install -e '.[test]' && pytest  # all")
    [['pip', 'install', '-e', '.[test]'], ['pytest']]
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands = [[]]
    for word in lexer:
        if set(word) <= set("&;|"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]
