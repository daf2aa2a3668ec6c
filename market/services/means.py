"""Whether somebody could pay for something without being asked."""

from typing import TYPE_CHECKING

from common.errors import OverBudget
from common.money import Money
from market.services.customers import has_customer
from market.services.payment_backend import is_in_ledger

if TYPE_CHECKING:
    from accounts.models import Namespace


def require_means(buyer: "Namespace", backend_name: str, total: Money, held_minor: int, *, by_buyer: bool) -> None:
    """Raises OverBudget when nothing could pay `total`: the wallet, which holds `held_minor`, does not cover it, and the buyer is
    neither here to pay at the provider's page (`by_buyer`) nor has left a card."""
    if is_in_ledger(backend_name):
        if held_minor < total.amount_minor:
            held = Money(held_minor, total.currency)
            raise OverBudget(
                f"{total} are due, and the wallet of {buyer.name} holds {held}.",
                code="insufficient_funds",
                balance_minor=held_minor,
                needed_minor=total.amount_minor,
                currency=total.currency,
            )
    elif not by_buyer and not has_customer(buyer, backend_name):
        raise OverBudget(
            f"{total} are due, the wallet of {buyer.name} does not cover it, and there is no card.",
            code="insufficient_funds",
        )
