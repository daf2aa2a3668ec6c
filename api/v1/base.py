"""What every view of the first-party API shares: who asks, strict JSON in, cursor pages out, idempotency keys on creating POSTs."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import actors
from accounts.actors import Actor
from accounts.services import idempotency
from common import strict_json
from common.errors import DomainError, Invalid, StaleParent
from common.pagination import Page

PAGE_LIMIT = 100
PAGE_DEFAULT = 30
IDEMPOTENCY_HEADER = "Idempotency-Key"

Item = TypeVar("Item")


class View(APIView):
    """A view of this space. `actor` is the caller; `data` the validated body."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if "\x00" in request.path or any(
            "\x00" in text for pair in request.GET.lists() for text in (pair[0], *pair[1])
        ):
            # no name holds one, and PostgreSQL would refuse the query
            raise Invalid("The address holds a NUL character.")

    @property
    def actor(self) -> Actor:
        """Who asks. Anonymous when nobody signed in."""
        return self.request.auth if isinstance(self.request.auth, Actor) else actors.anonymous()

    def given(self, serializer: type[serializers.Serializer], *, partial: bool = False) -> dict[str, Any]:
        """The body as `serializer` declares it. Raises a 400 that names each wrong field, unknown ones too."""
        data = self.request.data
        if not isinstance(data, dict):
            raise Invalid("The body must be a JSON object.")
        bound = serializer(data=data, partial=partial)
        unknown = sorted(set(data) - set(bound.fields))
        if unknown:
            raise Invalid("The body has fields that are not known here.", fields=dict.fromkeys(unknown, "unknown"))
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)

    def page_limit(self) -> int:
        """`?limit=`, 1 to 100."""
        raw = self.request.query_params.get("limit", str(PAGE_DEFAULT))
        if not raw.isascii() or not raw.isdigit() or len(raw) > 9 or not 1 <= int(raw) <= PAGE_LIMIT:
            raise Invalid(f"limit is a number from 1 to {PAGE_LIMIT}.", fields={"limit": "out of range"})
        return int(raw)

    @property
    def cursor(self) -> str | None:
        return self.request.query_params.get("cursor") or None

    def paged(self, page: Page[Item], wire: Callable[[Item], dict[str, Any]]) -> Response:
        """One page: `items`, `next_cursor`, and the address of the next page in `next`."""
        return self.listed([wire(item) for item in page.items], page.next_cursor)

    def listed(self, items: list[dict[str, Any]], next_cursor: str | None) -> Response:
        """`paged`, of what is on the wire already."""
        following = None
        if next_cursor:
            query = [(name, value) for name, value in self.request.query_params.items() if name != "cursor"]
            path = self.request.build_absolute_uri(self.request.path)
            following = f"{path}?{urlencode([*query, ('cursor', next_cursor)])}"
        return Response({"items": items, "next_cursor": next_cursor, "next": following})

    def creating(self, make: Callable[[], Any], *, status: int = 201) -> Response:
        """Answer a POST that creates: `make` does it and returns the body. With an Idempotency-Key the first outcome is kept
        and given again, errors of the request included; `Idempotent-Replayed: true` marks the repetition."""
        key = self.request.headers.get(IDEMPOTENCY_HEADER)
        if key is None:
            return Response(make(), status=status)
        self.actor.require_authenticated()
        caller = self.actor.user_uuid
        known = idempotency.begin(caller, key, _fingerprint(self.request))
        if known is not None:
            kind = "application/json" if known.status < 400 else "application/problem+json"
            return Response(known.body, status=known.status, headers={"Idempotent-Replayed": "true"}, content_type=kind)
        response = None
        try:
            response = Response(make(), status=status)
        except DomainError as error:
            response = self.handle_exception(error)
        finally:
            if response is None:
                idempotency.finish(caller, key, 500, None)
            else:
                idempotency.finish(caller, key, response.status_code, _plain(response.data))
        return response

    def check_match(self, tag: str) -> None:
        """Raises StaleParent when the request carries an `If-Match` that is not `tag`: somebody changed it meanwhile."""
        wanted = self.request.headers.get("If-Match")
        if wanted is not None and wanted.strip() not in {"*", f'"{tag}"'}:
            raise StaleParent("It was changed since you read it: read it again, then repeat.")


def entity_tag(*parts: object) -> str:
    """A short digest of what a resource's state depends on."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:24]


def page_of(item: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """The page of `item`, for the document."""
    name = item.__name__.removesuffix("Wire") + "Page"
    return type(
        name,
        (serializers.Serializer,),
        {
            "items": item(many=True),
            "next_cursor": serializers.CharField(allow_null=True),
            "next": serializers.URLField(allow_null=True),
        },
    )


PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="Where the page begins: `next_cursor` of the page before."),
    OpenApiParameter("limit", int, description="Items on the page, 1 to 100; 30 by default."),
]
KEY_PARAMETER = OpenApiParameter(
    IDEMPOTENCY_HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Your own name for this request. Repeated with the same key, it has no second effect and the same answer.",
)


def _plain(data: Any) -> Any:
    """The body as it goes over the wire, which is what a repetition is answered with."""
    return json.loads(JSONRenderer().render(data))


def _fingerprint(request: Request | HttpRequest) -> str:
    body = strict_json.dumps(request.data) if isinstance(request, Request) else b""
    return hashlib.sha256(b"\n".join([str(request.method).encode(), request.path.encode(), body])).hexdigest()
