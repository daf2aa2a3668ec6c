"""What storage reports show. The caller has checked the right to see the namespace's accounts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from registry.models import Branch, NamespaceQuota, Repo, RepoBlob
from registry.services import quotas

if TYPE_CHECKING:
    from accounts.models import Namespace


@dataclass(frozen=True)
class NamespaceStorage:
    """What one namespace stores, each file counted once. `condemned_bytes` will be given up unless something names them again;
    `limit_bytes` is None without limit."""

    used_bytes: int
    limit_bytes: int | None
    condemned_bytes: int
    has_own_quota: bool


@dataclass(frozen=True)
class NamespaceLine:
    """One line of the operators' list."""

    name: str
    used_bytes: int
    limit_bytes: int | None
    has_own_quota: bool


def storage_of(namespace: "Namespace") -> NamespaceStorage:
    """The sums of a namespace; four queries."""
    condemned = RepoBlob.objects.filter(repo__namespace=namespace, condemned_at__isnull=False)
    return NamespaceStorage(
        used_bytes=quotas.stored_bytes(namespace.pk),
        limit_bytes=quotas.limit_of(namespace.pk),
        condemned_bytes=condemned.aggregate(total=Sum("blob__size_bytes"))["total"] or 0,
        has_own_quota=NamespaceQuota.objects.filter(namespace=namespace).exists(),
    )


def repositories_by_size(namespace: "Namespace") -> "QuerySet[Repo]":
    """Repositories of the namespace that hold anything, deleted ones that can come back among them, largest first, with
    `held_bytes` and `held_files` (of all commits), `now_bytes` (the default branch as it is) and `condemned_bytes`."""
    head = Branch.objects.filter(repo=OuterRef("pk"), name=OuterRef("default_branch"))
    return (
        Repo.objects.filter(namespace=namespace, purged_at=None)
        .annotate(
            held_bytes=Coalesce(Sum("blob_rows__blob__size_bytes"), 0),
            held_files=Count("blob_rows"),
            condemned_bytes=Coalesce(
                Sum("blob_rows__blob__size_bytes", filter=Q(blob_rows__condemned_at__isnull=False)), 0
            ),
            now_bytes=Coalesce(Subquery(head.values("head__tree__total_bytes")[:1]), 0),
        )
        .order_by("-held_bytes", "pk")
    )


def largest_namespaces(limit: int = 100) -> list[NamespaceLine]:
    """Who stores most, for operators. Reads every holding: a second for a million."""
    query = """
        SELECT n.id, n.name, SUM(held.size_bytes) FROM (
            SELECT DISTINCT r.namespace_id, b.id, b.size_bytes FROM registry_repoblob rb
            JOIN registry_repo r ON r.id = rb.repo_id JOIN registry_blob b ON b.id = rb.blob_id
        ) held JOIN accounts_namespace n ON n.id = held.namespace_id
        GROUP BY n.id, n.name ORDER BY 3 DESC, 1 LIMIT %s"""
    with connection.cursor() as cursor:
        cursor.execute(query, [limit])
        rows = cursor.fetchall()
    own = dict(
        NamespaceQuota.objects.filter(namespace__in=[pk for pk, _, _ in rows]).values_list(
            "namespace_id", "limit_bytes"
        )
    )
    default = quotas.default_limit()
    return [NamespaceLine(name, int(used), own.get(pk, default), pk in own) for pk, name, used in rows]
