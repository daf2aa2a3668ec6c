"""Licences as cards name them: an SPDX expression, read with license-expression, resolved to terms. Pure: the terms of custom licences
are handed in (`registry.licence_queries.resolved` gets them)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from license_expression import AND, OR, ExpressionError, LicenseSymbol, LicenseWithExceptionSymbol, get_spdx_licensing

from registry.licence_terms import ALIASES, STANDARD, TAKES_OVER, Term, Terms

CUSTOM = "LicenseRef-"
"""What the identifiers of licences outside SPDX's list begin with; here the custom ones of namespaces: `LicenseRef-acme-terms`."""
TEXT_LIMIT = 80
_KEY = re.compile(r"[A-Za-z0-9.+-]+")
_NOTHING = frozenset({"", "other", "unknown", "none", "noassertion", "n/a", "-"})
_STANDARD = {key.lower(): key for key in STANDARD} | ALIASES


@dataclass(frozen=True, slots=True)
class Part:
    """One licence of a choice. `owner`: primary key of the namespace whose custom licence it is; its own terms do not bind it."""

    key: str
    terms: Terms
    owner: int | None = None


Choice = tuple[Part, ...]
"""Licences that hold together (AND). Whoever gets a thing under several choices (OR) takes the one that suits."""


@dataclass(frozen=True, slots=True)
class Licence:
    """`text`: as the card has it; `expression`: normalised, empty when it cannot be read; `choices`: those whose terms are known;
    `problem`: why there is none, as a sentence that says what to do."""

    text: str
    expression: str
    choices: tuple[Choice, ...]
    problem: str

    @property
    def is_known(self) -> bool:
        return bool(self.choices)

    @property
    def name(self) -> str:
        return self.expression or self.text or "no licence"


def parsed(text: str) -> list[frozenset[str]] | None:
    """The choices that an expression leaves, as sets of keys; None for what is no expression. A licence WITH an exception counts as
    the licence: an exception only adds permissions."""
    tree = _tree(text)
    return None if tree is None else sorted(_choices(tree), key=sorted)


def normalised(text: str) -> str:
    """The expression in SPDX's own spelling; empty for what is none."""
    tree = _tree(text)
    return "" if tree is None else str(tree.render("{symbol.key}"))


def custom_keys(texts: Iterable[str]) -> set[str]:
    """The identifiers of custom licences in some expressions."""
    return {
        key for text in texts for keys in parsed(text) or () for key in keys if key.lower().startswith(CUSTOM.lower())
    }


def resolve(text: str, customs: Mapping[str, Part]) -> Licence:
    """What an expression allows and asks. `customs`: the custom licences it may name, by identifier in lower case."""
    text = text.strip()
    choices = parsed(text)
    if text.lower() in _NOTHING:
        return Licence(text, "", (), "No licence is stated: choose one on the licence page of the repository.")
    if choices is None:
        return Licence(
            text,
            "",
            (),
            f"“{text}” is not an SPDX expression: name a licence like Apache-2.0, or publish your own terms as a custom licence.",
        )
    found: list[Choice] = []
    missing: set[str] = set()
    for keys in choices:
        parts = [_part(key, customs) for key in sorted(keys)]
        missing.update(key for key, part in zip(sorted(keys), parts, strict=True) if part is None)
        if known := tuple(part for part in parts if part is not None):
            found.extend([known] if len(known) == len(parts) else [])
    if found:
        return Licence(text, normalised(text), tuple(found), "")
    named = ", ".join(sorted(missing))
    return Licence(
        text,
        normalised(text),
        (),
        f"The terms of {named} are not known here: name a licence of the list, or publish its text and terms as a custom licence.",
    )


def takes_over(key: str, keys: Iterable[str]) -> bool:
    """Whether a derivative of something under the share-alike licence `key` may go under `keys` together."""
    allowed = TAKES_OVER.get(key, frozenset())
    return any(each == key or each in allowed for each in keys)


def joined(choice: Choice) -> Terms | None:
    """What holds when all licences of a choice hold; None for a choice without any (nothing binds)."""
    if not choice:
        return None
    return Terms(
        *(all(part.terms.says(term) for part in choice) for term in list(Term)[:4]),
        *(any(part.terms.says(term) for part in choice) for term in list(Term)[4:]),
    )


def _part(key: str, customs: Mapping[str, Part]) -> Part | None:
    known = _STANDARD.get(key.lower())
    if known is not None:
        return Part(known, STANDARD[known].terms)
    return customs.get(key.lower())


@cache
def _licensing() -> Any:
    return get_spdx_licensing()


@cache
def _known_names() -> re.Pattern[str]:
    names = sorted(ALIASES, key=len, reverse=True)
    return re.compile(rf"(?<![\w.+-])({'|'.join(map(re.escape, names))})(?![\w.+-])", re.IGNORECASE)


def _tree(text: str) -> Any:
    if not text.strip() or len(text) > TEXT_LIMIT or not text.isprintable():
        return None
    spelled = _known_names().sub(lambda match: ALIASES[match[1].lower()], text)
    try:
        tree = _licensing().parse(spelled, validate=False)
    except (ExpressionError, ValueError, LookupError, RecursionError, AttributeError, TypeError):
        # the parser of boolean expressions answers some malformed texts with errors of its own insides
        return None
    if tree is None or not all(_KEY.fullmatch(key) for key in _keys(tree)):
        return None
    return tree


def _keys(tree: Any) -> Iterable[str]:
    if isinstance(tree, AND | OR):
        for each in tree.args:
            yield from _keys(each)
    else:
        yield from _simple(tree)


def _choices(tree: Any) -> set[frozenset[str]]:
    if isinstance(tree, OR):
        return {keys for each in tree.args for keys in _choices(each)}
    if isinstance(tree, AND):
        return {frozenset().union(*keys) for keys in product(*(_choices(each) for each in tree.args))}
    return {frozenset(_simple(tree))}


def _simple(symbol: Any) -> list[str]:
    if isinstance(symbol, LicenseWithExceptionSymbol):
        # only SPDX's own list of exceptions is known to add and never to take
        is_listed = symbol.exception_symbol.key in _licensing().known_symbols
        return [symbol.license_symbol.key if is_listed else f"{symbol.license_symbol.key} with an unknown exception"]
    assert isinstance(symbol, LicenseSymbol)
    return [symbol.key]
