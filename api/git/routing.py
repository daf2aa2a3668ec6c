"""Addresses of git, and errors as git and git lfs show them to people."""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from api.hf.authentication import actor_of
from api.hf.routing import Rest, View, hub
from api.hf.wire import LFS_TYPE

_KINDS = {"datasets": "dataset", "algorithms": "algorithm"}
_REALM = 'Basic realm="Mercato: your name and an access token", charset="UTF-8"'


class Place(Rest):
    """A repository in an address, with or without `.git` at its end: kind, namespace, name."""

    regex = r"(?:(?:datasets|algorithms)/)?[^/]+/[^/]+"

    def to_python(self, value: str) -> Any:
        *kind, namespace, name = value.split("/")
        return {"kind": _KINDS[kind[0]] if kind else "model", "namespace": namespace, "name": name.removesuffix(".git")}


def of_git(**methods: View) -> Callable[..., HttpResponseBase]:
    """The view of a route of git's own: refusals are plain text, which git shows."""
    return _view(methods, _as_text)


def of_lfs(**methods: View) -> Callable[..., HttpResponseBase]:
    """The view of a route of git lfs, which wants to find a `message`."""
    return _view(methods, _as_lfs)


def _view(methods: dict[str, View], render: Callable[[HttpResponse], None]) -> Callable[..., HttpResponseBase]:
    inner = hub(read_actor=actor_of, **methods)

    @csrf_exempt
    def view(request: HttpRequest, place: dict[str, str], **parts: Any) -> HttpResponseBase:
        response = inner(request, **place, **parts)
        if isinstance(response, HttpResponse) and response.status_code >= 400:
            render(response)
            if response.status_code == 401:
                # the sign for git to ask for a name and a password
                response["WWW-Authenticate"] = _REALM
        return response

    return view


def _as_text(response: HttpResponse) -> None:
    message = json.loads(response.content)["error"]
    response.content = f"{message}\n".encode()
    response["Content-Type"] = "text/plain; charset=utf-8"


def _as_lfs(response: HttpResponse) -> None:
    data = json.loads(response.content)
    response.content = json.dumps({"message": data["error"], **data}).encode()
    response["Content-Type"] = LFS_TYPE
    if response.status_code == 401:
        response["LFS-Authenticate"] = _REALM
