"""Webhooks: who wants to be told of what, and the telling itself, repeated until it arrives or there is no hope."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action, Scope
from accounts.policies import require_namespace
from accounts.services import audit
from common import outgoing, strict_json
from common.clock import now
from common.errors import DomainError, Forbidden, Invalid, NotFound, Unavailable
from common.sealed import seal, unseal
from notices.services import notify_users
from registry.models import RepoEvent, Webhook, WebhookDelivery, WebhookWatch
from registry.policies import can, require_repo, require_webhook
from registry.services.events import ALL_DOMAINS, DISCUSSION, DOMAINS, MARKET
from registry.states import DeliveryState, RepoKind
from work.door import enqueue

LIMIT_PER_USER = 20
WATCH_LIMIT = 50
SECRET_LIMIT = 200
KEEP = timedelta(days=30)
_LIMIT_S = 10.0
_PAUSES_S = (10, 60, 300, 1800, 7200, 21_600)
"""Between the attempts of a delivery: the last one is made nearly nine hours after the first."""
_EVENT = re.compile(r"[a-z_]{1,30}\.[a-z_]{1,30}")
_EVENTS_LIMIT = 50
_GIVEN_UP_IN_A_ROW = 10
"""After so many deliveries in a row that never arrived, nobody is listening any more."""

Watched = Mapping[str, str]
"""`{type, name}`: a kind of repository and `namespace/name`, or `user`/`org` and a namespace."""


def create_webhook(
    actor: Actor,
    url: str,
    watched: Iterable[Watched],
    *,
    domains: Iterable[str] = DOMAINS,
    secret: str = "",
    events: Iterable[str] = (),
) -> Webhook:
    """Have `url` told of what happens to the `watched` things, as far as the actor may see it; `events`: of the domain `market` these
    names alone. Raises Invalid for an address that is not allowed or an unknown domain, NotFound for something to watch that is not
    there."""
    _require_person(actor)
    fields = _checked(url=url, domains=domains, secret=secret, events=events)
    if not (watches := _watches(actor, watched)):
        raise Invalid("Name at least one repository, person or organisation to watch.", fields={"watched": "none"})
    with transaction.atomic():
        if Webhook.objects.filter(user_id=actor.person_id).count() >= LIMIT_PER_USER:
            raise Invalid(f"You have {LIMIT_PER_USER} webhooks already: delete some first.")
        webhook = Webhook.objects.create(user_id=actor.person_id, **fields)
        _watch(webhook, watches)
        _record(actor, "registry:webhook:created", webhook)
    return webhook


def update_webhook(
    actor: Actor,
    webhook: Webhook,
    *,
    url: str | None = None,
    watched: Iterable[Watched] = (),
    domains: Iterable[str] | None = None,
    secret: str | None = None,
    events: Iterable[str] | None = None,
) -> Webhook:
    """Change what is given; no `watched` leaves what is watched as it is. Raises as `create_webhook` does."""
    webhook = require_webhook(actor, webhook.uuid)
    fields = _checked(url=url, domains=domains, secret=secret, events=events)
    watches = _watches(actor, watched)
    with transaction.atomic():
        Webhook.objects.filter(pk=webhook.pk).update(**fields)
        if watches:
            webhook.watches.all().delete()
            _watch(webhook, watches)
        _record(actor, "registry:webhook:changed", webhook)
    return require_webhook(actor, webhook.uuid)


def set_enabled(actor: Actor, webhook: Webhook, *, is_enabled: bool) -> Webhook:
    """Switch it on, forgetting earlier failures, or off. A second call changes nothing."""
    webhook = require_webhook(actor, webhook.uuid)
    with transaction.atomic():
        if (
            Webhook.objects.filter(pk=webhook.pk)
            .exclude(is_enabled=is_enabled)
            .update(is_enabled=is_enabled, failures_in_a_row=0)
        ):
            _record(actor, "registry:webhook:enabled" if is_enabled else "registry:webhook:disabled", webhook)
    return require_webhook(actor, webhook.uuid)


def delete_webhook(actor: Actor, webhook: Webhook) -> None:
    """Remove it with all that is on its way to it."""
    webhook = require_webhook(actor, webhook.uuid)
    with transaction.atomic():
        _record(actor, "registry:webhook:deleted", webhook)
        Webhook.objects.filter(pk=webhook.pk).delete()


def secret_of(webhook: Webhook) -> str:
    """The secret as its owner entered it; "" when there is none. Raises Unavailable when it can't be read any more."""
    return unseal(webhook.sealed_secret) if webhook.sealed_secret else ""


