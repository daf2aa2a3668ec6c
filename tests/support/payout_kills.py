"""Payouts that are killed at each step, in a process of their own; see tests/support/kill_points.py. The provider remembers its
transfers in a file, as one outside would: what it was asked before the kill has happened."""

import json
from pathlib import Path
from typing import Any

import django

from tests.support.senders import Sender

STEPS = {
    "wallet": (
        "market.services.payouts:_post after",
        "accounts.services.audit:record after",
        "market.services.payouts:_settle after",
        "market.services.payouts:pay_out after",
    ),
    "outside": ("market.services.payouts:_post after", "market.services.payouts:pay_out after"),
    "provider": (
        "market.services.payouts:pay_out after",
        "market.services.payout_transfers:transfer before",
        "market.services.payout_transfers:transfer after",
    ),
}
AMOUNT = 2000


class _Outside(dict[str, Any]):
    """Transfers in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def setdefault(self, key: str, value: Any = None) -> Any:
        kept = self.read()
        found = kept.setdefault(key, list(value))
        self.path.write_text(json.dumps(kept))
        return tuple(found)

    def read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}


def main() -> None:
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - models exist after django.setup()

    from accounts.models import AuditRecord, Namespace  # noqa: PLC0415
    from market.models import AccountKind, Payout, TransactionKind  # noqa: PLC0415
    from market.services import ledger, payment_backend, payout_accounts, payouts  # noqa: PLC0415
    from notices.models import Notice  # noqa: PLC0415
    from tests.factories.market import SYSTEM, balance  # noqa: PLC0415
    from tests.support.kill_points import arm, in_child, tell  # noqa: PLC0415

    fake = Sender()
    fake.transfers = _Outside(Path(settings.DATA) / "transfers.json")
    payment_backend._loaded = lambda name: fake  # type: ignore[assignment]
    for method, steps in STEPS.items():
        seller = Namespace.objects.get(name=f"{method}-seller")
        account = payout_accounts.set_payout_account(
            SYSTEM, seller, currency="CRD", method=method, destination="" if method == "wallet" else "acct_12345"
        )
        earnings = ledger.earnings(seller, "CRD")
        for number, step in enumerate(steps):
            run, state = f"run{number}", "waiting" if method == "outside" else "paid"
            if not balance(earnings):
                legs = [ledger.Leg(ledger.issued("CRD"), -AMOUNT), ledger.Leg(earnings, AMOUNT)]
                ledger.post(TransactionKind.ISSUE, "test", f"{method}{number}", legs)

            def work(run: str = run, step: str = step, pk: int = account.pk) -> None:
                arm(step)
                made = payouts.pay_out(pk, run=run)
                if made is not None and made.account.method == "provider":
                    payouts.send_payout(made.pk)

            killed = in_child(work)
            mine = Payout.objects.filter(namespace=seller, key=run)
            taken = sum(mine.values_list("amount_minor", flat=True))
            left = {"sound": ledger.verify_ledger().is_sound, "left": balance(earnings), "earned": AMOUNT - taken}
            for _ in range(2):
                made = payouts.pay_out(account.pk, run=run)
                if method == "provider":
                    payouts.send_payout(made.pk)  # type: ignore[union-attr]
            payout = mine.get()
            kinds = {
                "wallet": ledger.wallet(seller, "CRD"),
                "provider": ledger.provider("CRD"),
                "outside": ledger.platform(AccountKind.PAYOUTS, "CRD"),
            }
            total = balance(kinds[method])
            if method == "provider":
                total = sum(each[1] for each in fake.transfers.read().values())  # type: ignore[attr-defined]
            tell(
                {
                    "method": method, "step": step, "killed": killed, **left, "state": state,
                    "amount": AMOUNT * (number + 1),
                    "after": {
                        "payouts": mine.count(), "state": payout.state, "earnings": balance(earnings), "sent": total,
                    },
                    "audited": AuditRecord.objects.filter(tag="market:payout:made", subject_id=str(payout.uuid)).count(),
                    "told": Notice.objects.filter(key=f"payout:{payout.uuid}:paid").count() if state == "paid" else 1,
                }
            )  # fmt: skip


if __name__ == "__main__":
    main()
