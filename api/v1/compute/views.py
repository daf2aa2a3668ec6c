"""Recipes, jobs and endpoints."""

import hashlib
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import holder_by_uuid
from api.v1.base import IDEMPOTENCY_HEADER, KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.compute import wire
from api.v1.sharing import EndpointShareNew, SharesWire, share_with, shares
from backends.programs.catalogue import RECIPES
from common.errors import Invalid
from common.pagination import keyset_page
from compute import endpoint_policies, policies, queries
from compute.endpoint_states import EndpointVisibility
from compute.services import endpoints, jobs
from metering.meters import Meter
from metering.queries import daily_usage
from metering.units import Unit


class Recipes(View):
    @extend_schema(responses=page_of(wire.RecipeWire), tags=["compute"])
    def get(self, request: Request) -> Response:
        """What a job can run."""
        return self.listed([wire.recipe(each) for each in RECIPES.values()], None)


class Jobs(View):
    @extend_schema(
        responses=page_of(wire.JobWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("namespace", str)],
        tags=["compute"],
    )
    def get(self, request: Request) -> Response:
        """Jobs that the caller may read, newest first."""
        self.actor.require_authenticated()
        rows = policies.visible_jobs(self.actor)
        if namespace := request.query_params.get("namespace"):
            rows = rows.filter(namespace__name__iexact=namespace)
        return self.paged(queries.job_list(rows, cursor=self.cursor, limit=self.page_limit()), wire.job)

    @extend_schema(request=wire.JobNew, responses={201: wire.JobWire}, parameters=[KEY_PARAMETER], tags=["compute"])
    def post(self, request: Request) -> Response:
        """Submit a job."""
        self.actor.require_authenticated()
        given = self.given(wire.JobNew)
        key = self._job_key(request.headers.get(IDEMPOTENCY_HEADER))

        def make() -> dict[str, Any]:
            made = jobs.submit(self.actor, **given, key=key)
            return wire.job(policies.require_job(self.actor, made.uuid, Action.JOB_READ))

        return self.creating(make)

    def _job_key(self, key: str | None) -> str | None:
        """The caller's key as the job's: of a fixed length, and no other caller's."""
        return f"api:{hashlib.sha256(f'{self.actor.user_uuid}:{key}'.encode()).hexdigest()}" if key else None