def fan_out_event(event_id: int) -> int:
    """Write a delivery for each enabled webhook that watches the event's repository and whose owner may see it; returns how many.
    A second call adds none: there is one delivery per webhook and event."""
    event = RepoEvent.objects.select_related("repo__namespace").filter(pk=event_id).first()
    if event is None:
        return 0
    repo = event.repo
    watched = Q(watches__namespace_id=repo.namespace_id if repo else event.namespace_id)
    if repo is not None:
        watched |= Q(watches__repo=repo)
    webhooks = Webhook.objects.select_related("user").filter(watched, is_enabled=True).distinct().order_by("pk")
    count = 0
    for webhook in webhooks.iterator(chunk_size=200):
        if not _wants(webhook, event) or not _may_hear(webhook, event):
            continue
        with transaction.atomic():
            delivery, is_new = WebhookDelivery.objects.get_or_create(webhook=webhook, event=event)
            if is_new:
                count += 1
                enqueue("registry.deliver_webhook", delivery.pk, key=f"delivery:{delivery.pk}")
    return count


def _wants(webhook: Webhook, event: RepoEvent) -> bool:
    if event.domain not in webhook.domains:
        return False
    return event.domain != MARKET or not webhook.events or event.payload["event"]["name"] in webhook.events


def _may_hear(webhook: Webhook, event: RepoEvent) -> bool:
    """What the webhook's owner may see now, not what they could when they made it."""
    actor = actors.for_user(webhook.user)
    if event.repo is None:
        return event.namespace_id is not None and actor.may(Action(event.needs), event.namespace_id)
    return can(actor, event.repo, Action.REPO_READ if event.domain == DISCUSSION else Action.REPO_DISCOVER)


def redeliver(actor: Actor, webhook: Webhook, uuid: UUID | str) -> WebhookDelivery:
    """Send an earlier delivery once more. While it is still on its way, nothing changes. Raises NotFound."""
    webhook = require_webhook(actor, webhook.uuid)
    with transaction.atomic():
        delivery = WebhookDelivery.objects.select_for_update().filter(webhook=webhook, uuid=uuid).first()
        if delivery is None:
            raise NotFound("There is no such delivery.")
        if delivery.state != DeliveryState.WAITING:
            delivery.state, delivery.attempts, delivery.ended_at = DeliveryState.WAITING, 0, None
            delivery.save(update_fields=["state", "attempts", "ended_at"])
            enqueue("registry.deliver_webhook", delivery.pk, key=f"delivery:{delivery.pk}")
    return delivery


def deliver_webhook(delivery_id: int) -> None:
    """Make one attempt at a delivery. Safe to repeat: one that has ended is left alone; a crash between the answer and its note
    sends the same message again, which its id shows. Plans the next attempt itself, and gives up after the last one; then its
    owner is told, once nothing has arrived for a while, and the webhook is switched off."""
    delivery = WebhookDelivery.objects.select_related("webhook__user", "event").filter(pk=delivery_id).first()
    if delivery is None or delivery.state != DeliveryState.WAITING:
        return
    webhook = delivery.webhook
    if not webhook.is_enabled or not webhook.user.is_active:
        _end(delivery, DeliveryState.GIVEN_UP, None, "The webhook was switched off.")
        return
    try:
        answer = outgoing.send("POST", webhook.url, limit_s=_LIMIT_S, **_message(delivery))
    except (Invalid, Unavailable) as error:
        _failed(delivery, None, error)
        return
    if 200 <= answer.status < 300:
        _end(delivery, DeliveryState.DELIVERED, answer.status, "")
    else:
        _failed(delivery, answer.status, Unavailable(f"It answered {answer.status}."))


def forget_old_events(limit: int = 2000) -> int:
    """Drop events older than KEEP with their deliveries; returns how many. Safe to run beside itself."""
    old = list(RepoEvent.objects.filter(created_at__lt=now() - KEEP).values_list("pk", flat=True)[:limit])
    RepoEvent.objects.filter(pk__in=old).delete()
    return len(old)


def signature_of(secret: str, timestamp: int, body: bytes) -> str:
    """What the receiver computes, too: HMAC-SHA-256, hex, over `<timestamp>.<body>` under the secret."""
    return hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def _message(delivery: WebhookDelivery) -> dict[str, Any]:
    webhook, event = delivery.webhook, delivery.event
    body = strict_json.dumps({**event.payload, "webhook": {"id": webhook.uuid.hex, "version": 3}})
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Mercato-Webhook/1",
        "X-Webhook-Id": webhook.uuid.hex,
        "X-Webhook-Delivery": delivery.uuid.hex,
    }
    if secret := secret_of(webhook):
        timestamp = int(now().timestamp())
        headers["X-Webhook-Secret"] = secret
        headers["X-Webhook-Signature"] = f"t={timestamp},v1={signature_of(secret, timestamp, body)}"
    return {"body": body, "headers": headers}


