"""Errors in the shape that the Hugging Face client reads: a status, `X-Error-Code`, `X-Error-Message`, and a JSON object."""

from django.http import HttpResponse

from accounts.actors import Actor
from api.hf.wire import json_response
from common.errors import Busy, DomainError, NotFound, StaleParent, TooMany, Unauthenticated
from registry.errors import AccessNeeded, EntryNotFound, PathNotAllowed, RepoNotFound, RevisionNotFound

STALE_PARENT = "The branch was updated since you opened this page. Please refresh and try again."
_LONGEST_HEADER = 500

_CODES: list[tuple[type[DomainError], str]] = [
    (RepoNotFound, "RepoNotFound"),
    (RevisionNotFound, "RevisionNotFound"),
    (EntryNotFound, "EntryNotFound"),
    (AccessNeeded, "GatedRepo"),
]


class NotHere(NotFound):
    """A route of the public Hub that this site does not offer."""

    default_code = "not_offered"


def render_error(error: DomainError, actor: Actor | None) -> HttpResponse:
    """`error` for the caller. Without a token, what is missing or closed is 401: signing in may help; the code says which."""
    code = next((name for kind, name in _CODES if isinstance(error, kind)), None)
    status, message = error.status, error.message
    if code in {"RepoNotFound", "GatedRepo"} and (actor is None or not actor.is_authenticated):
        status = 401
    if isinstance(error, StaleParent):
        status, message = 412, STALE_PARENT
    if isinstance(error, PathNotAllowed):
        status = 422
    if error.code == "storage_full":
        # 503 would make the client try again for half a minute
        status = 507
    response = json_response({"error": message}, status=status)
    response["X-Error-Message"] = header_text(message)
    if code:
        response["X-Error-Code"] = code
    if isinstance(error, Unauthenticated):
        response["WWW-Authenticate"] = 'Bearer realm="Access token"'
    if isinstance(error, Busy | TooMany):
        response["Retry-After"] = str(error.retry_after_s)
    if commit := error.fields.get("commit_oid"):
        response["X-Repo-Commit"] = str(commit)
    return response


def header_text(text: str) -> str:
    """`text` as one line of latin-1, which is all that a header can hold."""
    line = " ".join(text.split())[:_LONGEST_HEADER]
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable.encode("latin-1", "replace").decode("latin-1")