class Job(View):
    @extend_schema(responses=wire.JobDetailWire, tags=["compute"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One job with its history, cost and files."""
        row = policies.require_job(self.actor, uuid, Action.JOB_READ)
        return Response(
            wire.job_detail(row, queries.job_cost(row), list(queries.job_events(row)), list(queries.job_artifacts(row)))
        )


class JobCancellation(View):
    @extend_schema(request=None, responses={201: wire.JobWire}, tags=["compute"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Ask it to end. Safe to repeat."""
        row = jobs.cancel(self.actor, policies.require_job(self.actor, uuid, Action.JOB_MANAGE))
        return Response(wire.job(policies.require_job(self.actor, row.uuid, Action.JOB_READ)), status=201)


class JobRetry(View):
    @extend_schema(request=None, responses={201: wire.JobWire}, parameters=[KEY_PARAMETER], tags=["compute"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Queue a failed or cancelled job again."""
        row = policies.require_job(self.actor, uuid, Action.JOB_MANAGE)

        def make() -> dict[str, Any]:
            jobs.retry(self.actor, row)
            return wire.job(policies.require_job(self.actor, uuid, Action.JOB_READ))

        return self.creating(make)


class JobLog(View):
    @extend_schema(responses=wire.LogWire, parameters=[OpenApiParameter("offset", int)], tags=["compute"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """The log from a byte on."""
        raw = request.query_params.get("offset", "0")
        if not raw.isascii() or not raw.isdigit() or len(raw) > 15:
            raise Invalid("offset is a number of bytes.", fields={"offset": "not a number"})
        row = policies.require_job(self.actor, uuid, Action.JOB_READ)
        return Response(wire.log_page(queries.job_log(row, int(raw))))


class JobMetrics(View):
    @extend_schema(responses=wire.CurvesWire, tags=["compute"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """The curves of the newest attempt."""
        return Response({"curves": queries.job_metrics(policies.require_job(self.actor, uuid, Action.JOB_READ))})


class Endpoints(View):
    @extend_schema(
        responses=page_of(wire.EndpointWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("namespace", str)],
        tags=["compute"],
    )
    def get(self, request: Request) -> Response:
        """Endpoints that the caller may discover, newest first."""
        rows = endpoint_policies.visible_endpoints(self.actor)
        if namespace := request.query_params.get("namespace"):
            rows = rows.filter(namespace__name__iexact=namespace)
        page = keyset_page(rows, order=("-created_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.endpoint)

    @extend_schema(
        request=wire.EndpointNew, responses={201: wire.EndpointWire}, parameters=[KEY_PARAMETER], tags=["compute"]
    )
    def post(self, request: Request) -> Response:
        """Deploy a model version, or a build of it."""
        self.actor.require_authenticated()
        given = self.given(wire.EndpointNew)
        return self.creating(
            lambda: wire.endpoint(
                endpoints.deploy(
                    self.actor,
                    namespace=given["namespace"],
                    name=given["name"],
                    version_uuid=given["version"],
                    build_uuid=given["build"],
                    slug=given["slug"],
                    visibility=EndpointVisibility(given["visibility"]),
                )
            )
        )


class Endpoint(View):
    @extend_schema(responses=wire.EndpointWire, tags=["compute"])
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """One endpoint, with the addresses where it is called."""
        return Response(wire.endpoint(self._endpoint(Action.ENDPOINT_DISCOVER)))

    @extend_schema(request=wire.EndpointChange, responses=wire.EndpointWire, tags=["compute"])
    def patch(self, request: Request, namespace: str, name: str) -> Response:
        """Move it to another version, start or stop it, change who learns of it, declare what its use is sold by."""
        given = self.given(wire.EndpointChange, partial=True)
        row = self._endpoint(Action.ENDPOINT_DISCOVER)
        if "visibility" in given:
            endpoints.change_visibility(self.actor, row, EndpointVisibility(given["visibility"]))
        if "unit" in given:
            endpoints.declare_unit(self.actor, row, Unit(given["unit"]), token_input=given.get("token_input", ""))
        elif "token_input" in given:
            raise Invalid("Say the unit, too: only tokens are counted in one input.", fields={"unit": "needed"})
        if given.get("is_running") is False:
            endpoints.stop(self.actor, row)
        if given.get("is_running") is True:
            endpoints.start(self.actor, row)
        if "version" in given:
            endpoints.update(self.actor, row, given["version"], given.get("build"))
        elif "build" in given:
            raise Invalid("Name the version, too, whose build it is.", fields={"version": "needed"})
        return Response(wire.endpoint(self._endpoint(Action.ENDPOINT_DISCOVER)))

    @extend_schema(responses={204: None}, tags=["compute"])
    def delete(self, request: Request, namespace: str, name: str) -> Response:
        """End it for good, with all grants on it."""
        endpoints.delete(self.actor, self._endpoint(Action.ENDPOINT_ADMIN))
        return Response(status=204)

    def _endpoint(self, action: Action) -> Any:
        return endpoint_policies.require_endpoint(self.actor, self.kwargs["namespace"], self.kwargs["name"], action)


class EndpointShares(View):
    @extend_schema(responses=SharesWire, tags=["compute"])
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Whom it is shared with; for those who administer it."""
        return Response(shares(self._endpoint()))

    @extend_schema(request=EndpointShareNew, responses=SharesWire, tags=["compute"])
    def put(self, request: Request, namespace: str, name: str) -> Response:
        """Share it free of charge, in place of an earlier share with the same holder. A second call changes nothing."""
        return Response(share_with(self, self._endpoint(), EndpointShareNew, endpoints.share))

    def _endpoint(self) -> Any:
        names = self.kwargs
        return endpoint_policies.require_endpoint(self.actor, names["namespace"], names["name"], Action.ENDPOINT_ADMIN)


class EndpointShare(View):
    @extend_schema(responses={204: None}, tags=["compute"])
    def delete(self, request: Request, namespace: str, name: str, holder_kind: str, holder: UUID) -> Response:
        """Take a share back; bought rights stay."""
        row = endpoint_policies.require_endpoint(self.actor, namespace, name, Action.ENDPOINT_ADMIN)
        endpoints.unshare(self.actor, row, holder_by_uuid(holder_kind, holder))
        return Response(status=204)


class EndpointUsage(View):
    @extend_schema(responses=wire.UsageWire, tags=["compute"])
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Calls of the last 30 days, by day; for those who administer it."""
        row = endpoint_policies.require_endpoint(self.actor, namespace, name, Action.ENDPOINT_ADMIN)
        days = daily_usage(Meter.INFERENCE_CALLS, subject=row.uuid)
        return Response(
            {
                "days": [{"on": day.isoformat(), "calls": calls} for day, calls in days],
                "total": sum(calls for _, calls in days),
            }
        )
