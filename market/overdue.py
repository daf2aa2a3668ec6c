"""What the operator has set for subscriptions that are not paid."""

from datetime import timedelta

from django.conf import settings

from common.money import Money
from market.payable import amount_for
from market.subscriptions import Dunning, dunning_of


def dunning() -> Dunning:
    """Raises Invalid when the settings make no sense."""
    return dunning_of(
        settings.SUBSCRIPTION_RETRY_DAYS, settings.SUBSCRIPTION_GRACE_DAYS, settings.SUBSCRIPTION_END_DAYS
    )


def notice_ahead() -> timedelta:
    """How long before a renewal its buyer is told."""
    return timedelta(days=max(0, settings.SUBSCRIPTION_NOTICE_DAYS))


def overage_threshold(currency: str) -> Money:
    """Calls beyond a quota are charged as soon as they come to so much. Raises Invalid when the setting can't be read."""
    return amount_for(settings.SUBSCRIPTION_OVERAGE, currency)
