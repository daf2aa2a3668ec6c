"""Finding listings: by words, by facets, in four orders, and never one that the actor may not see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accounts.actors import Actor
from accounts.permissions import SCOPE_OF_ACTION, Action
from common.errors import Invalid
from common.pagination import decode_cursor, encode_cursor
from market.models import Listing
from market.policies import visible_listings
from market.queries import with_offers
from market.search_index import FACETS, Ints, Mask, Snapshot, snapshot
from market.search_text import query_words
from market.states import ListingState

PAGE_LIMIT = 100
_RANKED = 5_000
"""Hits up to which they are put in the order of how well they fit; a word in more listings than that says nothing about any."""

Floats = NDArray[np.float64]

_FTS5 = (
    "SELECT rowid, -bm25(market_listingtext, 10.0, 4.0, 1.0) FROM market_listingtext WHERE market_listingtext MATCH %s",
    "SELECT rowid, 0.0 FROM market_listingtext WHERE market_listingtext MATCH %s",
    "SELECT count(*) FROM (SELECT 1 FROM market_listingtext WHERE market_listingtext MATCH %s LIMIT %s)",
)
_GIN = (
    "SELECT listing_id, ts_rank('{0,0.1,0.4,1}', words, q) FROM market_listingdocument, to_tsquery('simple', %s) q WHERE words @@ q",
    "SELECT listing_id, 0.0 FROM market_listingdocument WHERE words @@ to_tsquery('simple', %s)",
    "SELECT count(*) FROM (SELECT 1 FROM market_listingdocument WHERE words @@ to_tsquery('simple', %s) LIMIT %s) hits",
)


class Sort(StrEnum):
    RELEVANCE = "relevance"
    POPULAR = "popular"
    NEWEST = "newest"
    RATED = "rated"


@dataclass(frozen=True)
class SearchPage:
    """`items`: listings with `namespace` joined and the plans on sale in `offers`. `total`: hits on all pages. `facets`:
    `{facet: {value: hits}}`, the 50 most frequent first, then what is chosen; for each facet the hits that one would have
    without a choice in it."""

    items: list[Listing]
    total: int
    facets: dict[str, dict[str, int]]
    next_cursor: str | None


def search_listings(
    actor: Actor,
    *,
    text: str = "",
    facets: Mapping[str, Sequence[str]] | None = None,
    sort: Sort | str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> SearchPage:
    """One page of the published listings that `actor` may see, that have every word of `text` (the last one may be a beginning)
    and, in each facet given, one of its values. `sort` defaults to relevance with a text, else to popular. Four queries,
    whatever the number of listings. Raises Invalid for an unknown facet or order and for a foreign cursor."""
    chosen = {name: list(values) for name, values in (facets or {}).items() if values}
    words = query_words(text)
    order = _order(sort, has_words=bool(words))
    if unknown := sorted(set(chosen) - set(FACETS)):
        raise Invalid(f"There is no facet {unknown[0]}; there are {', '.join(FACETS)}.", fields={"facet": "unknown"})
    if text.strip() and not words:
        return SearchPage([], 0, {name: {} for name in FACETS}, None)
    index = snapshot()
    hits = _visible(index, actor)
    scores = np.zeros(index.size)
    if words:
        found, fit, is_ranked = _matches(words, is_ranked=order == Sort.RELEVANCE)
        if order == Sort.RELEVANCE and not is_ranked:
            order = Sort.POPULAR
        in_text = np.zeros(index.size, dtype=bool)
        places, known = index.rows_of(found)
        in_text[places] = True
        scores[places] = fit[known]
        hits &= in_text
    having = {name: index.facets[name].having(values, index.size) for name, values in chosen.items()}
    counts = {name: index.facets[name].count(_all_but(name, having, hits), chosen.get(name, ())) for name in FACETS}
    hits = _all_but(None, having, hits)
    rows, next_cursor = _page(index, order, hits, scores, cursor, min(max(limit, 1), PAGE_LIMIT))
    return SearchPage(_load(actor, index.ids[rows]), int(hits.sum()), counts, next_cursor)


def _order(sort: Sort | str | None, *, has_words: bool) -> Sort:
    if not sort:
        return Sort.RELEVANCE if has_words else Sort.POPULAR
    if sort not in list(Sort):
        raise Invalid(f"Sort by one of {', '.join(Sort)}.", fields={"sort": "unknown"})
    return Sort.POPULAR if sort == Sort.RELEVANCE and not has_words else Sort(sort)


def _visible(index: Snapshot, actor: Actor) -> Mask:
    """bool[n]: what `visible_listings` says of published listings, from memory. The page itself is loaded through that policy."""
    if actor.is_system or actor.is_staff:
        return np.ones(index.size, dtype=bool)
    mask = index.is_public.copy()
    if actor.is_authenticated and actor.can_scope(SCOPE_OF_ACTION[Action.LISTING_READ]):
        mask |= np.isin(index.sellers, actor.member_namespaces())
    return mask


def _matches(words: list[str], *, is_ranked: bool) -> tuple[Ints, Floats, bool]:
    """Primary keys int64[m] of the documents with all `words`, how well they fit float64[m] (0 where not ranked), and whether
    they were ranked."""
    if connection.vendor == "sqlite":
        statements = _FTS5
        query = " ".join(f'"{word}"' for word in words[:-1]) + f' "{words[-1]}"*'
    else:
        statements = _GIN
        query = " & ".join([*(f"'{word}'" for word in words[:-1]), f"'{words[-1]}':*"])
    with connection.cursor() as cursor:
        if is_ranked:
            cursor.execute(statements[2], [query, _RANKED + 1])
            is_ranked = cursor.fetchone()[0] <= _RANKED
        cursor.execute(statements[0 if is_ranked else 1], [query])
        pairs = cursor.fetchall()
    found = np.fromiter((pair[0] for pair in pairs), np.int64, len(pairs))
    return found, np.fromiter((pair[1] for pair in pairs), np.float64, len(pairs)), is_ranked


def _all_but(name: str | None, having: dict[str, Mask], hits: Mask) -> Mask:
    for other, mask in having.items():
        if other != name:
            hits = hits & mask
    return hits


def _page(
    index: Snapshot, order: Sort, hits: Mask, scores: Floats, cursor: str | None, limit: int
) -> tuple[Ints, str | None]:
    """Row numbers of one page, best first, and the cursor of the next. A cursor holds order, key and primary key of the last
    row, so what is published or sold meanwhile shifts nothing."""
    keys = {
        Sort.RELEVANCE: scores,
        Sort.POPULAR: index.sales,
        Sort.NEWEST: index.published,
        Sort.RATED: index.ratings,
    }[order]
    if cursor:
        name, key, last = decode_cursor(cursor, 3)
        if name != order or not isinstance(key, int | float) or not isinstance(last, int):
            raise Invalid(
                "The cursor belongs to another search: start from the first page.", fields={"cursor": "invalid"}
            )
        hits = hits & ((keys < key) | ((keys == key) & (index.ids < last)))
    if order == Sort.RELEVANCE:
        rows = np.flatnonzero(hits)
        rows = rows[np.lexsort((index.ids[rows], scores[rows]))[::-1]][: limit + 1]
    else:
        ordered = {Sort.POPULAR: index.popular, Sort.NEWEST: index.newest, Sort.RATED: index.rated}[order]
        rows = ordered[hits[ordered]][: limit + 1]
    if len(rows) <= limit:
        return rows, None
    last_row = rows[limit - 1]
    return rows[:limit], encode_cursor([str(order), keys[last_row].item(), int(index.ids[last_row])])


def _load(actor: Actor, ids: Ints) -> list[Listing]:
    """The listings in the order of `ids`, asked of the policy: should the index ever be behind, nothing leaks."""
    on_sale = visible_listings(actor).filter(state=ListingState.PUBLISHED).prefetch_related(with_offers())
    found = on_sale.in_bulk(ids.tolist())
    return [found[pk] for pk in ids.tolist() if pk in found]
