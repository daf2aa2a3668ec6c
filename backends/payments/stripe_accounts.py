"""Sellers at Stripe (Connect): their accounts, the page where they say who they are, money to them."""

from typing import Any

from backends.contracts.payments import PayoutAccount, PayoutBackend, Transfer
from backends.errors import Rejected
from backends.payments.stripe_wire import Wire, text_of


class StripeAccounts(PayoutBackend):
    """The platform pays fees and losses and Stripe asks for what the law wants to know, as with Express accounts."""

    wire: Wire

    def create_account(self, *, key: str, email: str, country: str = "") -> PayoutAccount:
        params: dict[str, Any] = {
            "controller": {
                "fees": {"payer": "application"},
                "losses": {"payments": "application"},
                "requirement_collection": "stripe",
                "stripe_dashboard": {"type": "express"},
            },
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"key": key},
        }
        if email:
            params["email"] = email
        if country:
            params["country"] = country.upper()
        made, is_first = self.wire.create(self.wire.client.v1.accounts.create, params, f"account:{key}")
        return _account(made) if is_first else self.look_account(made.id)

    def look_account(self, account: str) -> PayoutAccount:
        return _account(self.wire.read(self.wire.client.v1.accounts.retrieve, account))

    def create_account_link(self, account: str, *, return_url: str, refresh_url: str) -> str:
        params: dict[str, Any] = {
            "account": account,
            "type": "account_onboarding",
            "return_url": return_url,
            "refresh_url": refresh_url,
        }
        return str(self.wire.read(self.wire.client.v1.account_links.create, params).url)

    def transfer(self, *, key: str, account: str, amount_minor: int, currency: str) -> Transfer:
        if amount_minor < 1:
            raise Rejected("a transfer sends at least 1")

        def find() -> Any:
            # the group is our key: it finds the transfer long after Stripe has forgotten the idempotency key
            asked: dict[str, Any] = {"transfer_group": key, "limit": 100}
            return self.wire.find(
                self.wire.client.v1.transfers.list, asked, lambda each: text_of(each.metadata, "key") == key
            )

        made = find()
        if made is None:
            params = {
                "amount": amount_minor,
                "currency": currency.lower(),
                "destination": account,
                "transfer_group": key,
                "metadata": {"key": key},
            }
            made, _ = self.wire.create(self.wire.client.v1.transfers.create, params, f"transfer:{key}", find=find)
        if (made.amount, made.currency.upper(), _id(made.destination)) != (amount_minor, currency, account):
            raise Rejected("this key was used for another transfer")
        return Transfer(made.id, made.amount)


def _account(found: Any) -> PayoutAccount:
    capabilities = found.capabilities
    can_take = capabilities is not None and getattr(capabilities, "transfers", None) == "active"
    needs = found.requirements.currently_due if found.requirements is not None else None
    return PayoutAccount(found.id, bool(can_take and found.payouts_enabled), tuple(needs or ()))


def _id(found: Any) -> str:
    return found if isinstance(found, str) else str(found.id)
