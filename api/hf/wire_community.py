"""The shapes of discussions, likes, collections, access requests, webhooks and people; the names are the protocol's."""

from typing import TYPE_CHECKING, Any

from api.hf.wire import repo_id
from common.clock import hub_time
from registry.services.access import holder_name_of
from registry.services.cards import render_markdown
from registry.services.webhooks import secret_of

if TYPE_CHECKING:
    from accounts.models import Namespace, User
    from registry.community_queries import Holdings
    from registry.models import (
        AccessRequest,
        Collection,
        CollectionItem,
        Discussion,
        DiscussionEvent,
        Repo,
        RepoLike,
        Webhook,
    )

NO_FACE = ""
"""People have no pictures here; the client wants the key."""


def access_request(row: "AccessRequest") -> dict[str, Any]:
    """`user` stands for whoever is to read: a person, an organisation, or a team as `organisation/team`."""
    holder: dict[str, Any] = {"user": holder_name_of(row)}
    if row.user is not None:
        holder["fullname"] = row.user.display_name or row.user.username
    elif row.organization is not None:
        holder["fullname"] = row.organization.display_name
    elif row.team is not None:
        holder["fullname"] = f"{row.team.organization.display_name}: {row.team.name}"
    if row.asked_by is not None:
        holder["email"] = row.asked_by.email
    data: dict[str, Any] = {
        "requestId": row.uuid.hex,
        "status": row.state,
        "timestamp": hub_time(row.created_at),
        "user": holder,
    }
    return data | ({"fields": row.answers} if row.answers else {})


def person(user: "User | None", came: str = "") -> dict[str, str]:
    """`came`: the name that came along with an import, for whoever has no account here."""
    return {"name": user.username if user is not None else came or "deleted"}


def discussion(row: "Discussion", repo: "Repo", came: str = "") -> dict[str, Any]:
    return {
        "num": row.number,
        "title": row.title,
        "status": row.state,
        "author": person(row.author, came),
        "createdAt": hub_time(row.created_at),
        "repo": {"name": repo_id(repo), "type": repo.kind},
        "isPullRequest": row.is_pull_request,
    }


def discussion_event(row: "DiscussionEvent", came: str = "") -> dict[str, Any]:
    data = {
        "comment": lambda each: _comment(each, came),
        "status-change": lambda each: {"status": each.data["status"]},
        "title-change": lambda each: {"from": each.data["from"], "to": each.data["to"]},
        "commit": lambda each: {"subject": each.data["subject"], "oid": each.data["oid"]},
    }[row.kind](row)
    return {
        "id": row.uuid.hex,
        "type": row.kind,
        "createdAt": hub_time(row.created_at),
        "author": person(row.author, came),
        "data": data,
    }


def _comment(row: "DiscussionEvent", came: str) -> dict[str, Any]:
    history = [{"raw": each["text"], "updatedAt": each["at"]} for each in row.history]
    return {
        "edited": row.edited_at is not None,
        "hidden": row.hidden_at is not None,
        "latest": {
            "raw": row.text,
            "html": render_markdown(row.text),
            "updatedAt": hub_time(row.edited_at or row.created_at),
            "author": person(row.author, came),
        },
        "numEdits": len(history),
        "history": history,
    }


def like(row: "RepoLike") -> dict[str, Any]:
    return {"createdAt": hub_time(row.created_at), "repo": {"name": repo_id(row.repo), "type": row.repo.kind}}


def face(user: "User") -> dict[str, str]:
    """A person in a list."""
    return {"user": user.username, "fullname": user.display_name or user.username, "avatarUrl": NO_FACE, "type": "user"}


def user_overview(user: "User", held: "Holdings", organizations: "list[Namespace]") -> dict[str, Any]:
    return {
        **face(user),
        "isPro": False,
        "numModels": held.models,
        "numDatasets": held.datasets,
        "numSpaces": 0,
        "numDiscussions": held.discussions,
        "numPapers": 0,
        "numUpvotes": 0,
        "numLikes": held.likes,
        "numFollowing": 0,
        "numFollowers": 0,
        "orgs": [_organization(namespace) for namespace in organizations],
    }


def organization_overview(namespace: "Namespace", held: "Holdings", people: int | None) -> dict[str, Any]:
    """`people`: how many members it has, None for who may not know."""
    data = _organization(namespace) | {
        "details": namespace.organization.description if namespace.organization else "",
        "isVerified": False,
        "numModels": held.models,
        "numDatasets": held.datasets,
        "numSpaces": 0,
        "numFollowers": 0,
        "numPapers": 0,
    }
    return data | ({"numUsers": people} if people is not None else {})


def _organization(namespace: "Namespace") -> dict[str, Any]:
    shown = namespace.organization.display_name if namespace.organization else ""
    return {"name": namespace.name, "fullname": shown or namespace.name, "avatarUrl": NO_FACE, "type": "org"}


def collection_slug(row: "Collection") -> str:
    """`owner/words-of-the-title-<id>`; the id alone says which."""
    words = "".join(character if character.isascii() and character.isalnum() else " " for character in row.title)
    return f"{row.namespace.name}/{'-'.join([*words.lower().split(), row.uuid.hex])}"


def collection(row: "Collection", items: "list[CollectionItem]", *, is_listed: bool = False) -> dict[str, Any]:
    """`is_listed`: in a list, where the client adds the position by itself and refuses ours."""
    data: dict[str, Any] = {
        "slug": collection_slug(row),
        "title": row.title,
        "owner": {"name": row.namespace.name, "type": "org" if row.namespace.is_organization else "user"},
        "private": row.is_private,
        "theme": row.theme,
        "upvotes": 0,
        "lastUpdated": hub_time(row.updated_at),
        "items": [_collection_item(item) for item in items],
    }
    if row.description:
        data["description"] = row.description
    return data if is_listed else data | {"position": row.position}


def _collection_item(row: "CollectionItem") -> dict[str, Any]:
    data: dict[str, Any] = {
        "_id": row.uuid.hex,
        "id": repo_id(row.repo),
        "type": row.repo.kind,
        "position": row.position,
    }
    return data | ({"note": {"text": row.note}} if row.note else {})


def webhook(row: "Webhook") -> dict[str, Any]:
    """The secret is told to nobody but its owner, who alone gets this far."""
    watched = []
    for each in row.watches.all():
        if each.repo is not None:
            watched.append({"type": each.repo.kind, "name": repo_id(each.repo)})
        elif each.namespace is not None:
            kind = "org" if each.namespace.is_organization else "user"
            watched.append({"type": kind, "name": each.namespace.name})
    data: dict[str, Any] = {
        "id": row.uuid.hex,
        "url": row.url,
        "watched": watched,
        "domains": row.domains,
        "disabled": not row.is_enabled,
    }
    return data | ({"secret": secret_of(row)} if row.sealed_secret else {})
