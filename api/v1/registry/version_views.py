"""Versions: publishing, what is said of them later, aliases, signatures, bills of materials; and the keys of namespaces."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.registry import version_wire as wire
from api.v1.registry.views import RepoView
from common import strict_json
from common.errors import Invalid
from market.recall_queries import notices_of
from registry import build_queries, queries
from registry.services import boms, environments, measurements, own_keys, signing, standing, versions
from registry.states import KeyAlgorithm, RepoKind


class VersionView(RepoView):
    """A view of one version, named by its name, an alias, or `latest`."""

    def version(self, action: Action) -> Any:
        return queries.version_named(self.repo(action), self.kwargs["version"])


class Versions(RepoView):
    @extend_schema(responses=page_of(wire.VersionWire), parameters=PAGE_PARAMETERS, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Versions, the last published first."""
        repo = self.repo(Action.REPO_DISCOVER)
        page = queries.page_of_versions(repo, cursor=self.cursor, limit=self.page_limit())
        recalls = notices_of([row.uuid for row in page.items])
        return self.paged(page, lambda row: wire.version(row, recalls))

    @extend_schema(
        request=wire.VersionNew, responses={201: wire.VersionWire}, parameters=[KEY_PARAMETER], tags=["registry"]
    )
    def post(self, request: Request, **names: str) -> Response:
        """Publish a version, for good."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(wire.VersionNew)
        revision = given.pop("revision")
        return self.creating(
            lambda: wire.version(
                queries.version_named(repo, versions.publish_version(self.actor, repo, revision, **given).name)
            )
        )


class Version(VersionView):
    @extend_schema(responses=wire.VersionWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """One version, by its name, an alias, or `latest`."""
        return Response(wire.version(self.version(Action.REPO_DISCOVER)))


class Deprecation(VersionView):
    @extend_schema(request=wire.DeprecationNew, responses=wire.VersionWire, tags=["registry"])
    def put(self, request: Request, **names: str) -> Response:
        """Deprecate the version: it goes on working, and everybody is told what to take instead."""
        version, given = self.version(Action.REPO_WRITE), self.given(wire.DeprecationNew)
        return Response(wire.version(standing.deprecate(self.actor, version, **given)))

    @extend_schema(responses=wire.VersionWire, tags=["registry"])
    def delete(self, request: Request, **names: str) -> Response:
        """Take the deprecation back."""
        return Response(wire.version(standing.support(self.actor, self.version(Action.REPO_WRITE))))


class Yank(VersionView):
    @extend_schema(request=wire.YankNew, responses=wire.VersionWire, tags=["registry"])
    def put(self, request: Request, **names: str) -> Response:
        """Withdraw the version: its name still fetches it, but it is the newest no more and nothing new is made with it."""
        version, given = self.version(Action.REPO_WRITE), self.given(wire.YankNew)
        return Response(wire.version(standing.yank(self.actor, version, **given)))

    @extend_schema(responses=wire.VersionWire, tags=["registry"])
    def delete(self, request: Request, **names: str) -> Response:
        """Take the withdrawal back."""
        return Response(wire.version(standing.restore(self.actor, self.version(Action.REPO_WRITE))))


class Measurements(VersionView):
    @extend_schema(responses=wire.MeasurementWire(many=True), tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """What was measured beside the metrics of the release: at most 200, oldest first, withdrawn ones too."""
        version = self.version(Action.REPO_DISCOVER)
        rows = queries.measurements_of(version, with_withdrawn=True)
        authors = queries.authors_of(version.repo, "measurement", rows)
        return Response([wire.measurement(row, authors[row.pk]) for row in rows])

    @extend_schema(
        request=wire.MeasurementNew,
        responses={201: wire.MeasurementWire},
        parameters=[KEY_PARAMETER],
        tags=["registry"],
    )
    def post(self, request: Request, **names: str) -> Response:
        """Add a measurement, for good."""
        version, given = self.version(Action.REPO_WRITE), self.given(wire.MeasurementNew)
        return self.creating(lambda: wire.measurement(measurements.add_measurement(self.actor, version, **given)))


class MeasurementWithdrawal(VersionView):
    @extend_schema(request=wire.WithdrawalNew, responses=wire.MeasurementWire, tags=["registry"])
    def put(self, request: Request, uuid: UUID, **names: str) -> Response:
        """Withdraw a measurement that is wrong: it stays on record with the reason, and counts no more."""
        version, given = self.version(Action.REPO_WRITE), self.given(wire.WithdrawalNew)
        return Response(wire.measurement(measurements.withdraw_measurement(self.actor, version, uuid, **given)))


class Environment(VersionView):
    @extend_schema(responses=wire.EnvironmentWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """The packages that the environment lock of the version names, a file at the root of its commit."""
        return Response(wire.environment(environments.environment_of(self.version(Action.REPO_DISCOVER))))


class Signatures(VersionView):
    @extend_schema(responses=wire.SignaturesWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Who has signed the version's files, with which key, and whether that is good; newest first."""
        found = signing.signatures_of(self.version(Action.REPO_DISCOVER))
        return Response({"signatures": [wire.signature(each) for each in found]})

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses={201: wire.SignaturesWire},
        parameters=[KEY_PARAMETER],
        tags=["registry"],
    )
    def post(self, request: Request, **names: str) -> Response:
        """Hand in a signature that was made offline with a key of the namespace: the body is the Sigstore bundle."""
        version = self.version(Action.REPO_WRITE)
        bundle = strict_json.dumps(self.request.data)

        def made() -> dict[str, Any]:
            row = own_keys.add_signature(self.actor, version, bundle)
            return {"signatures": [wire.signature(signing.Checked(row, is_good=True))]}

        return self.creating(made)


