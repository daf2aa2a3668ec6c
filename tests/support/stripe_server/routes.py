"""The API's requests: which parameters each takes (a type of the `stripe` package) and what it does."""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import stripe.params
import stripe.params.billing
import stripe.params.checkout

from tests.support.stripe_server.state import ApiError, State

Handler = Callable[[State, dict[str, Any], str], dict[str, Any]]
DECLINED = "declined"
"""A customer whose name has this word in it has a card that the bank refuses."""


def create_session(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    if asked.get("mode", "payment") != "payment" or not asked.get("line_items") or "success_url" not in asked:
        raise ApiError(400, "Missing required param: line_items, mode and success_url.", code="parameter_missing")
    amount, currency = 0, ""
    for line in asked["line_items"]:
        price = line.get("price_data")
        if price is None or "unit_amount" not in price or "product_data" not in price:
            raise ApiError(400, "You must specify either `product` or `product_data`.", code="parameter_missing")
        if price["unit_amount"] < 0:
            raise ApiError(400, "Invalid non-negative integer", code="parameter_invalid_integer")
        amount += price["unit_amount"] * line.get("quantity", 1)
        currency = price["currency"]
    if currency.upper() not in {"EUR", "USD", "GBP", "JPY", "KWD", "CHF"}:
        raise ApiError(400, f"Invalid currency: {currency}.", param="line_items[0][price_data][currency]")
    if "customer" in asked:
        state.get(asked["customer"], "customer")
    taxed = asked.get("automatic_tax", {}).get("enabled", False)
    made = state.add(
        "checkout.session",
        amount_subtotal=amount,
        amount_total=amount,
        currency=currency,
        mode="payment",
        status="open",
        payment_status="unpaid",
        payment_method_types=["card"],
        client_reference_id=asked.get("client_reference_id"),
        metadata=asked.get("metadata", {}),
        customer=asked.get("customer"),
        success_url=asked["success_url"],
        cancel_url=asked.get("cancel_url"),
        expires_at=state.now() + 86400,
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": amount - amount * 100 // 119 if taxed else 0},
        automatic_tax={"enabled": taxed, "liability": None, "provider": None, "status": "complete" if taxed else None},
    )  # fmt: skip
    made["url"] = f"{state.base}/c/pay/{made['id']}"
    made["_intent"] = asked.get("payment_intent_data", {})
    return made


def retrieve(kind: str) -> Handler:
    return lambda state, asked, name: state.expand(deepcopy(state.get(name, kind)), asked.get("expand", []))


def listing(kind: str, *filters: str) -> Handler:
    return lambda state, asked, _: state.expand(state.listed(kind, asked, *filters), asked.get("expand", []))


def create_refund(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    if "payment_intent" not in asked:
        raise ApiError(400, "One of the following params should be provided: payment_intent or charge.")
    return state.refund(asked)


def create_account(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    made = state.add(
        "account",
        email=asked.get("email"),
        country=asked.get("country", "DE"),
        metadata=asked.get("metadata", {}),
        payouts_enabled=False,
        charges_enabled=False,
        details_submitted=False,
        capabilities={"transfers": "inactive"},
    )
    made["requirements"] = {
        "alternatives": [], "current_deadline": None, "currently_due": ["business_type", "external_account"],
        "disabled_reason": "requirements.past_due", "errors": [], "eventually_due": [], "past_due": [],
        "pending_verification": [],
    }  # fmt: skip
    return made


def create_account_link(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    account = state.get(asked["account"], "account")
    now = state.now()
    url = f"{state.base}/setup/{account['id']}"
    return {"object": "account_link", "created": now, "expires_at": now + 300, "url": url}


def create_transfer(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    account = state.get(asked["destination"], "account")
    if account["capabilities"].get("transfers") != "active":
        raise ApiError(
            400, "Your destination account needs to have the transfers capability enabled.",
            code="insufficient_capabilities_for_transfer",
        )  # fmt: skip
    amount, currency = asked.get("amount", 0), asked["currency"]
    if not 1 <= amount <= state.balance.get(currency, 0):
        raise ApiError(
            400, "You have insufficient available funds in your Stripe account.", code="balance_insufficient"
        )
    state.balance[currency] -= amount
    made = state.add(
        "transfer", amount=amount, amount_reversed=0, currency=currency, destination=account["id"],
        transfer_group=asked.get("transfer_group"), metadata=asked.get("metadata", {}), reversed=False,
    )  # fmt: skip
    state.tell("transfer.created", made)
    return made


def create_customer(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    told = {name: asked[name] for name in ("email", "name", "metadata") if name in asked}
    return state.add("customer", **told)


def create_intent(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    customer = state.get(asked["customer"], "customer")
    card = state.get(asked["payment_method"], "payment_method")
    if card["customer"] != customer["id"]:
        raise ApiError(400, "The provided PaymentMethod cannot be attached.", code="payment_method_unexpected_state")
    if not (asked.get("off_session") and asked.get("confirm")):
        raise ApiError(400, "Only off-session payments that are confirmed at once are known here.")
    made = state.add(
        "payment_intent", amount=asked["amount"], amount_received=0, currency=asked["currency"], status="processing",
        customer=customer["id"], payment_method=card["id"], metadata=asked.get("metadata", {}),
        description=asked.get("description"), payment_method_types=["card"],
    )  # fmt: skip
    if DECLINED in (customer["name"] or ""):
        made["status"] = "requires_payment_method"
        state.tell("payment_intent.payment_failed", made)
        raise ApiError(
            402, "Your card was declined.", code="card_declined", type="card_error", payment_intent=deepcopy(made)
        )
    state.charge(made)
    return made


def create_meter_event(state: State, asked: dict[str, Any], _: str) -> dict[str, Any]:
    identifier = asked.get("identifier", "")
    if identifier in state.meter_events:
        raise ApiError(400, f"An event already exists with identifier {identifier}.", code="duplicate_meter_event")
    at = asked.get("timestamp", state.now())
    if not state.now() - 35 * 86400 <= at <= state.now() + 300:
        raise ApiError(400, "The timestamp is out of range.", code="timestamp_out_of_range")
    made = {
        "object": "billing.meter_event", "created": state.now(), "event_name": asked["event_name"],
        "identifier": identifier, "livemode": state.livemode, "payload": asked["payload"], "timestamp": at,
    }  # fmt: skip
    state.meter_events[identifier] = made
    return made


_ID = r"([A-Za-z0-9_-]{1,80})"
_P, _C, _B = stripe.params, stripe.params.checkout, stripe.params.billing
ROUTES: list[tuple[str, re.Pattern[str], type | None, Handler]] = [
    (method, re.compile(f"/v1/{path}"), kind, handler)
    for method, path, kind, handler in [
        ("POST", "checkout/sessions", _C.SessionCreateParams, create_session),
        ("GET", "checkout/sessions", _C.SessionListParams, listing("checkout.session", "payment_intent")),
        ("GET", f"checkout/sessions/{_ID}", _C.SessionRetrieveParams, retrieve("checkout.session")),
        ("POST", "refunds", _P.RefundCreateParams, create_refund),
        ("GET", "refunds", _P.RefundListParams, listing("refund", "payment_intent", "charge")),
        ("GET", f"disputes/{_ID}", _P.DisputeRetrieveParams, retrieve("dispute")),
        ("GET", "disputes", _P.DisputeListParams, listing("dispute")),
        ("GET", "events", _P.EventListParams, listing("event")),
        ("POST", "accounts", _P.AccountCreateParams, create_account),
        ("GET", f"accounts/{_ID}", _P.AccountRetrieveParams, retrieve("account")),
        ("POST", "account_links", _P.AccountLinkCreateParams, create_account_link),
        ("POST", "transfers", _P.TransferCreateParams, create_transfer),
        ("GET", "transfers", _P.TransferListParams, listing("transfer", "transfer_group", "destination")),
        ("POST", "customers", _P.CustomerCreateParams, create_customer),
        ("POST", "payment_intents", _P.PaymentIntentCreateParams, create_intent),
        ("GET", "payment_intents", _P.PaymentIntentListParams, listing("payment_intent", "customer")),
        ("GET", f"payment_intents/{_ID}", _P.PaymentIntentRetrieveParams, retrieve("payment_intent")),
        ("GET", "payment_methods", _P.PaymentMethodListParams, listing("payment_method", "customer", "type")),
        ("POST", "billing/meter_events", _B.MeterEventCreateParams, create_meter_event),
    ]
]
