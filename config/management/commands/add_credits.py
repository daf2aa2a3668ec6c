"""`manage.py add_credits NAMESPACE AMOUNT CURRENCY`."""

from argparse import ArgumentParser
from typing import Any

from accounts.actors import system
from accounts.models import Namespace
from common.errors import NotFound
from common.ids import new_uuid
from common.money import Money, parse_amount
from config.management.base import OperatorCommand
from market import queries
from market.services import wallet


class Command(OperatorCommand):
    help = "Put credits into the wallet of NAMESPACE: `add_credits acme 100.00 CRD`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("namespace")
        parser.add_argument("amount", help="such as 12.50")
        parser.add_argument("currency", help="CRD for credits, or an ISO code")
        parser.add_argument("--key", default="", help="makes a repeated call harmless: the same key adds once")

    def answer(self, *, namespace: str, amount: str, currency: str, key: str, **_: Any) -> dict[str, Any]:
        money = parse_amount(amount, currency)
        holder = Namespace.objects.filter(name__iexact=namespace).first()
        if holder is None:
            raise NotFound(f"There is no user or organisation called {namespace}.", code="namespace_not_found")
        row = wallet.add_credits(
            system("operator"), holder, money.amount_minor, currency, key=key or f"operator:{new_uuid()}"
        )
        balance: Money = queries.balance(holder, currency)
        return {
            "namespace": holder.name,
            "added_minor": money.amount_minor,
            "currency": currency,
            "balance_minor": balance.amount_minor,
            "transaction": row.seal_id,
        }
