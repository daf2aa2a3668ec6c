"""What pages show of webhooks: one's own, what each is told, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from common import strict_json
from market.services.market_events import EVENTS
from registry import community_queries as queries
from registry.services.events import DISCUSSION, MARKET, REPO
from registry.services.webhooks import SECRET_LIMIT
from web.links import with_query

if TYPE_CHECKING:
    from registry.models import Webhook, WebhookDelivery

DOMAINS = {
    REPO: "Repositories: commits, tags, settings",
    DISCUSSION: "Discussions and pull requests of repositories",
    MARKET: "Trade: orders, listings, reviews, questions, payouts",
}
STATES = {
    "waiting": ("On its way", "", "clock"),
    "delivered": ("Arrived", "ok", "check"),
    "given_up": ("Given up", "danger", "circle-x"),
}


class WebhookForm(forms.Form):
    url = forms.URLField(max_length=500, label="Address", assume_scheme="https")
    watched = forms.CharField(
        label="What it watches",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One a line: a person or an organisation (acme), or a repository (acme/digits, datasets/acme/wine).",
    )
    domains = forms.MultipleChoiceField(
        label="What it hears of", choices=list(DOMAINS.items()), widget=forms.CheckboxSelectMultiple
    )
    events = forms.MultipleChoiceField(
        label="Of trade only",
        choices=[(name, f"{name}: {text}") for name, text in EVENTS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all.",
    )
    secret = forms.CharField(
        max_length=SECRET_LIMIT,
        required=False,
        label="Secret",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Deliveries are signed with it.",
    )


@dataclass(frozen=True)
class WebhookRow:
    href: str
    url: str
    watched: str
    domains: str
    is_enabled: bool

    @classmethod
    def of(cls, row: "Webhook") -> "WebhookRow":
        """Wants what it watches joined."""
        names = []
        for each in row.watches.all():
            if each.repo is not None:
                names.append(f"{each.repo.namespace.name}/{each.repo.name}")
            elif each.namespace is not None:
                names.append(each.namespace.name)
        return cls(f"/webhooks/{row.uuid}", row.url, ", ".join(names), ", ".join(row.domains), row.is_enabled)


@dataclass(frozen=True)
class WebhooksPage:
    title: str
    rows: list[WebhookRow]
    form: forms.Form

    @classmethod
    def of(cls, actor: Actor, form: forms.Form) -> "WebhooksPage":
        return cls("Webhooks", [WebhookRow.of(row) for row in queries.webhooks_of(actor)], form)


@dataclass(frozen=True)
class DeliveryRow:
    event: str
    label: str
    tone: str
    icon: str
    attempts: int
    answer: str
    payload: str
    at: datetime
    redelivery_href: str
    """Empty while it is on its way."""

    @classmethod
    def of(cls, row: "WebhookDelivery", href: str) -> "DeliveryRow":
        said = row.event.payload["event"]
        label, tone, icon = STATES.get(row.state, (row.state, "", ""))
        return cls(
            event=said.get("name") or f"{said['scope']} {said['action']}",
            label=label,
            tone=tone,
            icon=icon,
            attempts=row.attempts,
            answer=row.error or (f"Answered {row.status}" if row.status else ""),
            payload=strict_json.dumps(row.event.payload).decode(),
            at=row.created_at,
            redelivery_href="" if row.state == "waiting" else f"{href}/deliveries/{row.uuid}/redelivery",
        )


@dataclass(frozen=True)
class WebhookPage:
    title: str
    row: WebhookRow
    events: list[str]
    has_secret: bool
    deliveries: list[DeliveryRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, webhook: "Webhook", cursor: str) -> "WebhookPage":
        found = queries.deliveries_of(webhook, cursor=cursor or None, limit=30)
        row = WebhookRow.of(webhook)
        return cls(
            "Webhook",
            row,
            webhook.events,
            bool(webhook.sealed_secret),
            [DeliveryRow.of(each, row.href) for each in found.items],
            with_query(row.href, cursor=found.next_cursor) if found.next_cursor else "",
            row.href if cursor else "",
        )
