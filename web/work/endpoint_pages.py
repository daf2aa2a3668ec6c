"""What the pages of endpoints show: the list, one with its try-it form, code samples and use."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from compute import endpoint_policies
from compute.endpoint_queries import Addresses, addresses
from compute.endpoint_states import LOADING, SERVING, EndpointState
from market.next_call import next_call_of
from metering.meters import Meter
from metering.queries import daily_usage
from registry.errors import RepoNotFound
from registry.policies import require_version
from web.hub.versions import Tensor, tensors_of
from web.links import endpoint_url, repo_url
from web.market.cards import next_call_in_words
from web.sharing import Sharing
from web.work.job_pages import Chart
from web.work.samples import Sample, samples_of

if TYPE_CHECKING:
    from compute.models import Endpoint

USE_DAYS = 30
LISTED = 200


@dataclass(frozen=True)
class EndpointRow:
    name: str
    owner: str
    href: str
    seed: str
    state: str
    version_name: str
    visibility: str
    task: str
    created_at: datetime

    @classmethod
    def of(cls, endpoint: "Endpoint") -> "EndpointRow":
        return cls(
            name=endpoint.name,
            owner=endpoint.namespace.name,
            href=endpoint_url(endpoint.namespace.name, endpoint.name),
            seed=str(endpoint.uuid),
            state=endpoint.state,
            version_name=endpoint.version_name or endpoint.next_version_name,
            visibility=endpoint.visibility,
            task=str((endpoint.signature or endpoint.next_signature).get("task", "")),
            created_at=endpoint.created_at,
        )


@dataclass(frozen=True)
class EndpointsPage:
    title: str
    usable: list[EndpointRow]
    others: list[EndpointRow]

    @classmethod
    def of(cls, actor: Actor) -> "EndpointsPage":
        seen = list(endpoint_policies.visible_endpoints(actor).order_by("-created_at", "-pk")[:LISTED])
        usable = set(
            endpoint_policies.usable_endpoints(actor)
            .filter(pk__in=[each.pk for each in seen])
            .values_list("pk", flat=True)
        )
        rows = [(each.pk in usable, EndpointRow.of(each)) for each in seen]
        return cls("Endpoints", [row for can, row in rows if can], [row for can, row in rows if not can])


@dataclass(frozen=True)
class TryField:
    """One value of one input. `column` names it, `value` is that of the example."""

    label: str
    value: str
    is_text: bool


@dataclass(frozen=True)
class TryInput:
    """`form`: columns (a field for each), image (a picture is read into the tensor) or raw (JSON only)."""

    name: str
    datatype: str
    form: str
    fields: list[TryField]
    width: int
    height: int
    channels: int
    scale: float


@dataclass(frozen=True)
class EndpointPage:
    title: str
    endpoint: EndpointRow
    slug: str
    problem: str
    is_serving: bool
    is_loading: bool
    state_href: str
    addresses: Addresses
    inputs: list[Tensor]
    outputs: list[Tensor]
    version_href: str
    is_build: bool
    can_use: bool
    can_write: bool
    can_admin: bool
    try_inputs: list[TryInput]
    example: str
    classes: str
    token_href: str
    next_call: str
    """What the next call costs the reader, in words; empty for those who pay nothing by their role or by a share."""
    samples: list[Sample]
    calls: Chart
    calls_total: int
    update_form: forms.Form | None
    visibility_form: forms.Form | None
    sharing: Sharing | None

    @classmethod
    def of(
        cls,
        actor: Actor,
        endpoint: "Endpoint",
        update_form: forms.Form | None = None,
        visibility_form: forms.Form | None = None,
        share_form: forms.Form | None = None,
    ) -> "EndpointPage":
        row = EndpointRow.of(endpoint)
        signature = endpoint.signature or endpoint.next_signature
        example = signature.get("example") or {}
        where = addresses(endpoint)
        can_write = endpoint_policies.can(actor, endpoint, Action.ENDPOINT_WRITE)
        can_admin = can_write and endpoint_policies.can(actor, endpoint, Action.ENDPOINT_ADMIN)
        days = daily_usage(Meter.INFERENCE_CALLS, subject=endpoint.uuid, days=USE_DAYS) if can_write else []
        return cls(
            title=f"{row.owner}/{row.name}",
            endpoint=row,
            slug=endpoint.slug,
            problem=endpoint.problem if can_write else "",
            is_serving=endpoint.state in SERVING,
            is_loading=endpoint.state in LOADING,
            state_href=f"{row.href}/state",
            addresses=where,
            inputs=tensors_of(signature.get("inputs")),
            outputs=tensors_of(signature.get("outputs")),
            version_href=_version_href(actor, endpoint),
            is_build=endpoint.build_uuid is not None,
            can_use=can_write or endpoint_policies.can(actor, endpoint, Action.ENDPOINT_USE),
            can_write=can_write,
            can_admin=can_admin,
            try_inputs=_try_inputs(signature, example),
            example=json.dumps(example),
            classes=json.dumps(_classes(signature)),
            token_href=f"{row.href}/trial-token",
            next_call=_next_call(actor, endpoint) if not can_write else "",
            samples=samples_of(where, example),
            calls=Chart(
                "calls",
                f"Calls a day, last {USE_DAYS} days",
                "day",
                "calls",
                ["calls"],
                [[day.isoformat(), n] for day, n in days],
                f"{row.href}/usage.csv",
            ),
            calls_total=sum(n for _, n in days),
            update_form=update_form if can_write and endpoint.state in SERVING else None,
            visibility_form=visibility_form if can_admin else None,
            sharing=Sharing.of(endpoint, share_form, row.href) if can_admin and share_form else None,
        )

    @property
    def has_fields(self) -> bool:
        return any(each.form != "raw" for each in self.try_inputs)

    @property
    def can_start(self) -> bool:
        return self.can_write and self.endpoint.state in {EndpointState.STOPPED, EndpointState.FAILED}


def _version_href(actor: Actor, endpoint: "Endpoint") -> str:
    """Where the served version is described, for those who may see it."""
    if not endpoint.version_uuid:
        return ""
    try:
        version = require_version(actor, endpoint.version_uuid, Action.REPO_DISCOVER)
    except RepoNotFound:
        return ""
    return repo_url(version.repo, "versions", version.name)


def _next_call(actor: Actor, endpoint: "Endpoint") -> str:
    mine = actor.member_namespaces()
    return next_call_in_words(next_call_of(mine, endpoint.uuid)) if mine else ""


def _classes(signature: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        str(each["name"]): [str(label) for label in each["classes"]]
        for each in signature.get("outputs") or []
        if isinstance(each, Mapping) and each.get("classes")
    }


def _try_inputs(signature: Mapping[str, Any], example: Mapping[str, Any]) -> list[TryInput]:
    given = {each.get("name"): each.get("data") or [] for each in example.get("inputs") or []}
    found = []
    for each in signature.get("inputs") or []:
        columns, image = each.get("columns"), each.get("image") or {}
        data = given.get(each.get("name"), [])
        is_text = each.get("datatype") == "BYTES"
        flat = len(data) == len(columns or []) and all(isinstance(value, str | int | float) for value in data)
        fields = [
            TryField(str(column), str(data[index]) if flat else "", is_text)
            for index, column in enumerate(columns or [])
        ]
        form = "columns" if columns else "image" if image else "raw"
        found.append(
            TryInput(
                str(each.get("name", "")),
                str(each.get("datatype", "")),
                form,
                fields,
                int(image.get("width") or 0),
                int(image.get("height") or 0),
                int(image.get("channels") or 0),
                float(image.get("scale") or 1.0),
            )
        )
    return found