def _failed(delivery: WebhookDelivery, status: int | None, error: DomainError) -> None:
    # an address that is forbidden now is forbidden in a minute, too
    if isinstance(error, Invalid) or delivery.attempts >= len(_PAUSES_S):
        _end(delivery, DeliveryState.GIVEN_UP, status, error.message)
        return
    with transaction.atomic():
        _waiting(delivery).update(attempts=F("attempts") + 1, status=status, error=error.message[:300])
        enqueue(
            "registry.deliver_webhook",
            delivery.pk,
            key=f"delivery:{delivery.pk}",
            delay_s=_PAUSES_S[delivery.attempts],
        )


def _end(delivery: WebhookDelivery, state: DeliveryState, status: int | None, error: str) -> None:
    webhook = delivery.webhook
    with transaction.atomic():
        if not _waiting(delivery).update(
            state=state, status=status, error=error[:300], attempts=F("attempts") + 1, ended_at=now()
        ):
            return
        if state == DeliveryState.DELIVERED:
            Webhook.objects.filter(pk=webhook.pk).update(failures_in_a_row=0)
            return
        Webhook.objects.filter(pk=webhook.pk).update(failures_in_a_row=F("failures_in_a_row") + 1)
        if Webhook.objects.filter(pk=webhook.pk, is_enabled=True, failures_in_a_row__gte=_GIVEN_UP_IN_A_ROW).update(
            is_enabled=False
        ):
            _record(actors.system("webhooks"), "registry:webhook:disabled", webhook)
            notify_users(
                [webhook.user_id],
                "webhook",
                f"Your webhook to {webhook.url[:200]} was switched off: nothing has arrived there for a while. {error}",
            )


def _waiting(delivery: WebhookDelivery) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(pk=delivery.pk, state=DeliveryState.WAITING)


def _require_person(actor: Actor) -> None:
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person can have webhooks.")


def _checked(
    *, url: str | None, domains: Iterable[str] | None, secret: str | None, events: Iterable[str] | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if url is not None:
        outgoing.check_url(url)
        fields["url"] = url
    if domains is not None:
        wanted = sorted(set(domains))
        if not wanted or set(wanted) - set(ALL_DOMAINS):
            raise Invalid(f"domains must be some of: {', '.join(ALL_DOMAINS)}.", fields={"domains": "unknown"})
        fields["domains"] = wanted
    if events is not None:
        names = sorted(set(events))
        if len(names) > _EVENTS_LIMIT or any(not _EVENT.fullmatch(name) for name in names):
            raise Invalid("An event is named like order.paid.", fields={"events": "not names of events"})
        fields["events"] = names
    if secret is not None:
        if len(secret) > SECRET_LIMIT or not secret.isascii() or not (secret.isprintable() or not secret):
            raise Invalid(
                f"A secret has at most {SECRET_LIMIT} printable ASCII characters.", fields={"secret": "not valid"}
            )
        fields["sealed_secret"] = seal(secret) if secret else ""
    return fields


def _watches(actor: Actor, watched: Iterable[Watched]) -> list[WebhookWatch]:
    found: dict[tuple[int | None, int | None], WebhookWatch] = {}
    for item in watched:
        kind, name = item["type"], item["name"]
        namespace, _, rest = name.partition("/")
        if kind in list(RepoKind):
            watch = WebhookWatch(repo=require_repo(actor, kind, namespace, rest, Action.REPO_DISCOVER))
        elif kind in {"user", "org"}:
            owner = require_namespace(actor, name)
            if owner.is_organization != (kind == "org"):
                raise NotFound(f"There is no {'organisation' if kind == 'org' else 'person'} called {name[:96]}.")
            watch = WebhookWatch(namespace=owner)
        else:
            raise Invalid(f"This site has no {kind[:20]} to watch.", fields={"watched": "unknown type"})
        found[watch.repo_id, watch.namespace_id] = watch
    if len(found) > WATCH_LIMIT:
        raise Invalid(f"A webhook watches at most {WATCH_LIMIT} things.", fields={"watched": "too many"})
    return list(found.values())


def _watch(webhook: Webhook, watches: list[WebhookWatch]) -> None:
    for watch in watches:
        watch.webhook = webhook
    WebhookWatch.objects.bulk_create(watches)


def _record(actor: Actor, tag: str, webhook: Webhook) -> None:
    audit.record(actor, tag, "webhook", webhook.uuid, namespace_id=webhook.user.namespace.pk, url=webhook.url)