class Signature(VersionView):
    @extend_schema(
        responses={(200, "application/vnd.dev.sigstore.bundle.v0.3+json"): OpenApiTypes.OBJECT},
        parameters=[
            OpenApiParameter("algorithm", str, enum=wire.ALGORITHMS, description="ed25519 by default."),
            OpenApiParameter("key", str, description="The id of a key: its signature, whatever its algorithm."),
        ],
        tags=["registry"],
    )
    def get(self, request: Request, **names: str) -> HttpResponse:
        """The signature of the version's files: a Sigstore bundle in the format of OpenSSF model signing."""
        version = self.version(Action.REPO_DISCOVER)
        algorithm = request.query_params.get("algorithm", KeyAlgorithm.ED25519.value)
        row = signing.signature_of(version, algorithm, request.query_params.get("key", ""))
        return _document(
            signing.bundle_of(row),
            "application/vnd.dev.sigstore.bundle.v0.3+json",
            f"{version.name}.{row.key.algorithm}.sig",
        )


class Bom(VersionView):
    @extend_schema(responses={(200, "application/vnd.cyclonedx+json"): OpenApiTypes.OBJECT}, tags=["registry"])
    def get(self, request: Request, **names: str) -> HttpResponse:
        """The bill of materials: CycloneDX 1.6, for models with a model card."""
        version = self.version(Action.REPO_DISCOVER)
        bom = boms.cyclonedx_of(
            version,
            queries.measurements_of(version, with_withdrawn=True),
            list(build_queries.builds_of(version)[: build_queries.BUILD_LIMIT]),
            environments.environment_of(version),
            site=settings.PUBLIC_URL,
        )
        return _document(bom, "application/vnd.cyclonedx+json; version=1.6", f"{version.name}.cdx.json")


class Croissant(VersionView):
    @extend_schema(responses={(200, "application/ld+json"): OpenApiTypes.OBJECT}, tags=["registry"])
    def get(self, request: Request, **names: str) -> HttpResponse:
        """The description of a dataset in Croissant 1.1."""
        version = self.version(Action.REPO_DISCOVER)
        if version.repo.kind != RepoKind.DATASET:
            raise Invalid("Croissant describes datasets; of a model there is /bom.", code="not_a_dataset")
        return _document(
            boms.croissant_of(version, site=settings.PUBLIC_URL),
            "application/ld+json",
            f"{version.name}.croissant.json",
        )


