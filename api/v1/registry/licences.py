"""Licences: the site's list, those of namespaces, and the one of a repository."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.registry import licences_wire as wire
from api.v1.registry.views import RepoView
from registry import licence_queries as queries
from registry.licence_terms import Terms
from registry.licences import normalised
from registry.services import licences

LICENCE_PAGE = page_of(wire.LicenceWire)
SEARCH = OpenApiParameter("search", str, description="Words that must stand in the identifier or the title.")


class Licences(View):
    @extend_schema(
        responses=LICENCE_PAGE,
        parameters=[*PAGE_PARAMETERS, SEARCH, OpenApiParameter("namespace", str)],
        tags=["licences"],
    )
    def get(self, request: Request) -> Response:
        """Custom licences of all namespaces or of one, newest first. They are public."""
        page = queries.custom_licences(
            namespace=request.query_params.get("namespace", ""),
            search=request.query_params.get("search", "")[:200],
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        return self.paged(page, lambda row: wire.entry(queries.entry_of_custom(row)))

    @extend_schema(
        request=wire.LicenceNew, responses={201: wire.LicenceWire}, parameters=[KEY_PARAMETER], tags=["licences"]
    )
    def post(self, request: Request) -> Response:
        """Publish a licence, or another wording of one: that gets a number and an identifier of its own."""
        self.actor.require_authenticated()
        given = self.given(wire.LicenceNew)
        terms = Terms(**given.pop("terms"))

        def make() -> dict[str, object]:
            made = licences.publish_licence(self.actor, given.pop("namespace"), **given, terms=terms)
            return wire.entry(queries.licence_entry(made.key))

        return self.creating(make)


class StandardLicences(View):
    @extend_schema(responses=LICENCE_PAGE, parameters=[SEARCH], tags=["licences"])
    def get(self, request: Request) -> Response:
        """The licences whose terms the site knows by itself, all on one page."""
        found = queries.standard_licences(request.query_params.get("search", "")[:200])
        return self.listed([wire.entry(each) for each in found], None)


class LicenceOne(View):
    @extend_schema(responses=wire.LicenceWire, tags=["licences"])
    def get(self, request: Request, key: str) -> Response:
        """One licence by its identifier, with its terms."""
        return Response(wire.entry(queries.licence_entry(key)))


class RepoLicence(RepoView):
    @extend_schema(request=wire.RepoLicenceNew, responses=wire.RepoLicenceWire, tags=["licences"])
    def put(self, request: Request, **names: str) -> Response:
        """Put a licence into the card of a repository, by a commit. Safe to repeat."""
        repo = self.repo(Action.REPO_WRITE)
        licence = self.given(wire.RepoLicenceNew)["licence"]
        commit = licences.choose_licence(self.actor, repo, licence)
        return Response({"expression": normalised(licence), "commit": commit.oid})
