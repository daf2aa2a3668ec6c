"""Boot checks: whatever is configured can be loaded, before the first request finds out."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from backends import catalogue
from backends.contracts.payments import Capability
from backends.errors import BackendError
from backends.stores.urls import store_from_url
from common.errors import DomainError
from common.money import EXPONENTS
from market.overdue import dunning, overage_threshold
from market.payable import minimum


@register
def storage_can_be_loaded(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    try:
        store_from_url(settings.STORAGE_URL)
    except BackendError as error:
        return [Error(f"STORAGE_URL: {error}", id="mercato.E001")]
    return []


@register
def broker_is_known(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    scheme = urlsplit(settings.BROKER_URL).scheme
    if settings.BROKER_URL and scheme not in {"redis", "rediss", "amqp", "amqps"}:
        return [Error(f"BROKER_URL: {scheme}:// is not redis:// or amqp://.", id="mercato.E002")]
    return []


@register
def addresses_are_whole(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Clients put these before every link that they follow."""
    found: list[CheckMessage] = []
    for name in ("PUBLIC_URL", "INFERENCE_URL"):
        parts = urlsplit(getattr(settings, name))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            found.append(
                Error(f"{name} must be a whole address such as https://market.example.org.", id="mercato.E003")
            )
        elif parts.path:
            found.append(Error(f"{name} has a path; Hugging Face clients need the root of a host.", id="mercato.E004"))
    return found


@register
def payments_can_be_taken(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Above all: a blank webhook secret would let anybody report a payment."""
    name = settings.PAYMENTS["BACKEND"]
    try:
        backend = catalogue.load("payments", name, **settings.PAYMENTS["OPTIONS"].get(name, {}))
    except BackendError as error:
        return [Error(f"PAYMENT_BACKEND {name}: {error}.", id="mercato.E006")]
    if Capability.EVENTS in backend.capabilities and settings.PUBLIC_URL.startswith("http://127.0.0.1"):
        return [
            checks.Info(
                f"PUBLIC_URL is {settings.PUBLIC_URL}: {name} cannot deliver its events there; payments are found by looking.",
                id="mercato.I001",
            )
        ]
    return []


@register(deploy=True)
def fee_is_sensible(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    if not 0 <= settings.PLATFORM_FEE_PERCENT <= 100:
        return [Error("PLATFORM_FEE_PERCENT must be between 0 and 100.", id="mercato.E005")]
    return []


@register(deploy=True)
def payout_minimum_can_be_read(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    try:
        for currency in EXPONENTS:
            minimum(currency)
    except DomainError as error:
        return [Error(f"PAYOUT_MINIMUM: {error.message} Write it as 10 or 10,JPY=1000.", id="mercato.E019")]
    return []


@register(deploy=True)
def dunning_can_be_read(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    try:
        dunning()
        for currency in EXPONENTS:
            overage_threshold(currency)
    except DomainError as error:
        return [Error(f"SUBSCRIPTION_*: {error.message}", id="mercato.E021")]
    return []


@register(deploy=True)
def limits_are_shared(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """With several web machines each would count attempts for itself."""
    if str(settings.DATABASES["default"]["ENGINE"]).endswith("postgresql") and settings.CACHES["default"][
        "BACKEND"
    ].endswith("LocMemCache"):
        return [
            checks.Warning(
                "CACHE_URL is not set: rate limits are counted by each web process for itself.", id="mercato.W001"
            )
        ]
    return []
