"""The payment backends that ship, under the conformance suite; Stripe against a server of our own, with everything that goes wrong."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from backends import catalogue
from backends.conformance.payments import PaymentConformance
from backends.contracts.payments import Capability, Listing, PaymentState, RefundState, Topic
from backends.errors import ConfigError, Missing, Rejected, Transient
from backends.payments.credits import CreditsPayments
from backends.payments.stripe import StripePayments
from tests.support.stripe_server import SECRET_KEY, WEBHOOK_SECRET, Fault, StripeServer
from tests.support.stripe_server.shapes import CLASSES, SAMPLES, faults
from tests.support.stripe_server.state import processing_fee


@pytest.fixture
def server():
    with StripeServer() as running:
        yield running


@pytest.fixture
def stripe_backend(server) -> StripePayments:
    return catalogue.load(
        "payments", "stripe", secret_key=SECRET_KEY, webhook_secrets=["whsec_old", WEBHOOK_SECRET],
        api_base=server.url,
    )  # fmt: skip


def ask(backend, key="order-1", amount=1999, **more):
    return backend.start(key=key, amount_minor=amount, currency="EUR", description="Wine", **more)


def paid(server, backend, key="order-1", **more):
    made = ask(backend, key, **more)
    server.state.pay(made.reference)
    return made.reference


class TestCredits(PaymentConformance):
    @pytest.fixture
    def backend(self) -> CreditsPayments:
        return catalogue.load("payments", "credits")

    def test_says_that_it_needs_no_network(self, backend):
        assert backend.capabilities == {Capability.LEDGER}

    @pytest.mark.parametrize("reference", ["credits:1:EUR:order-2", "credits:-1:EUR:order-1", "credits:1:euro:order-1"])
    def test_a_reference_of_another_order_is_missing(self, backend, reference):
        with pytest.raises(Missing):
            backend.look(reference, key="order-1")


class TestStripe(PaymentConformance):
    @pytest.fixture
    def backend(self, stripe_backend) -> StripePayments:
        return stripe_backend

    @pytest.fixture
    def pay(self, server):
        return lambda payment: server.state.pay(payment.reference)

    @pytest.fixture
    def give_up(self, server):
        return lambda payment: server.state.expire(payment.reference)

    @pytest.fixture
    def dispute(self, server):
        return lambda payment: server.state.dispute(payment.reference)

    @pytest.fixture
    def close_dispute(self, server):
        return server.state.close_dispute

    @pytest.fixture
    def deliveries(self, server):
        return lambda: [server.delivery(event) for event in server.state.pending]

    @pytest.fixture
    def onboard(self, server):
        return server.state.onboard


@pytest.mark.parametrize("secrets", [[], [""], ["  "], [WEBHOOK_SECRET, ""]])
def test_a_blank_webhook_secret_is_refused(secrets):
    with pytest.raises(ConfigError):
        StripePayments(secret_key=SECRET_KEY, webhook_secrets=secrets)


def test_our_server_answers_in_the_shapes_of_the_package():
    """The published samples pass the check, whatever is broken does not, and the package reads them."""
    for name, kind in CLASSES.items():
        assert [each for each in faults(SAMPLES[name]) if "unknown" not in each and "missing" not in each] == [], name
        assert kind.construct_from(SAMPLES[name], "k").object == name
    for broken in ({"status": "paid"}, {"amount_total": "1"}, {"wishful": 1}):
        assert faults({**SAMPLES["checkout.session"], **broken})


@pytest.mark.parametrize(
    "params",
    [
        {"mode": "payment", "wishful": "1"},
        {"mode": "gift"},
        {"mode": "payment", "line_items": [{"price_data": {"unit_amount": 5}}]},
        {"mode": "payment", "line_items": [{"price_data": {"currency": "eur", "unit_amount": "much"}}]},
    ],
)
def test_our_server_refuses_what_stripe_would(stripe_backend, params):
    with pytest.raises(stripe.InvalidRequestError):
        stripe_backend.wire.client.v1.checkout.sessions.create(params)


@pytest.mark.parametrize("kind", ["reset", "lost", "slow", "409", "429", "500", "500-done"])
def test_whatever_goes_wrong_a_payment_and_its_refund_happen_once(server, stripe_backend, kind):
    hasty = stripe_backend
    if kind == "slow":
        hasty = StripePayments(
            secret_key=SECRET_KEY, webhook_secrets=[WEBHOOK_SECRET], api_base=server.url, timeout_s=0.8
        )
    server.faults.append(Fault(kind, "POST /v1/checkout", slow_s=1.2))
    with pytest.raises(Transient):
        ask(hasty)
    made = ask(stripe_backend)
    server.state.pay(made.reference)
    server.faults.append(Fault(kind, "POST /v1/refunds", slow_s=1.2))
    with pytest.raises(Transient):
        hasty.refund(made.reference, 500, key="order-1")
    if kind in {"lost", "slow"}:
        server.forget_keys()
    assert stripe_backend.refund(made.reference, 500, key="order-1").amount_minor == 500
    assert stripe_backend.look(made.reference, key="order-1").refunded_minor == 500
    refunds = [each for each in server.state.objects.values() if each["object"] == "refund"]
    assert len(refunds) == 1


def test_a_key_in_use_by_a_twin_is_tried_again(stripe_backend, server):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: _quietly(lambda: ask(stripe_backend).reference), range(6)))
    assert len(set(answers) - {None}) == 1
    assert sum(each["object"] == "checkout.session" for each in server.state.objects.values()) == 1


def _quietly(deed):
    try:
        return deed()
    except Transient:
        return None


def test_a_refused_key_is_a_fault_of_the_installation(server):
    backend = StripePayments(secret_key="sk_test_wrong", webhook_secrets=[WEBHOOK_SECRET], api_base=server.url)
    with pytest.raises(ConfigError):
        ask(backend)


def test_a_payment_tells_its_fee_and_its_tax(server):
    backend = StripePayments(
        secret_key=SECRET_KEY, webhook_secrets=[WEBHOOK_SECRET], api_base=server.url, with_tax=True
    )
    made = backend.look(paid(server, backend), key="order-1")
    assert (made.state, made.fee_minor, made.tax_minor) == (PaymentState.CAPTURED, processing_fee(1999), 320)
    assert (made.amount_minor, made.url) == (1999, "")


def test_a_delayed_payment_waits_and_may_fail(server, stripe_backend):
    states = []
    for key, is_paid in (("a", True), ("b", False)):
        made = ask(stripe_backend, key)
        server.state.pay(made.reference, delayed=True)
        states.append(stripe_backend.look(made.reference, key=key).state)
        server.state.settle(made.reference, is_paid=is_paid)
        states.append(stripe_backend.look(made.reference, key=key).state)
    assert states == ["waiting", "captured", "waiting", "failed"]


@pytest.mark.parametrize(("currency", "amount"), [("CRD", 100), ("KWD", 1001)])
def test_what_stripe_cannot_take_is_refused(stripe_backend, currency, amount):
    with pytest.raises(Rejected):
        stripe_backend.start(key="k", amount_minor=amount, currency=currency, description="")


def test_forged_deliveries_are_refused(server, stripe_backend):
    paid(server, stripe_backend)
    raw = json.dumps(server.state.pending[0]).encode()
    now = int(time.time())
    good = server.sign(raw)
    v1 = good.split(",")[1]
    forged = [
        "", "t=1", v1, good.replace("v1=", "v0="), server.sign(raw, secret=""), server.sign(raw, secret="other"),
        server.sign(raw, at=now - 301), server.sign(raw, at=now + 302), f"t={now},t={now},{v1}", good + "," * 5000,
        f"t=x,{v1}", f"t={now},v1=", server.sign(raw + b" "), f"t={now},v1={'é' * 64}",
    ]  # fmt: skip
    for header in forged:
        with pytest.raises(Rejected):
            stripe_backend.read_event({"Stripe-Signature": header}, raw)
    # an old secret is good until it is taken away; several signatures are one good one
    for header in (good, server.sign(raw, secret="whsec_old"), f"{server.sign(raw, secret='other')},{v1}"):
        assert stripe_backend.read_event({"stripe-signature": header}, raw).event_id == server.state.pending[0]["id"]
    # 14 kinds of forgery, all refused before anything was parsed
    with pytest.raises(Rejected):
        stripe_backend.read_event({"Stripe-Signature": server.sign(b"\xff[")}, b"\xff[")


def test_what_is_not_ours_is_no_topic(server, stripe_backend):
    paid(server, stripe_backend)
    event = server.state.pending[0]
    for other in ({"livemode": True}, {"account": "acct_9"}, {"type": "invoice.paid"}, {"type": "brand.new.thing"}):
        headers, raw = server.delivery({**event, **other})
        assert stripe_backend.read_event(headers, raw).topic == Topic.NOTHING


def test_lists_are_read_through_all_their_pages(server, stripe_backend, monkeypatch):
    monkeypatch.setattr("backends.payments.stripe._PAGE", 2)
    references = [paid(server, stripe_backend, f"o{n}") for n in range(5)]
    stripe_backend.refund(references[0], 100, key="r")
    found, cursor = [], ""
    while True:
        page = stripe_backend.changes(Listing.PAYMENTS, since=0, cursor=cursor)
        found += [change.reference for change in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert found == references[::-1]
    assert [each.key for each in stripe_backend.changes(Listing.REFUNDS, since=0).items] == ["o0"]
    assert stripe_backend.changes(Listing.EVENTS, since=int(time.time()) + 60).items == ()


def test_a_refund_that_the_bank_sends_back_says_so(server, stripe_backend):
    reference = paid(server, stripe_backend)
    made = stripe_backend.refund(reference, 500, key="r")
    server.state.fail_refund(made.reference)
    assert stripe_backend.look_refund(reference, key="r").state == RefundState.FAILED


def test_a_card_is_kept_and_charged_later(server, stripe_backend):
    customer = stripe_backend.create_customer(key="acme", email="a@example.org", name="Acme")
    assert stripe_backend.create_customer(key="acme", email="a@example.org", name="Acme") == customer
    later = {"customer": customer, "amount_minor": 700, "currency": "EUR", "description": "Month"}
    with pytest.raises(Missing):
        stripe_backend.charge(key="m1", **later)
    paid(server, stripe_backend, customer=customer)
    server.faults.append(Fault("lost", "POST /v1/payment_intents"))
    with pytest.raises(Transient):
        stripe_backend.charge(key="m1", **later)
    server.forget_keys()
    assert stripe_backend.charge(key="m1", **later).state == PaymentState.CAPTURED
    assert sum(each.get("amount") == 700 and each["object"] == "charge" for each in server.state.objects.values()) == 1


def test_a_declined_card_is_a_failed_payment(server, stripe_backend):
    customer = stripe_backend.create_customer(key="x", email="", name="declined later")
    paid(server, stripe_backend, customer=customer)
    made = stripe_backend.charge(key="m1", customer=customer, amount_minor=700, currency="EUR", description="")
    assert made.state == PaymentState.FAILED
    assert made.reference.startswith("pi_")


def test_usage_is_counted_once(server, stripe_backend):
    for _ in range(3):
        stripe_backend.report_usage(key="u1", meter="calls", customer="cus_1", quantity=5, at=int(time.time()))
    assert [each["payload"]["value"] for each in server.state.meter_events.values()] == ["5"]
    with pytest.raises(Rejected):
        stripe_backend.report_usage(key="u2", meter="calls", customer="cus_1", quantity=5, at=1)
