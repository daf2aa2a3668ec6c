"""Git over HTTP: the three addresses of its smart protocol."""

from collections.abc import Iterator
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.git import receive_pack as receiving
from api.git import upload_pack as sending
from common.errors import Invalid
from registry.policies import require_repo
from registry.services import gitpush

Response = TypeVar("Response", bound=HttpResponseBase)


def info_refs(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """The beginning of every conversation: what the site can do, and which refs there are."""
    service = request.GET.get("service", "")
    if service == "git-upload-pack":
        repo = require_repo(actor, kind, namespace, name, Action.REPO_READ)
        content = sending.advertisement(request, repo)
    elif service == "git-receive-pack":
        repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
        content = receiving.advertisement(gitpush.require_pusher(actor, repo))
    else:
        raise Invalid("This site speaks git's smart protocol only: use git itself, 1.6.6 or newer.")
    return _uncached(HttpResponse(content, content_type=f"application/x-{service}-advertisement"))


def upload_pack(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponseBase:
    """Clone and fetch."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    return _streamed(sending.answer(request, actor, repo), "git-upload-pack")


def receive_pack(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponseBase:
    """Push."""
    repo = gitpush.require_pusher(actor, require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER))
    return _streamed(receiving.answer(request, actor, repo), "git-receive-pack")


def _streamed(pieces: Iterator[bytes], service: str) -> HttpResponseBase:
    return _uncached(StreamingHttpResponse(pieces, content_type=f"application/x-{service}-result"))


def _uncached(response: Response) -> Response:
    response["Cache-Control"] = "no-cache, max-age=0, must-revalidate"
    response["X-Content-Type-Options"] = "nosniff"
    return response
