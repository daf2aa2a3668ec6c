"""What this Stripe knows: objects by id, events in order. Every change that the real one tells of makes an event."""

import itertools
import time
from copy import deepcopy
from typing import Any

from tests.support.stripe_server.shapes import BadParameter, blank

PREFIXES = {
    "checkout.session": "cs_test_", "payment_intent": "pi_", "charge": "ch_", "balance_transaction": "txn_", "refund": "re_",
    "dispute": "dp_", "event": "evt_", "account": "acct_", "transfer": "tr_", "customer": "cus_", "payment_method": "pm_",
}  # fmt: skip
DISPUTE_FEE = 2000
EXPANDABLE = {"payment_intent", "latest_charge", "balance_transaction", "charge", "customer"}


class ApiError(Exception):
    def __init__(self, status: int, message: str, *, code: str = "", type: str = "invalid_request_error", **more: Any):
        super().__init__(message)
        self.status, self.body = status, {"error": {"type": type, "code": code, "message": message, **more}}


def processing_fee(amount: int) -> int:
    return amount * 15 // 1000 + 25


class State:
    """Not locked by itself: the server lets one request in at a time."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.objects: dict[str, dict[str, Any]] = {}
        self.meter_events: dict[str, dict[str, Any]] = {}
        self.pending: list[dict[str, Any]] = []
        """Events that no endpoint has taken yet."""
        self.livemode = False
        self.clock_offset_s = 0
        self.balance: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def now(self) -> int:
        return int(time.time()) + self.clock_offset_s

    def add(self, kind: str, **told: Any) -> dict[str, Any]:
        number = next(self._numbers)
        made = blank(kind, id=f"{PREFIXES[kind]}{number:06d}", created=self.now(), **told)
        if "livemode" in made:
            made["livemode"] = self.livemode
        self.objects[made["id"]] = made
        return made

    def get(self, id: str, kind: str) -> dict[str, Any]:
        found = self.objects.get(id)
        if found is None or found["object"] != kind:
            raise ApiError(404, f"No such {kind}: '{id}'", code="resource_missing", param="id")
        return found

    def tell(self, type: str, about: dict[str, Any], **more: Any) -> None:
        event = self.add(
            "event", type=type, data={"object": deepcopy(about)}, pending_webhooks=1, api_version="2026-10-28.endive",
            request=None, **more,
        )  # fmt: skip
        self.pending.append(event)

    def listed(self, kind: str, asked: dict[str, Any], *filters: str) -> dict[str, Any]:
        """A page of a list, newest first, as the API pages."""
        rows = [each for each in reversed(self.objects.values()) if each["object"] == kind]
        for name in filters:
            if name in asked:
                rows = [each for each in rows if each.get(name) == asked[name]]
        created = asked.get("created", {})
        rows = [each for each in rows if each["created"] >= created.get("gte", 0)]
        if "starting_after" in asked:
            ids = [each["id"] for each in rows]
            if asked["starting_after"] not in ids:
                raise ApiError(400, f"No such {kind}: '{asked['starting_after']}'", code="resource_missing")
            rows = rows[ids.index(asked["starting_after"]) + 1 :]
        limit = asked.get("limit", 10)
        if not 1 <= limit <= 100:
            raise BadParameter("", "limit", "This value must be between 1 and 100")
        return {"object": "list", "data": deepcopy(rows[:limit]), "has_more": len(rows) > limit, "url": "/v1/list"}

    def expand(self, found: Any, paths: list[str]) -> Any:
        for path in paths:
            self._expand(found, path.split("."))
        return found

    def _expand(self, found: Any, path: list[str]) -> None:
        if isinstance(found, list):
            for each in found:
                self._expand(each, path)
        elif isinstance(found, dict) and path:
            name, *rest = path
            if name not in EXPANDABLE | {"data"}:
                raise ApiError(400, f"This property cannot be expanded ({name}).")
            if isinstance(found.get(name), str):
                found[name] = deepcopy(self.objects[found[name]])
            self._expand(found.get(name), rest)

    # -- what buyers, banks and sellers do

    def pay(self, session_id: str, *, delayed: bool = False) -> None:
        """The buyer pays; `delayed`: by a way that takes days."""
        session = self.get(session_id, "checkout.session")
        if session["status"] != "open":
            raise ApiError(400, "This session is not open.")
        metadata = session["_intent"].get("metadata", {})
        intent = self.add(
            "payment_intent", amount=session["amount_total"], amount_received=0, currency=session["currency"],
            status="processing", metadata=metadata, customer=session["customer"], payment_method_types=["card"],
        )  # fmt: skip
        session.update(payment_intent=intent["id"], status="complete", url=None)
        if session["_intent"].get("setup_future_usage"):
            card = self.add("payment_method", type="card", customer=session["customer"])
            intent.update(payment_method=card["id"], setup_future_usage="off_session")
        if not delayed:
            self._succeed(intent, session)
        self.tell("checkout.session.completed", self._public(session))

    def settle(self, session_id: str, *, is_paid: bool) -> None:
        """The bank's answer to a delayed payment."""
        session = self.get(session_id, "checkout.session")
        intent = self.objects[session["payment_intent"]]
        if is_paid:
            self._succeed(intent, session)
            self.tell("checkout.session.async_payment_succeeded", self._public(session))
        else:
            intent["status"] = "requires_payment_method"
            self.tell("payment_intent.payment_failed", intent)
            self.tell("checkout.session.async_payment_failed", self._public(session))

    def expire(self, session_id: str) -> None:
        session = self.get(session_id, "checkout.session")
        session.update(status="expired", url=None)
        self.tell("checkout.session.expired", self._public(session))

    def refund(self, asked: dict[str, Any]) -> dict[str, Any]:
        intent = self.get(asked["payment_intent"], "payment_intent")
        charge = self.objects.get(intent["latest_charge"] or "")
        if charge is None:
            raise ApiError(400, "This PaymentIntent does not have a successful charge to refund.")
        left = charge["amount"] - charge["amount_refunded"]
        amount = asked.get("amount", left)
        if not 1 <= amount <= left:
            raise ApiError(
                400, f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
            )
        made = self.add(
            "refund", amount=amount, currency=charge["currency"], charge=charge["id"], payment_intent=intent["id"],
            status="succeeded", metadata=asked.get("metadata", {}), reason=asked.get("reason"),
        )  # fmt: skip
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.balance[charge["currency"]] = self.balance.get(charge["currency"], 0) - amount
        self.tell("refund.created", made)
        self.tell("charge.refunded", charge)
        return made

    def fail_refund(self, refund_id: str) -> None:
        refund = self.get(refund_id, "refund")
        refund["status"] = "failed"
        charge = self.objects[refund["charge"]]
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        self.tell("refund.failed", refund)
        self.tell("charge.refund.updated", charge)

    def dispute(self, session_id: str, amount: int | None = None, reason: str = "fraudulent") -> str:
        """The buyer's bank takes the money back; the id of the dispute."""
        session = self.get(session_id, "checkout.session")
        intent = self.objects[session["payment_intent"]]
        charge = self.objects[intent["latest_charge"]]
        amount = charge["amount"] if amount is None else amount
        charge["disputed"] = True
        made = self.add(
            "dispute", amount=amount, currency=charge["currency"], charge=charge["id"], payment_intent=intent["id"],
            reason=reason, status="needs_response", metadata={},
            balance_transactions=[self._moved(-amount, DISPUTE_FEE, charge["currency"], "adjustment", None)],
        )  # fmt: skip
        made["evidence_details"].update(due_by=self.now() + 7 * 86400, submission_method="manual")
        self.tell("charge.dispute.created", made)
        self.tell("charge.dispute.funds_withdrawn", made)
        return str(made["id"])

    def close_dispute(self, dispute_id: str, *, is_won: bool) -> None:
        found = self.get(dispute_id, "dispute")
        found["status"] = "won" if is_won else "lost"
        if is_won:
            found["balance_transactions"].append(
                self._moved(found["amount"], 0, found["currency"], "adjustment", found["id"])
            )
            self.tell("charge.dispute.funds_reinstated", found)
        self.tell("charge.dispute.closed", found)

    def onboard(self, account_id: str) -> None:
        """The seller says who they are."""
        account = self.get(account_id, "account")
        account.update(payouts_enabled=True, charges_enabled=True, details_submitted=True)
        account["capabilities"] = {"transfers": "active"}
        account["requirements"]["currently_due"] = []
        self.tell("account.updated", account, account=account_id)

    def charge(self, intent: dict[str, Any]) -> None:
        """Take the money of an intent."""
        charge = self.add(
            "charge", amount=intent["amount"], amount_captured=intent["amount"], amount_refunded=0, captured=True,
            currency=intent["currency"], payment_intent=intent["id"], paid=True, refunded=False, disputed=False,
            metadata=dict(intent["metadata"]), status="succeeded", payment_method=intent["payment_method"],
        )  # fmt: skip
        fee = processing_fee(intent["amount"])
        charge["balance_transaction"] = self._moved(intent["amount"], fee, intent["currency"], "charge", charge["id"])[
            "id"
        ]
        intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
        self.tell("payment_intent.succeeded", intent)
        self.tell("charge.succeeded", charge)

    def _succeed(self, intent: dict[str, Any], session: dict[str, Any]) -> None:
        self.charge(intent)
        session["payment_status"] = "paid"

    def _moved(self, amount: int, fee: int, currency: str, type: str, source: str | None) -> dict[str, Any]:
        self.balance[currency] = self.balance.get(currency, 0) + amount - fee
        return self.add(
            "balance_transaction", amount=amount, fee=fee, net=amount - fee, currency=currency, type=type, source=source,
            fee_details=[], reporting_category=type, status="available",
        )  # fmt: skip

    @staticmethod
    def _public(session: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in session.items() if not name.startswith("_")}
