"""The keys of this site, and what is signed with them: certificates of blind evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.actors import system
from accounts.services import audit
from backends.blind.metrics import METRICS
from common.clock import now
from common.errors import Unavailable
from common.sealed import seal, unseal
from market import certificates
from market.models import BlindEvaluation, Certificate, CertificateKey

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Verified:
    """What is to be said of a document. `statement` is what it says itself: to be believed when `is_good`. `key_id` names the key that
    fits; `is_retired`: the site signs with another one by now, which makes the signature no worse."""

    is_good: bool
    reason: str
    statement: dict[str, Any]
    key_id: str = ""
    is_retired: bool = False


def current_key() -> CertificateKey:
    """The key that signs now; made by the first certificate. When its private half can't be read any more, because SECRET_KEY has
    changed, it is retired and another one made: what it has signed stays good."""
    found = CertificateKey.objects.filter(retired_at__isnull=True).first()
    if found is not None:
        try:
            unseal(found.sealed_private)
        except Unavailable:
            log.warning("certificate_key_unreadable", key=found.key_id)
            CertificateKey.objects.filter(pk=found.pk, retired_at__isnull=True).update(
                retired_at=now(), sealed_private=""
            )
        else:
            return found
    key_id, public, private = certificates.new_key()
    try:
        with transaction.atomic():
            made = CertificateKey.objects.create(key_id=key_id, public_pem=public, sealed_private=seal(private))
            audit.record(system("certificates"), "market:certificate_key:made", "certificate-key", key_id)
            return made
    except IntegrityError:
        return CertificateKey.objects.get(retired_at__isnull=True)  # somebody made it at this moment


def issue(
    evaluation: BlindEvaluation, key: CertificateKey, *, model: Mapping[str, str], data: Mapping[str, str]
) -> Certificate:
    """Sign what came of a finished evaluation, in the transaction that ends it; one certificate for each. It names neither the buyer nor
    the dataset: only who has the same files can tell them by their digest."""
    assert evaluation.finished_at is not None
    assert None not in {evaluation.value, evaluation.low, evaluation.high}
    listing = evaluation.listing
    statement = {
        "format": certificates.FORMAT,
        "id": str(evaluation.uuid),
        "site": settings.PUBLIC_URL,
        "issued_at": _time(now()),
        "evaluated_at": _time(evaluation.finished_at),
        "listing": {
            "uuid": str(listing.uuid),
            "name": f"{listing.namespace.name}/{listing.slug}",
            "title": listing.title,
        },
        "model": dict(model),
        "data": dict(data),
        "metric": evaluation.metric,
        "value": certificates.decimal(evaluation.value or 0.0),
        "low": certificates.decimal(evaluation.low or 0.0),
        "high": certificates.decimal(evaluation.high or 0.0),
        "confidence": "0.95",
        "interval": METRICS[evaluation.metric].interval,
        "n": evaluation.n,
    }
    signature = certificates.sign(statement, unseal(key.sealed_private))
    return Certificate.objects.create(evaluation=evaluation, key=key, statement=statement, signature=signature)


def document_of(evaluation: BlindEvaluation) -> dict[str, Any]:
    """The certificate as it is downloaded. Wants it joined with its key."""
    made = evaluation.certificate
    return certificates.document_of(made.statement, made.key.key_id, made.signature)


def verify(text: bytes | str, *, public_pem: str = "") -> Verified:
    """Check a document with the key given, else with the keys of this site. Writes nothing, and tells nothing that the document does not
    say itself. Raises Invalid for what is no certificate or no key."""
    document = certificates.opened(text)
    if public_pem:
        is_good = certificates.is_good(document, public_pem)
        return Verified(
            is_good,
            "The signature is good: it was made with this key, and nothing was changed since."
            if is_good
            else "The signature does not fit this key: the certificate was changed, or signed with another one.",
            document.statement,
            document.key_id if is_good else "",
        )
    key = CertificateKey.objects.filter(key_id=document.key_id).first()
    if key is None:
        return Verified(
            is_good=False,
            reason="This site has no such key: the certificate is of another site, or it is forged.",
            statement=document.statement,
        )
    if not certificates.is_good(document, key.public_pem):
        return Verified(
            is_good=False,
            reason="The signature is not good: something in the certificate was changed after it was signed.",
            statement=document.statement,
        )
    return Verified(
        is_good=True,
        reason="The signature is good: this site has issued the certificate, and nothing was changed since.",
        statement=document.statement,
        key_id=key.key_id,
        is_retired=key.retired_at is not None,
    )


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
