"""How a request becomes a call: methods, actor, errors, and what the address says of revision and path."""

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from accounts.actors import Actor, anonymous
from api.hf.authentication import actor_of
from api.hf.bodies import Body, content_length
from api.hf.errors import NotHere, render_error
from api.hf.wire import json_response, next_link
from common.errors import DomainError, Invalid, NotFound, TooLarge, busy_database
from registry import queries
from registry.errors import RepoMoved, RevisionNotFound
from registry.states import AccessState

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]
"""Takes the request, the actor and the parts of the address; raises DomainError."""

_REFERENCE_SEGMENTS = 6
"""A branch name with more slashes is only found in its encoded form; bounds the look-ups of a wrong address."""


_LIMIT_DIGITS = 9
_DRAIN_BYTES = 128 * 1024**2
"""Of the body of a refused request: above what clients put into one, below what is worth refusing early."""
_DRAIN_BYTES_OF_NOBODY = 1024**2


class Rest:
    """The rest of an address, whatever is in it, line breaks too."""

    regex = "(?s:.+)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class Segment(Rest):
    """One segment of an address, whatever is in it."""

    regex = "[^/]+"


class HubType(Rest):
    """`models` or `datasets` in an address: the kind of repository."""

    regex = "models|datasets"

    def to_python(self, value: str) -> str:
        return value.removesuffix("s")

    def to_url(self, value: str) -> str:
        return f"{value}s"


class AccessWord(Rest):
    """A state of an access request in an address."""

    regex = "|".join(AccessState)


class OtherApi(Rest):
    """Whatever is below `api/` and not the first-party interface, which answers in a shape of its own."""

    regex = "(?!v1(?:/|$))(?s:.+)"


