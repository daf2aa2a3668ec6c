"""How much a namespace stores and may store. Every file is counted once for each namespace, in whichever of its repositories and
commits it is; what deleted repositories still hold counts until it is given up."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Sum

from accounts.actors import Actor
from accounts.services import audit
from common.clock import now
from common.errors import Forbidden, Invalid
from registry.errors import QuotaExceeded
from registry.models import Blob, NamespaceQuota, RepoBlob

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import Namespace

LARGEST = 2**62
_REMEMBERED_S = 10


def stored_bytes(namespace_id: int) -> int:
    """Bytes that the namespace stores."""
    held = RepoBlob.objects.filter(repo__namespace=namespace_id).values("blob")
    return Blob.objects.filter(pk__in=held).aggregate(total=Sum("size_bytes"))["total"] or 0


def limit_of(namespace_id: int) -> int | None:
    """Bytes that it may store: what staff have set, else the site's default; None without limit."""
    own = NamespaceQuota.objects.filter(namespace=namespace_id).values_list("limit_bytes", flat=True).first()
    return own if own is not None else default_limit()


def default_limit() -> int | None:
    """What a namespace may store for which nothing else was set."""
    return settings.STORAGE_QUOTA_BYTES or None


def require_room(namespace_id: int, needed_bytes: int, *, is_early: bool = False) -> None:
    """Raises QuotaExceeded with the figures when so many more bytes do not fit. With `is_early`, before anything is sent, what is
    stored may be known from some seconds ago: the check is made again when the bytes are held."""
    limit = limit_of(namespace_id) if needed_bytes else None
    if limit is None:
        return
    key = f"stored-bytes:{namespace_id}"
    used = cache.get(key) if is_early else None
    if used is None:
        used = stored_bytes(namespace_id)
        cache.set(key, used, _REMEMBERED_S)
    if used + needed_bytes > limit:
        raise QuotaExceeded(
            f"The storage quota is used up: {_words(used)} of {_words(limit)} are taken, and this needs {_words(needed_bytes)} "
            "more. Delete what is not needed, squash old history, or ask the operator for a larger quota.",
            used_bytes=used,
            limit_bytes=limit,
            needed_bytes=needed_bytes,
        )


def require_room_for(namespace_id: int, blob_ids: "Collection[int] | QuerySet[Any, int]") -> None:
    """Before a repository of the namespace comes to hold these blobs: those that another of its repositories holds cost nothing.
    Two at once may both find room: the quota is passed by what is under way at most. Raises QuotaExceeded."""
    if limit_of(namespace_id) is None:
        return
    held = RepoBlob.objects.filter(repo__namespace=namespace_id, blob__in=blob_ids).values("blob")
    wanted = Blob.objects.filter(pk__in=blob_ids).exclude(pk__in=held)
    require_room(namespace_id, wanted.aggregate(total=Sum("size_bytes"))["total"] or 0)


def set_quota(actor: Actor, namespace: "Namespace", limit_bytes: int | None) -> None:
    """Give the namespace a quota of its own; None: the site's default again. What is stored above it stays. For staff. Safe to
    repeat. Raises Forbidden, Invalid."""
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Only the operators of this site set quotas.")
    if limit_bytes is not None and not 0 <= limit_bytes <= LARGEST:
        raise Invalid("A quota is a number of bytes.", fields={"limit_bytes": "not a number of bytes"})
    with transaction.atomic():
        before = NamespaceQuota.objects.select_for_update(no_key=True).filter(namespace=namespace).first()
        if limit_bytes is None:
            NamespaceQuota.objects.filter(namespace=namespace).delete()
        else:
            NamespaceQuota.objects.update_or_create(
                namespace=namespace, defaults={"limit_bytes": limit_bytes, "updated_at": now()}
            )
        audit.record(
            actor,
            "registry:quota:set",
            "namespace",
            namespace.uuid,
            namespace_id=namespace.pk,
            before=before.limit_bytes if before else None,
            after=limit_bytes,
        )


def _words(size: int) -> str:
    number = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.1f} {unit}" if unit != "bytes" else f"{size} bytes"
        number /= 1000
    return f"{number:.1f} TB"
