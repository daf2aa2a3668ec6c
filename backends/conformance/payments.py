"""What every payment backend must do. Subclass `PaymentConformance` and give the fixture `backend`; with EVENTS also what moves the
provider: `pay`, `give_up`, `deliveries`; with DISPUTES `dispute` and `close_dispute`; with ACCOUNTS `onboard`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backends.contracts.payments import (
    Capability,
    DisputeState,
    Listing,
    Payment,
    PaymentBackend,
    PaymentState,
    PayoutBackend,
    Topic,
)
from backends.errors import Missing, Rejected, Transient


def needs(backend: PaymentBackend, capability: Capability) -> None:
    if capability not in backend.capabilities:
        pytest.skip(f"{type(backend).__name__} does not offer {capability}")


class PaymentConformance:
    """Every test gets a fresh `backend`."""

    @pytest.fixture
    def backend(self) -> PaymentBackend:
        raise NotImplementedError("give the backend under test")

    @pytest.fixture
    def pay(self, backend):
        """(payment): the buyer pays it."""
        if Capability.LEDGER not in backend.capabilities:
            raise NotImplementedError("give what makes the buyer pay")
        return lambda payment: None

    @pytest.fixture
    def give_up(self, backend):
        """(payment): it lapses without being paid."""
        needs(backend, Capability.EVENTS)
        raise NotImplementedError("give what makes a payment lapse")

    @pytest.fixture
    def deliveries(self, backend):
        """() -> [(headers, raw)]: what the provider has sent so far."""
        needs(backend, Capability.EVENTS)
        raise NotImplementedError("give what the provider sends")

    @pytest.fixture
    def dispute(self, backend):
        """(payment) -> reference: the buyer's bank takes the money back."""
        needs(backend, Capability.DISPUTES)
        raise NotImplementedError("give what opens a dispute")

    @pytest.fixture
    def close_dispute(self, backend):
        """(reference, is_won=…)"""
        needs(backend, Capability.DISPUTES)
        raise NotImplementedError("give what closes a dispute")

    @pytest.fixture
    def onboard(self, backend):
        """(account): its owner answers the provider's questions."""
        needs(backend, Capability.ACCOUNTS)
        raise NotImplementedError("give what completes an account")

    def ask(self, backend: PaymentBackend, key: str = "order-1", amount: int = 1999, currency: str = "EUR") -> Payment:
        return backend.start(
            key=key,
            amount_minor=amount,
            currency=currency,
            description="Wine: One-time",
            return_url="https://shop.example.org/back",
            cancel_url="https://shop.example.org/away",
        )

    def captured(self, backend: PaymentBackend, pay) -> Payment:
        asked = self.ask(backend)
        pay(asked)
        found = backend.look(asked.reference, key="order-1")
        assert found.state == PaymentState.CAPTURED
        return found

    def test_a_payment_says_what_was_asked_for(self, backend):
        payment = self.ask(backend)
        assert (payment.amount_minor, payment.currency) == (1999, "EUR")
        assert 0 < len(payment.reference) <= 120
        assert payment.state in {PaymentState.WAITING, PaymentState.CAPTURED}
        assert (payment.state == PaymentState.WAITING) == bool(payment.url)

    def test_the_same_key_is_the_same_payment(self, backend):
        def once(_: int) -> str:
            for _attempt in range(20):
                try:
                    return self.ask(backend).reference
                except Transient:
                    continue
            raise AssertionError("refused again and again")

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(once, range(8)))) == 1

    def test_the_same_key_tells_how_the_payment_is_now(self, backend, pay):
        found = self.captured(backend, pay)
        assert self.ask(backend) == found

    def test_two_keys_are_two_payments(self, backend):
        assert self.ask(backend, "order-1").reference != self.ask(backend, "order-2").reference

    @pytest.mark.parametrize("amount", [0, -1])
    def test_nothing_can_not_be_asked_for(self, backend, amount):
        with pytest.raises(Rejected):
            self.ask(backend, amount=amount)

    def test_a_key_is_not_used_for_another_amount(self, backend):
        first = self.ask(backend)
        if Capability.LEDGER in backend.capabilities:
            pytest.skip("the ledger holds a key to its amounts")
        with pytest.raises(Rejected):
            self.ask(backend, amount=2000)
        assert self.ask(backend) == first

    def test_looking_changes_nothing(self, backend):
        payment = self.ask(backend)
        looks = [backend.look(payment.reference, key="order-1") for _ in range(2)]
        assert looks == [payment, payment]

    def test_an_unknown_payment_is_missing(self, backend):
        payment = self.ask(backend)
        asked: tuple[Callable[[], Any], ...] = (
            lambda: backend.look("nobody-knows-this", key="order-1"),
            lambda: backend.look(payment.reference, key="order-2"),
            lambda: backend.refund("nobody-knows-this", 1, key="refund-1"),
            lambda: backend.look_refund("nobody-knows-this", key="refund-1"),
        )
        for ask in asked:
            with pytest.raises(Missing):
                ask()

    def test_a_payment_that_lapsed_failed(self, backend, give_up):
        payment = self.ask(backend)
        give_up(payment)
        found = backend.look(payment.reference, key="order-1")
        assert (found.state, found.url) == (PaymentState.FAILED, "")

    def test_refunding_twice_gives_money_back_once(self, backend, pay):
        payment = self.captured(backend, pay)
        first = backend.refund(payment.reference, 500, key="refund-1")
        assert backend.refund(payment.reference, 500, key="refund-1") == first
        assert first.amount_minor == 500
        if Capability.LEDGER not in backend.capabilities:
            assert backend.look_refund(payment.reference, key="refund-1") == first
            assert backend.look_refund(payment.reference, key="refund-2") is None
            assert backend.look(payment.reference, key="order-1").refunded_minor == 500

    @pytest.mark.parametrize("amount", [0, -1, 2000])
    def test_no_more_is_refunded_than_was_paid(self, backend, pay, amount):
        payment = self.captured(backend, pay)
        with pytest.raises(Rejected):
            backend.refund(payment.reference, amount, key="refund-1")

    def test_events_say_where_to_look(self, backend, pay, deliveries):
        payment = self.captured(backend, pay)
        changes = [backend.read_event(*delivery) for delivery in deliveries()]
        assert changes == [backend.read_event(*delivery) for delivery in deliveries()]
        assert len({change.event_id for change in changes}) == len(changes) > 0
        told = {change.reference or payment.reference for change in changes if change.topic == Topic.PAYMENT}
        assert told == {payment.reference}
        assert {change.key for change in changes if change.topic == Topic.PAYMENT} == {"order-1"}
        listed = backend.changes(Listing.EVENTS, since=0)
        assert {change.event_id for change in listed.items} == {change.event_id for change in changes}

    def test_an_altered_event_is_refused(self, backend, pay, deliveries):
        self.captured(backend, pay)
        headers, raw = deliveries()[0]
        for position in range(0, len(raw), 11):
            altered = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
            with pytest.raises(Rejected):
                backend.read_event(headers, altered)

    @pytest.mark.parametrize("raw", [b"", b"{}", b"\x00\xff", b'{"type": "paid", "reference": "order-1"}'])
    def test_what_nobody_signed_is_refused(self, backend, raw):
        with pytest.raises(Rejected):
            backend.read_event({}, raw)

    @pytest.mark.parametrize("is_won", [True, False])
    def test_a_dispute_is_told_of_and_ends(self, backend, pay, deliveries, dispute, close_dispute, is_won):
        payment = self.captured(backend, pay)
        reference = dispute(payment)
        found = backend.look_dispute(reference)
        assert (found.payment, found.state, found.amount_minor) == (payment.reference, DisputeState.OPEN, 1999)
        changes = [backend.read_event(*delivery) for delivery in deliveries()]
        assert {change.reference for change in changes if change.topic == Topic.DISPUTE} == {reference}
        assert [change.reference for change in backend.changes(Listing.DISPUTES, since=0).items] == [reference]
        close_dispute(reference, is_won=is_won)
        assert backend.look_dispute(reference).state == (DisputeState.WON if is_won else DisputeState.LOST)

    def test_an_unknown_dispute_is_missing(self, backend):
        needs(backend, Capability.DISPUTES)
        with pytest.raises(Missing):
            backend.look_dispute("nobody-knows-this")

    def test_a_seller_is_paid_once(self, backend, pay, onboard):
        self.captured(backend, pay)
        assert isinstance(backend, PayoutBackend)
        account = backend.create_account(key="seller-1", email="seller@example.org")
        assert backend.create_account(key="seller-1", email="seller@example.org").reference == account.reference
        assert not account.is_ready
        assert account.needs
        pages = {"return_url": "https://shop.example.org/a", "refresh_url": "https://shop.example.org/b"}
        assert backend.create_account_link(account.reference, **pages).startswith("http")
        sent: dict[str, Any] = {"key": "payout-1", "account": account.reference, "amount_minor": 900, "currency": "EUR"}
        with pytest.raises(Rejected):
            backend.transfer(**sent)
        onboard(account.reference)
        assert backend.look_account(account.reference).is_ready
        first = backend.transfer(**sent)
        assert backend.transfer(**sent) == first
        with pytest.raises(Rejected):
            backend.transfer(**{**sent, "amount_minor": 901})
        with pytest.raises(Rejected):
            backend.transfer(**{**sent, "key": "payout-2", "amount_minor": 10**9})
        with pytest.raises(Missing):
            backend.look_account("nobody-knows-this")
