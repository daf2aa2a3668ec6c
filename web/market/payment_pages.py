"""What the pages show of the payment provider: disputes of an order, a seller's account."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from common.money import Money
from market import queries
from market.services import provider_accounts
from web.links import with_query

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Order

_TEXTS = {
    "open": "The buyer's bank has taken the money back until it has decided. Access rests meanwhile.",
    "won": "The bank decided for the seller: the money is back, and access goes on as before.",
    "lost": "The bank decided for the buyer: the money is gone, and access has ended.",
}


@dataclass(frozen=True)
class DisputeRow:
    state: str
    text: str
    amount: Money
    reason: str
    opened_at: datetime
    due_at: datetime | None
    closed_at: datetime | None


def disputes_of(order: "Order") -> list[DisputeRow]:
    return [
        DisputeRow(
            each.state,
            _TEXTS[each.state],
            Money(each.amount_minor, order.currency),
            each.reason.replace("_", " "),
            each.opened_at,
            each.due_at,
            each.closed_at,
        )
        for each in queries.disputes_of(order)
    ]


@dataclass(frozen=True)
class SellerAccountPage:
    """`link` leads to the provider's page; it was asked for just now and works once."""

    title: str
    owner: str
    is_offered: bool
    has_account: bool
    is_ready: bool
    needs: list[str]
    link: str
    back_href: str

    @classmethod
    def of(cls, owner: "Namespace", link: str) -> "SellerAccountPage":
        account = provider_accounts.seller_account(owner)
        return cls(
            title="Account for payouts",
            owner=owner.name,
            is_offered=provider_accounts.offers_accounts(),
            has_account=account is not None,
            is_ready=account is not None and account.is_ready,
            needs=[each.replace("_", " ").replace(".", ": ") for each in account.needs] if account else [],
            link=link,
            back_href=with_query("/earnings", owner=owner.name),
        )
