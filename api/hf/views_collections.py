"""Collections. A slug is `owner/words-<id>`; the id at its end says which one, so a renamed collection keeps its old addresses."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire_community as wire
from api.hf.bodies import json_object, text_of
from api.hf.routing import linked, page_query, uuid_of
from api.hf.wire import json_response
from common.errors import Invalid
from registry import community_queries as queries
from registry.errors import CollectionExists
from registry.policies import require_collection, require_repo
from registry.services import collections

if TYPE_CHECKING:
    from registry.models import Collection

PAGE_COLLECTIONS = 50
_LISTED_ITEMS = 4
"""Of each collection in a list, as the client says."""
_KINDS = {"models": "model", "datasets": "dataset"}
_SORTS = {"": "lastModified", "lastModified": "lastModified", "trending": "lastModified", "upvotes": "lastModified"}
"""Nobody votes here, so every order is the newest first."""


def listing(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A page of collections, of some owners or with some items, each with its first items."""
    sort = request.GET.get("sort", "")
    if sort not in _SORTS:
        raise Invalid(f"sort must be one of: {', '.join(name for name in _SORTS if name)}.", fields={"sort": "unknown"})
    page = queries.page_of_collections(
        actor,
        owners=request.GET.getlist("owner")[:50],
        repos=[_item_named(text) for text in request.GET.getlist("item")[:50]],
        sort=_SORTS[sort],
        **page_query(request, default=PAGE_COLLECTIONS, maximum=100),
    )
    lines = [wire.collection(row, _items(row)[:_LISTED_ITEMS], is_listed=True) for row in page.items]
    return linked(json_response(lines), request, page.next_cursor)


def create(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A new collection; 409 with the slug when the owner has one of this title, which clients read as success."""
    actor.require_authenticated()
    data = json_object(request)
    namespace = text_of(data, "namespace", default=actor.username, max_length=200)
    try:
        made = collections.create_collection(
            actor,
            namespace,
            text_of(data, "title", max_length=1000),
            description=text_of(data, "description", default="", max_length=10_000),
            is_private=data.get("private") is True,
        )
    except CollectionExists as error:
        taken: Any = error.fields["collection"]
        return json_response({"error": error.message, "slug": wire.collection_slug(taken)}, status=409)
    return _shown(actor, made)


def details(request: HttpRequest, actor: Actor, owner: str, slug: str) -> HttpResponse:
    return _shown(actor, _required(actor, slug))


def update(request: HttpRequest, actor: Actor, owner: str, slug: str) -> HttpResponse:
    """Change title, description, theme, position or who sees it. The answer is wrapped, here alone."""
    row = _required(actor, slug, Action.NAMESPACE_PUBLISH)
    data = json_object(request)
    changes: dict[str, Any] = {
        key: text_of(data, key, max_length=10_000) for key in ("title", "description", "theme") if key in data
    }
    if "position" in data:
        changes["position"] = data["position"]
    if "private" in data:
        changes["is_private"] = data["private"] is True
    changed = collections.update_collection(actor, row, **changes)
    queries.attach_items(actor, [changed])
    return json_response({"success": True, "data": wire.collection(changed, _items(changed))})


def delete(request: HttpRequest, actor: Actor, owner: str, slug: str) -> HttpResponse:
    collections.delete_collection(actor, _required(actor, slug, Action.NAMESPACE_PUBLISH))
    return json_response({"success": True})


def add_item(request: HttpRequest, actor: Actor, owner: str, slug: str) -> HttpResponse:
    """Put a repository in; 409 when it is in there already."""
    row = _required(actor, slug, Action.NAMESPACE_PUBLISH)
    data = json_object(request)
    item = data.get("item")
    if not isinstance(item, dict):
        raise Invalid('"item" must be an object with "id" and "type".', fields={"item": "not an object"})
    kind, name = text_of(item, "type", max_length=20), text_of(item, "id", max_length=300)
    if kind not in _KINDS.values():
        raise Invalid("A collection of this site holds models and datasets.", fields={"item": "not offered"})
    note = data.get("note")
    text = note.get("text") if isinstance(note, dict) else note
    namespace, _, rest = name.removeprefix(f"{kind}s/").partition("/")
    repo = require_repo(actor, kind, namespace, rest, Action.REPO_DISCOVER)
    collections.add_item(actor, row, repo, note=text if isinstance(text, str) else "")
    return _shown(actor, _required(actor, slug))


def update_item(request: HttpRequest, actor: Actor, owner: str, slug: str, item: str) -> HttpResponse:
    """Change the note of an item or move it to another place."""
    row = _required(actor, slug, Action.NAMESPACE_PUBLISH)
    data = json_object(request)
    position = data.get("position")
    if position is not None and (type(position) is not int or position < 0):
        raise Invalid('"position" must be a whole number from 0 on.', fields={"position": "not a number"})
    note = text_of(data, "note", max_length=10_000) if "note" in data else None
    collections.update_item(actor, row, uuid_of(item), note=note, position=position)
    return json_response({"success": True})


def delete_item(request: HttpRequest, actor: Actor, owner: str, slug: str, item: str) -> HttpResponse:
    row = _required(actor, slug, Action.NAMESPACE_PUBLISH)
    collections.remove_item(actor, row, uuid_of(item))
    return json_response({"success": True})


def _required(actor: Actor, slug: str, action: Action | None = None) -> "Collection":
    if action is not None:
        actor.require_authenticated()
    return require_collection(actor, uuid_of(slug[-32:]), action)


def _shown(actor: Actor, row: "Collection") -> HttpResponse:
    queries.attach_items(actor, [row])
    return json_response(wire.collection(row, _items(row)))


def _items(row: "Collection") -> list[Any]:
    items: list[Any] = row.visible_items  # type: ignore[attr-defined]  # attached by the query
    return items


def _item_named(text: str) -> tuple[str, str, str]:
    """`models/ns/name` or `datasets/ns/name`."""
    kind, _, name = text.partition("/")
    namespace, slash, rest = name.partition("/")
    if kind not in _KINDS or not slash:
        raise Invalid("Name an item as models/ns/name or datasets/ns/name.", fields={"item": "unknown"})
    return _KINDS[kind], namespace, rest