def hub(*, read_actor: Callable[[HttpRequest], Actor] = actor_of, **methods: View) -> Callable[..., HttpResponseBase]:
    """The view of a route: `methods` by name in capitals (GET answers HEAD too). Exempt from CSRF because a session counts for
    reading only. Every outcome, an unforeseen one too, is a JSON object with the headers the client looks at.
    """

    @csrf_exempt
    @functools.wraps(next(iter(methods.values())))
    def view(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        response = _answer(request, read_actor, methods, parts)
        if request.method == "HEAD" and isinstance(response, HttpResponse):
            _keep_headers_only(response)
        return response

    return view


def _answer(
    request: HttpRequest, read_actor: Callable[[HttpRequest], Actor], methods: dict[str, View], parts: dict[str, Any]
) -> HttpResponseBase:
    actor: Actor | None = None
    try:
        method = "GET" if request.method == "HEAD" and "HEAD" not in methods else request.method or ""
        if method not in methods:
            response = json_response({"error": f"{request.method} is not offered here."}, status=405)
            response["Allow"] = ", ".join(sorted(methods))
            return response
        actor = read_actor(request)
        _refuse_nul(request)
        return methods[method](request, actor, **parts)
    except RepoMoved as error:
        return _moved(request, parts, error) or render_error(error, actor)
    except DomainError as error:
        return render_error(error, actor)
    except (RequestDataTooBig, TooManyFieldsSent):
        return render_error(TooLarge("The body is too large for this call."), actor)
    except (SuspiciousOperation, UnreadablePostError):
        return render_error(Invalid("The request could not be read."), actor)
    except OperationalError:
        logger.exception("The database gave up in %s %s", request.method, request.path)
        return render_error(busy_database(), actor)
    except Exception:
        logger.exception("Unforeseen error in %s %s", request.method, request.path)
        return json_response({"error": "Something went wrong on this server; it has been noted."}, status=500)
    finally:
        _drain(request, actor)


def _drain(request: HttpRequest, actor: Actor | None) -> None:
    """Read what is left of the body and drop it: a client sends all of it before it looks at the answer, and would see a broken
    connection instead of a refusal. What is too long is not waited for."""
    known = actor is not None and actor.is_authenticated
    with suppress(DomainError, OSError):
        length = content_length(request)
        if length and length <= (_DRAIN_BYTES if known else _DRAIN_BYTES_OF_NOBODY):
            for _ in Body(request).rest():
                pass


def _moved(request: HttpRequest, parts: dict[str, Any], error: RepoMoved) -> HttpResponse | None:
    """The redirect to the same route of a repository that has another name now; None when the old one is not in the address."""
    path, mark, query = (request.META.get("RAW_URI") or quote(request.get_full_path(), safe="/?&=%")).partition("?")
    pieces = path.split("/")
    for index, (owner, name) in enumerate(pairwise(pieces)):
        suffix = ".git" if unquote(name).lower().endswith(".git") else ""
        if (unquote(owner), unquote(name).removesuffix(suffix)) == (parts.get("namespace"), parts.get("name")):
            pieces[index : index + 2] = [
                quote(str(error.fields["namespace"])),
                quote(str(error.fields["name"])) + suffix,
            ]
            # 307 keeps the method and the body; without host, so that every client stays where it is
            response = json_response({"error": error.message}, status=307)
            response["Location"] = "/".join(pieces) + mark + query
            return response
    return None


def _refuse_nul(request: HttpRequest) -> None:
    """No name can hold this character, and PostgreSQL refuses it in a query."""
    if "\x00" in request.path or any("\x00" in value for _, value in query_pairs(request)):
        raise Invalid("The address holds a NUL character.")


def _keep_headers_only(response: HttpResponse) -> None:
    """The answer to HEAD: the length of what GET would send, and no byte of it."""
    response.setdefault("Content-Length", str(len(response.content)))
    response.content = b""


def nobody(request: HttpRequest) -> Actor:
    """For routes whose right is not a person's token: a signed address, a code."""
    return anonymous()


def refused(what: str) -> Callable[..., HttpResponseBase]:
    """A route of the public Hub that this site does not have: 404 with a sentence, for every method."""

    def refuse(request: HttpRequest, actor: Actor, **_parts: str) -> HttpResponseBase:
        raise NotHere(f"This site has no {what}.")

    return any_method(refuse)


def any_method(view: View) -> Callable[..., HttpResponseBase]:
    """`view` for every method."""
    return hub(GET=view, POST=view, PUT=view, PATCH=view, DELETE=view)


def base_url(request: HttpRequest) -> str:
    """`scheme://host[:port]` as the client sees it: it compares every URL in an answer with its own endpoint."""
    return f"{request.scheme}://{request.get_host()}"


def linked(response: HttpResponse, request: HttpRequest, cursor: str | None) -> HttpResponse:
    """`response` with the address of its next page, when there is one: as the client wrote it, an encoded slash stays encoded."""
    if cursor:
        raw: str = request.META.get("RAW_URI", "").partition("?")[0]
        address = base_url(request) + (raw if raw.startswith("/") else quote(request.path))
        response["Link"] = next_link(address, query_pairs(request), cursor)
    return response


def query_pairs(request: HttpRequest) -> list[tuple[str, str]]:
    """The query of the request, repeated names included."""
    return [(name, value) for name, values in request.GET.lists() for value in values]


def flag(text: str | None) -> bool:
    """A boolean of a query: clients write `true`, older ones `True` or `1`."""
    return (text or "").lower() in {"true", "1"}


def whole_number(text: str | None, *, default: int, maximum: int) -> int:
    """A limit of a query, cut to `maximum`; anything that is none is the default."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > _LIMIT_DIGITS:
        return default
    return max(1, min(int(text), maximum))


def page_query(request: HttpRequest, *, default: int, maximum: int) -> dict[str, Any]:
    """`cursor` and `limit` of a list, as keyset pages take them."""
    return {
        "cursor": request.GET.get("cursor") or None,
        "limit": whole_number(request.GET.get("limit"), default=default, maximum=maximum),
    }


def uuid_of(text: str) -> UUID:
    """An id of ours: 32 hexadecimal digits. Raises NotFound for anything else: nothing has such an id."""
    try:
        if len(text) == 32:
            return UUID(hex=text)
    except ValueError:
        pass
    raise NotFound("There is nothing of this id.")


@dataclass(frozen=True)
class Place:
    """A revision of a repository and a path in it (no slash at either end; empty: the root)."""

    commit: Any
    revision: str
    path: str


def place_of(request: HttpRequest, repo: Any, rest: str) -> Place:
    """What `rest`, the decoded end of the address, names in `repo`. The client sends a slash in a revision as %2F; the server's
    raw address keeps it. Where that is not to be had, or somebody typed plain slashes, the longest existing reference wins.
    Raises RevisionNotFound.
    """
    raw = _raw_rest(request, rest)
    if raw is not None:
        revision, _, path = raw.partition("/")
        try:
            return _place(repo, unquote(revision), unquote(path))
        except RevisionNotFound:
            if "/" not in rest:
                raise
    segments = rest.split("/")
    for count in range(min(len(segments), _REFERENCE_SEGMENTS), 1, -1):
        with suppress(RevisionNotFound):
            return _place(repo, "/".join(segments[:count]), "/".join(segments[count:]))
    return _place(repo, segments[0], "/".join(segments[1:]))


def _place(repo: Any, revision: str, path: str) -> Place:
    return Place(queries.resolve_revision(repo, revision), revision, path.strip("/"))


def _raw_rest(request: HttpRequest, rest: str) -> str | None:
    """The still encoded form of `rest`; None when the server gives no raw address or the two do not agree."""
    pieces = request.META.get("RAW_URI", "").partition("?")[0].partition("#")[0].split("/")
    for count in range(1, min(len(pieces), rest.count("/") + 1) + 1):
        tail = "/".join(pieces[-count:])
        if unquote(tail) == rest:
            return tail
    return None
