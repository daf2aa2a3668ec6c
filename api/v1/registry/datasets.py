"""What datasets hold, and what differs between two versions, on the wire."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, page_of
from api.v1.registry.views import REVISION, RepoView
from backends.sql.limits import QUERY_CHARACTERS
from common.errors import Invalid
from common.pagination import keyset_page
from registry import queries
from registry.services import comparisons, derivations, profiles, samples
from registry.states import DerivationState, RepoKind

if TYPE_CHECKING:
    from registry.models import DatasetComparison, DatasetDerivation, DatasetProfile

STATES = ["waiting", "failed", "ready"]


class ProfileWire(serializers.Serializer):
    """`profile` is null while the sandbox looks: ask again in some seconds. `keeps_rules`: whether the rules in `data-rules.yaml` are kept;
    null when there are none."""

    state = serializers.ChoiceField(STATES)
    keeps_rules = serializers.BooleanField(allow_null=True)
    profile = serializers.DictField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class DatasetComparisonWire(serializers.Serializer):
    """`comparison` is null while the sandbox compares: ask again in some seconds."""

    state = serializers.ChoiceField(STATES)
    comparison = serializers.DictField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class SqlNew(serializers.Serializer):
    query = serializers.CharField(max_length=QUERY_CHARACTERS, trim_whitespace=False)


class SqlProblemWire(serializers.Serializer):
    """Why there are no rows. `line` and `column` count from 1; null where the engine names no place."""

    kind = serializers.ChoiceField(["syntax", "query", "time", "memory", "forbidden", "stopped"])
    message = serializers.CharField()
    line = serializers.IntegerField(allow_null=True)
    column = serializers.IntegerField(allow_null=True)


class SqlWire(serializers.Serializer):
    """`columns` are name and type, `rows` text or null; empty while the sandbox answers: ask the same again in a second."""

    state = serializers.ChoiceField(STATES)
    columns = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    rows = serializers.ListField(child=serializers.ListField(child=serializers.CharField(allow_null=True)))
    is_cut = serializers.BooleanField()
    problem = SqlProblemWire(allow_null=True)


class DatasetView(RepoView):
    def dataset(self) -> Any:
        """The repository in the address, whose content the caller may read. Raises Invalid for another kind."""
        repo = self.repo(Action.REPO_READ)
        if repo.kind != RepoKind.DATASET:
            raise Invalid("Only datasets are looked into.", fields={"kind": "dataset"})
        return repo


class Profile(DatasetView):
    @extend_schema(responses={200: ProfileWire, 202: ProfileWire}, parameters=[REVISION], tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Statistics, samples, findings and validation results of a revision; 202 while they are being made."""
        found = profiles.profile_of(self.commit(self.dataset()))
        return Response(profile(found), status=200 if found else 202)


class Sql(DatasetView):
    @extend_schema(request=SqlNew, responses={200: SqlWire, 202: SqlWire}, parameters=[REVISION], tags=["registry"])
    def post(self, request: Request, **names: str) -> Response:
        """Ask the sample of a revision, the rows that its profile shows, in SQL; 202 while the sandbox answers."""
        repo = self.dataset()
        asked = samples.ask_sample(self.actor, repo, self.commit(repo), self.given(SqlNew)["query"])
        found = asked.content or {"columns": [], "rows": [], "is_cut": False, "problem": None}
        state = "waiting" if asked.content is None else "failed" if found["problem"] else "ready"
        return Response({"state": state, **found}, status=202 if asked.content is None else 200)


class DataComparison(DatasetView):
    @extend_schema(
        responses={200: DatasetComparisonWire, 202: DatasetComparisonWire},
        parameters=[
            OpenApiParameter("left", str, required=True, description="The revision to compare from."),
            OpenApiParameter("right", str, required=True, description="The revision to compare to."),
            OpenApiParameter(
                "key", str, description="Columns that name a row, with commas between; found by itself without."
            ),
        ],
        tags=["registry"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Rows added, removed and changed by key, columns, and drift between two revisions; 202 while they are being compared."""
        repo, asked = self.dataset(), request.query_params
        missing = [side for side in ("left", "right") if not asked.get(side)]
        if missing:
            raise Invalid("Name two revisions to compare.", fields=dict.fromkeys(missing, "missing"))
        left, right = (queries.resolve_revision(repo, asked[side]) for side in ("left", "right"))
        found = comparisons.comparison_of(left, right, asked.get("key", ""))
        return Response(comparison(found), status=200 if found else 202)


def profile(row: "DatasetProfile | None") -> dict[str, Any]:
    return {
        "state": _state(row),
        "keeps_rules": row.is_valid if row else None,
        "profile": row.content if row else None,
        "created_at": row.created_at if row else None,
    }


def comparison(row: "DatasetComparison | None") -> dict[str, Any]:
    return {
        "state": _state(row),
        "comparison": row.content if row else None,
        "created_at": row.created_at if row else None,
    }


def _state(row: "DatasetProfile | DatasetComparison | None") -> str:
    return "waiting" if row is None else "failed" if row.content.get("problem") else "ready"


class DerivationNew(serializers.Serializer):
    """`recipe`: `{table, where: [{column, is, value}], columns, drop_duplicates, splits: {name: part}, group, seed}`, all optional; of
    pictures and sounds `{media: {classes, from_splits, min_width, max_width, min_height, max_height, min_duration_s, max_duration_s},
    splits, seed}`."""

    source_version = serializers.CharField(max_length=80)
    name = serializers.CharField(max_length=80)
    recipe = serializers.DictField()


class DerivationWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    state = serializers.ChoiceField([each.value for each in DerivationState])
    problem = serializers.CharField(allow_blank=True)
    source_version = serializers.CharField()
    name = serializers.CharField()
    recipe = serializers.DictField()
    created_at = serializers.DateTimeField()


class Derivations(DatasetView):
    @extend_schema(responses=page_of(DerivationWire), parameters=PAGE_PARAMETERS, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Versions that were asked for from others, newest first."""
        rows = derivations.derivations_of(self.dataset())
        page = keyset_page(rows, order=("-id",), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, derivation)

    @extend_schema(
        request=DerivationNew, responses={201: DerivationWire}, parameters=[KEY_PARAMETER], tags=["registry"]
    )
    def post(self, request: Request, **names: str) -> Response:
        """Ask for a new version of a dataset: the rows of another one, filtered and split."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(DerivationNew)
        return self.creating(
            lambda: derivation(
                derivations.ask_for_derivation(
                    self.actor, repo, given["source_version"], name=given["name"], recipe=given["recipe"]
                )
            )
        )


class Derivation(DatasetView):
    @extend_schema(responses=DerivationWire, tags=["registry"])
    def get(self, request: Request, uuid: UUID, **names: str) -> Response:
        """How far a derivation is; the version `name` is there when it is done."""
        return Response(derivation(derivations.require_derivation(self.dataset(), uuid)))


def derivation(row: "DatasetDerivation") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "state": row.state,
        "problem": row.problem,
        "source_version": row.source.name,
        "name": row.version_name,
        "recipe": row.recipe,
        "created_at": row.created_at,
    }