class Aliases(RepoView):
    @extend_schema(responses=wire.AliasesWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """The aliases, and where they pointed: the last hundred moves, newest first."""
        repo = self.repo(Action.REPO_DISCOVER)
        moves = queries.alias_moves_of(repo)
        authors = queries.authors_of(repo, "move", moves)
        return Response(
            {
                "aliases": [wire.alias(row) for row in queries.aliases_of(repo)],
                "moves": [wire.alias_move(row, authors[row.pk]) for row in moves],
            }
        )


class Alias(RepoView):
    @extend_schema(responses=wire.AliasWire, tags=["registry"])
    def get(self, request: Request, alias: str, **names: str) -> Response:
        """Where an alias points."""
        return Response(wire.alias(queries.alias_named(self.repo(Action.REPO_DISCOVER), alias)))

    @extend_schema(request=wire.AliasNew, responses=wire.AliasWire, tags=["registry"])
    def put(self, request: Request, alias: str, **names: str) -> Response:
        """Point the alias at a version."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(wire.AliasNew)
        standing.set_alias(self.actor, repo, alias, given["version"])
        return Response(wire.alias(queries.alias_named(repo, alias)))

    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, alias: str, **names: str) -> Response:
        """Remove the alias; the record of where it pointed stays."""
        standing.remove_alias(self.actor, self.repo(Action.REPO_WRITE), alias)
        return Response(status=204)


class Keys(View):
    @extend_schema(responses=wire.KeysWire, tags=["registry"])
    def get(self, request: Request, name: str) -> Response:
        """The public keys that versions of this namespace are signed with, newest first, also retired and revoked ones."""
        return Response({"keys": [self._wire(row) for row in signing.keys_of(self.actor, name)]})

    @extend_schema(request=wire.KeyNew, responses={201: wire.KeyWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request, name: str) -> Response:
        """Add the public half of a key that the owners hold themselves: what is signed with it can then be handed in."""
        given = self.given(wire.KeyNew)
        return self.creating(lambda: self._wire(own_keys.add_key(self.actor, name, **given)))

    def _wire(self, row: Any) -> dict[str, Any]:
        return wire.key(row, self.request.build_absolute_uri(f"{self.request.path}/{row.key_id}.pem"))


class KeyRotation(View):
    @extend_schema(request=None, responses={201: wire.KeysWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request, name: str) -> Response:
        """Rotate: retire the keys that this site holds and make new ones. What was signed stays good."""
        base = request.path.removesuffix("/rotation")
        return self.creating(
            lambda: {
                "keys": [
                    wire.key(row, request.build_absolute_uri(f"{base}/{row.key_id}.pem"))
                    for row in signing.rotate_keys(self.actor, name)
                ]
            }
        )


class KeyPem(View):
    @extend_schema(responses={(200, "application/x-pem-file"): OpenApiTypes.STR}, tags=["registry"])
    def get(self, request: Request, name: str, key_id: str) -> HttpResponse:
        """One public key, as a PEM file; this address never changes."""
        key = signing.key_of(self.actor, name, key_id)
        return HttpResponse(
            key.public_pem,
            content_type="application/x-pem-file",
            headers={"Content-Disposition": f'attachment; filename="{key.algorithm}-{key.key_id[:12]}.pem"'},
        )


class KeyRevocation(View):
    @extend_schema(request=wire.RevocationNew, responses=wire.KeyWire, tags=["registry"])
    def put(self, request: Request, name: str, key_id: str) -> Response:
        """Revoke a key: nothing signed with it is taken any more. What came before stays good, and says so."""
        given = self.given(wire.RevocationNew)
        row = signing.revoke_key(self.actor, name, key_id, reason=given["reason"])
        href = request.build_absolute_uri(request.path.removesuffix("/revocation") + ".pem")
        return Response(wire.key(row, href))


def _document(document: dict[str, Any], media_type: str, filename: str) -> HttpResponse:
    return JsonResponse(
        document,
        content_type=media_type,
        json_dumps_params={"ensure_ascii": False, "indent": 1},
        headers={"Content-Disposition": f'attachment; filename="{filename}"', "X-Content-Type-Options": "nosniff"},
    )
