"""Words as search compares them: both databases get the same normalised text, so both find the same listings."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_WORDS_LIMIT, _LENGTH_LIMIT = 8, 40


def normalise(text: str) -> str:
    """`text` in lower case, accents taken off, everything but letters and digits a space."""
    # casefold may compose and decompose anew, and compatibility forms hide capitals: once before, once after
    return " ".join(_WORD.findall(_plain(_plain(text).casefold())))


def _plain(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))


def query_words(text: str) -> list[str]:
    """The words of a query, normalised: at most 8, each cut at 40 characters. Letters and digits only, so no word can be taken
    for an operator of a query language."""
    return [word[:_LENGTH_LIMIT] for word in normalise(text).split()[:_WORDS_LIMIT]]
