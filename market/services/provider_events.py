"""What providers report: proven, stored, answered, and then taken in by a task. An event only says where to look."""

from collections.abc import Mapping
from datetime import UTC, datetime

from django.db import transaction

from backends.contracts.payments import Capability, Change, Topic
from backends.errors import ConfigError, Rejected
from common.clock import now
from common.errors import Busy, DomainError, Invalid, NotFound, Unavailable
from market.models import ProviderEvent
from market.services import provider_accounts
from market.services.disputes import take_in_dispute
from market.services.payment_backend import backend
from market.services.payments import look_at_payment, order_of
from work.door import enqueue


def receive_event(backend_name: str, headers: Mapping[str, str], raw: bytes) -> ProviderEvent:
    """Prove a delivery by its signature over the raw bytes, and store it: when this returns, it may be answered with 2xx. A task takes
    it in. A delivery that was stored before changes nothing. Raises NotFound for a backend that is not set up here or sends no
    events, Invalid for whatever its provider did not sign, just now and exactly so."""
    try:
        provider = backend(backend_name)
    except ConfigError as error:
        raise NotFound("There is no such payment backend here.") from error
    if Capability.EVENTS not in provider.capabilities:
        raise NotFound("This payment backend sends no events.")
    try:
        change = provider.read_event(headers, raw)
    except Rejected as error:
        raise Invalid(f"This delivery is refused: {error}.", code="bad_delivery") from error
    return store_event(backend_name, change)


def store_event(backend_name: str, change: Change) -> ProviderEvent:
    """Keep an event and have it taken in; one that is known already is returned as it is."""
    with transaction.atomic():
        row, is_new = ProviderEvent.objects.get_or_create(
            backend=backend_name,
            event_id=change.event_id,
            defaults={
                "type": change.type,
                "topic": change.topic,
                "reference": change.reference[:120],
                "key": change.key[:120],
                "happened_at": datetime.fromtimestamp(change.at, UTC),
                "processed_at": now() if change.topic == Topic.NOTHING else None,
            },
        )
        if is_new and row.processed_at is None:
            enqueue("market.take_in_event", row.pk, key=f"event:{row.pk}")
    return row


def take_in_event(event_id: int) -> None:
    """Look where an event points, and apply what is there. Safe to repeat, late, and beside any other: what is applied is the present
    state of the object, whichever event led to it. Raises Unavailable or Busy, to be tried again; any other error of ours is noted
    on the event, which waits for a person or the reconciler, and raised."""
    event = ProviderEvent.objects.get(pk=event_id)
    if event.processed_at is not None:
        return
    try:
        follow(event.backend, Topic(event.topic), event.reference, event.key)
    except (Unavailable, Busy):
        raise
    except DomainError as error:
        ProviderEvent.objects.filter(pk=event.pk).update(problem=error.message[:300])
        raise
    ProviderEvent.objects.filter(pk=event.pk).update(processed_at=now(), problem="")


def follow(backend_name: str, topic: Topic, reference: str, key: str) -> None:
    """Bring what a change is about in line with the provider. What is none of ours is left alone."""
    if topic == Topic.PAYMENT:
        order = order_of(backend_name, reference, key)
        if order is not None:
            look_at_payment(order.pk, told_reference=reference)
    elif topic == Topic.DISPUTE:
        take_in_dispute(backend_name, reference)
    elif topic == Topic.ACCOUNT:
        provider_accounts.look_at_account(backend_name, reference)
