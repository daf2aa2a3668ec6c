"""What the pages of endpoints show: the list, one with its try-it form, code samples and use."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import NotFound
from compute import endpoint_policies
from compute.endpoint_queries import Addresses
from compute.endpoint_states import LOADING, SERVING, EndpointState
from market.queries import listings_for
from metering.meters import Meter
from metering.queries import daily_usage
from registry.policies import require_version
from web.hub.versions import Tensor, tensors_of
from web.links import endpoint_url, listing_url, repo_url, with_query
from web.sharing import Sharing
from web.work.job_pages import Chart
from web.work.try_panel import TryPanel

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
    panel: TryPanel
    can_try: bool
    shop_href: str
    sign_in_href: str
    calls: Chart
    calls_total: int
    update_form: forms.Form | None
    visibility_form: forms.Form | None
    unit_form: forms.Form | None
    sharing: Sharing | None

    @classmethod
    def of(
        cls,
        actor: Actor,
        endpoint: "Endpoint",
        update_form: forms.Form | None = None,
        visibility_form: forms.Form | None = None,
        share_form: forms.Form | None = None,
        unit_form: forms.Form | None = None,
    ) -> "EndpointPage":
        row = EndpointRow.of(endpoint)
        signature = endpoint.signature or endpoint.next_signature
        can_write = endpoint_policies.can(actor, endpoint, Action.ENDPOINT_WRITE)
        can_use = can_write or endpoint_policies.can(actor, endpoint, Action.ENDPOINT_USE)
        listing = listings_for(actor, [endpoint.uuid]).get(endpoint.uuid)
        panel = TryPanel.of(actor, endpoint, listing, may_call=can_use)
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
            addresses=panel.addresses,
            inputs=tensors_of(signature.get("inputs")),
            outputs=tensors_of(signature.get("outputs")),
            version_href=_version_href(actor, endpoint),
            is_build=endpoint.build_uuid is not None,
            can_use=can_use,
            can_write=can_write,
            can_admin=can_admin,
            panel=panel,
            can_try=can_use or panel.is_trial,
            shop_href=listing_url(listing.namespace.name, listing.slug) if listing else "/?kind=endpoint",
            sign_in_href=with_query("/accounts/login/", next=row.href),
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
            unit_form=unit_form if can_admin else None,
            sharing=Sharing.of(endpoint, share_form, row.href) if can_admin and share_form else None,
        )

    @property
    def can_start(self) -> bool:
        return self.can_write and self.endpoint.state in {EndpointState.STOPPED, EndpointState.FAILED}


def _version_href(actor: Actor, endpoint: "Endpoint") -> str:
    """Where the served version is described, for those who may see it."""
    if not endpoint.version_uuid:
        return ""
    try:
        version = require_version(actor, endpoint.version_uuid, Action.REPO_DISCOVER)
    except NotFound:
        return ""
    return repo_url(version.repo, "versions", version.name)
