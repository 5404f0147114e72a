"""README.md, and the programs in it."""
import re

from .protos import ROOT

README = (ROOT / "README.md").read_text()


def blocks(language, text=README):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def command(beginning):
    """The first line that begins so."""
    return next(line for line in README.splitlines() if line.startswith(beginning))
