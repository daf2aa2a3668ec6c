"""Collections: repositories under a title, in an order, with notes."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Invalid, NotFound
from registry.errors import CollectionExists
from registry.models import Collection, CollectionItem, Repo
from registry.policies import require_collection, require_repo_by_uuid

ITEMS_LIMIT = 500
PER_NAMESPACE = 500
THEMES = ("orange", "blue", "green", "purple", "pink", "indigo")


def create_collection(
    actor: Actor, namespace_name: str, title: str, *, description: str = "", is_private: bool = False
) -> Collection:
    """An empty collection at the end of the namespace's. Needs the right to publish there. Raises Invalid; CollectionExists, which
    carries the present one, when the title is taken."""
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_PUBLISH)
    fields = _checked(title=title, description=description, is_private=is_private)
    present = Collection.objects.filter(namespace=namespace)
    if present.count() >= PER_NAMESPACE:
        raise Invalid(f"{namespace.name} has {PER_NAMESPACE} collections already: delete some first.")
    try:
        with transaction.atomic():
            last = present.aggregate(last=Max("position"))["last"]
            collection = Collection.objects.create(
                namespace=namespace, position=0 if last is None else last + 1, **fields
            )
            _record(actor, "registry:collection:created", collection, title=collection.title)
    except IntegrityError as error:
        raise _exists(namespace.pk, title) from error
    return collection


def update_collection(actor: Actor, collection: Collection, **changes: Any) -> Collection:
    """Change what is given of title, description, is_private, theme, position. Raises Invalid, CollectionExists."""
    collection = require_collection(actor, collection.uuid, Action.NAMESPACE_PUBLISH)
    fields = _checked(**changes)
    try:
        with transaction.atomic():
            Collection.objects.filter(pk=collection.pk).update(**fields, updated_at=now())
            _record(actor, "registry:collection:changed", collection, fields=sorted(fields))
    except IntegrityError as error:
        raise _exists(collection.namespace_id, str(fields.get("title"))) from error
    collection.refresh_from_db()
    return collection


def delete_collection(actor: Actor, collection: Collection) -> None:
    """Remove it; the repositories stay."""
    collection = require_collection(actor, collection.uuid, Action.NAMESPACE_PUBLISH)
    with transaction.atomic():
        _record(actor, "registry:collection:deleted", collection, title=collection.title)
        Collection.objects.filter(pk=collection.pk).delete()


def add_item(actor: Actor, collection: Collection, repo: Repo, *, note: str = "") -> CollectionItem:
    """Put a repository, which the actor may see, at the end. Raises Conflict when it is in there already, Invalid."""
    collection = require_collection(actor, collection.uuid, Action.NAMESPACE_PUBLISH)
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_DISCOVER)
    note = _note(note)
    try:
        with transaction.atomic():
            _touch(collection)
            items = CollectionItem.objects.filter(collection=collection)
            if items.count() >= ITEMS_LIMIT:
                raise Invalid(f"A collection holds at most {ITEMS_LIMIT} repositories.")
            last = items.aggregate(last=Max("position"))["last"]
            return CollectionItem.objects.create(
                collection=collection, repo=repo, note=note, position=0 if last is None else last + 1
            )
    except IntegrityError as error:
        raise Conflict("This repository is in the collection already.", code="item_exists") from error


def update_item(
    actor: Actor, collection: Collection, uuid: UUID, *, note: str | None = None, position: int | None = None
) -> CollectionItem:
    """Change the note of an item, or move it to the `position`-th place (from 0). Raises NotFound, Invalid."""
    collection = require_collection(actor, collection.uuid, Action.NAMESPACE_PUBLISH)
    with transaction.atomic():
        _touch(collection)
        item = _item(collection, uuid)
        if note is not None:
            item.note = _note(note)
            item.save(update_fields=["note"])
        if position is not None:
            _move(collection, item, position)
    return item


def remove_item(actor: Actor, collection: Collection, uuid: UUID) -> None:
    """Take an item out. Raises NotFound."""
    collection = require_collection(actor, collection.uuid, Action.NAMESPACE_PUBLISH)
    with transaction.atomic():
        _touch(collection)
        _item(collection, uuid).delete()


def _move(collection: Collection, item: CollectionItem, position: int) -> None:
    order = list(CollectionItem.objects.filter(collection=collection).order_by("position", "pk"))
    order.remove(item)
    order.insert(max(0, min(position, len(order))), item)
    for number, each in enumerate(order):
        each.position = number
    CollectionItem.objects.bulk_update(order, ["position"], batch_size=200)
    item.position = order.index(item)


def _item(collection: Collection, uuid: UUID) -> CollectionItem:
    item = CollectionItem.objects.filter(collection=collection, uuid=uuid).first()
    if item is None:
        raise NotFound("There is no such item in this collection.")
    return item


def _touch(collection: Collection) -> None:
    """One deed at a time on the order of a collection."""
    Collection.objects.select_for_update().get(pk=collection.pk)
    Collection.objects.filter(pk=collection.pk).update(updated_at=now())


def _checked(**given: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "title" in given:
        fields["title"] = " ".join(str(given["title"]).split())
        if not 1 <= len(fields["title"]) <= 60 or "\x00" in fields["title"]:
            raise Invalid("Give the collection a title of 1 to 60 characters.", fields={"title": "1 to 60 characters"})
    if "description" in given:
        fields["description"] = str(given["description"]).strip()
        if len(fields["description"]) > 150:
            raise Invalid("Describe it in at most 150 characters.", fields={"description": "at most 150 characters"})
    if "theme" in given:
        if given["theme"] not in THEMES:
            raise Invalid(f"theme must be one of: {', '.join(THEMES)}.", fields={"theme": "unknown"})
        fields["theme"] = given["theme"]
    if "position" in given:
        if type(given["position"]) is not int or not 0 <= given["position"] < 2**31:
            raise Invalid("position must be a whole number from 0 on.", fields={"position": "not a number"})
        fields["position"] = given["position"]
    if "is_private" in given:
        fields["is_private"] = bool(given["is_private"])
    return fields


def _note(note: str) -> str:
    note = note.strip().replace("\x00", "")
    if len(note) > 500:
        raise Invalid("A note has at most 500 characters.", fields={"note": "at most 500 characters"})
    return note


def _exists(namespace_id: int, title: str) -> CollectionExists:
    present = (
        Collection.objects.select_related("namespace")
        .filter(namespace_id=namespace_id, title__iexact=" ".join(title.split()))
        .first()
    )
    return CollectionExists(f"There is a collection called {title[:60]} already.", collection=present)


def _record(actor: Actor, tag: str, collection: Collection, **detail: Any) -> None:
    audit.record(actor, tag, "collection", collection.uuid, namespace_id=collection.namespace_id, **detail)
