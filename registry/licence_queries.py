"""What is known of licences: the list of the site, the custom ones of namespaces, and the terms of expressions. Licences are public."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Lower

from common.errors import NotFound
from common.pagination import Page, keyset_page
from registry import licences
from registry.licence_terms import STANDARD, Standard, Terms
from registry.licences import Licence, Part
from registry.models import CustomLicence, Repo, Version
from registry.queries import in_use

if TYPE_CHECKING:
    from accounts.models import Namespace

VERSIONS_LIMIT = 500
"""Versions of one repository that a check looks at, the newest first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A licence that can be chosen. `custom` is None for one of the site's list."""

    key: str
    title: str
    terms: Terms
    url: str
    note: str
    custom: CustomLicence | None


def terms_of(row: CustomLicence) -> Terms:
    return Terms(row.commercial_use, row.derivatives, row.redistribution, row.hosting, row.share_alike, row.attribution)


def resolved(texts: Iterable[str]) -> dict[str, Licence]:
    """Expressions with their terms, by the text as it was given. One query where a custom licence is named, else none."""
    wanted = set(texts)
    keys = {key.lower() for key in licences.custom_keys(wanted)}
    rows = CustomLicence.objects.annotate(folded=Lower("key")).filter(folded__in=keys) if keys else []
    customs = {row.key.lower(): Part(row.key, terms_of(row), row.namespace_id) for row in rows}
    return {text: licences.resolve(text, customs) for text in wanted}


def licence_entry(key: str) -> Entry:
    """The licence of the list, or the custom one, with this identifier in any case. Raises NotFound. One query at most."""
    standard = next((each for each in STANDARD.values() if each.key.lower() == key.lower()), None)
    if standard is not None:
        return entry_of_standard(standard)
    row = _customs().filter(key__iexact=key).first()
    if row is None:
        raise NotFound(f"There is no licence {key[:80]} here.")
    return entry_of_custom(row)


def entry_of_standard(standard: Standard) -> Entry:
    title = standard.key if standard.is_spdx else f"{standard.key} (community licence)"
    return Entry(standard.key, title, standard.terms, standard.url, standard.note, None)


def entry_of_custom(row: CustomLicence) -> Entry:
    return Entry(row.key, row.title, terms_of(row), "", "", row)


def standard_licences(search: str = "") -> list[Entry]:
    """The site's list, those in whose key all words stand."""
    words = search.lower().split()
    return [entry_of_standard(each) for each in STANDARD.values() if all(word in each.key.lower() for word in words)]


def custom_licences(
    *, namespace: str = "", search: str = "", cursor: str | None = None, limit: int = 50
) -> Page[CustomLicence]:
    """Custom licences, newest first, with their namespaces; of one namespace, or in whose identifier or title all words stand."""
    rows = _customs()
    if namespace:
        rows = rows.filter(namespace__name__iexact=namespace)
    for word in search.split()[:10]:
        rows = rows.filter(Q(key__icontains=word) | Q(title__icontains=word))
    return keyset_page(rows, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def wordings_of(row: CustomLicence) -> list[CustomLicence]:
    """All numbers of a licence, newest first."""
    return list(
        CustomLicence.objects.filter(namespace_id=row.namespace_id, name__iexact=row.name).order_by("-number")[:100]
    )


def choices_for(namespaces: "Collection[Namespace]") -> list[tuple[str, str]]:
    """Identifier and title of what a form offers: the list, and the custom licences of these namespaces. One query."""
    own = CustomLicence.objects.filter(namespace__in=namespaces).order_by("-created_at")[:200]
    return [*((row.key, row.title) for row in own), *((each.key, each.title) for each in standard_licences())]


def licensed_versions(uuids: Collection[UUID]) -> list[Version]:
    """Versions with repository and namespace, without what lies behind them. One query."""
    return list(_licensed().filter(uuid__in=list(uuids)))


def handed_over(repo: Repo) -> list[Version]:
    """The versions that who gets a repository gets: all but the withdrawn ones, newest first, at most `VERSIONS_LIMIT`. One query."""
    return list(in_use(_licensed().filter(repo=repo)).order_by("-created_at", "-pk")[:VERSIONS_LIMIT])


def newest_licensed(repos: Collection[tuple[str, UUID]], names: Collection[tuple[str, str, str]]) -> list[Repo]:
    """Repositories by (kind, uuid) and by (kind, namespace, name in lower case), each with `newest`, the uuid of its latest version or
    None. One query."""
    if not repos and not names:
        return []
    condition = Q(uuid__in=[uuid for _, uuid in repos])
    for kind, namespace, name in names:
        condition |= Q(kind=kind, namespace__name__iexact=namespace, name__iexact=name, deleted_at__isnull=True)
    rows = Repo.objects.filter(condition).select_related("namespace")
    return list(rows.annotate(newest=F("latest_row__version__uuid")))


def _licensed() -> QuerySet[Version]:
    return Version.objects.select_related("repo__namespace").defer(
        "notes", "metrics", "signature", "environment", "intended_use"
    )


def _customs() -> QuerySet[CustomLicence]:
    return CustomLicence.objects.select_related("namespace")
