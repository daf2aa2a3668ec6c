"""What every payment backend must do. Subclass `PaymentConformance` and give the fixture `backend`; with EVENTS also `deliver`, which
makes the provider report something and returns (headers, raw)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.contracts.payments import Capability, EventKind, Intent, IntentState, PaymentBackend
from backends.errors import Missing, Rejected


def needs(backend: PaymentBackend, capability: Capability) -> None:
    if capability not in backend.capabilities:
        pytest.skip(f"{type(backend).__name__} does not offer {capability}")


class PaymentConformance:
    """Every test gets a fresh `backend`."""

    @pytest.fixture
    def backend(self) -> PaymentBackend:
        raise NotImplementedError("give the backend under test")

    @pytest.fixture
    def deliver(self, backend):
        """(kind, intent) -> (headers, raw) as the provider would send it."""
        needs(backend, Capability.EVENTS)
        raise NotImplementedError("give what makes the provider report")

    def ask(self, backend: PaymentBackend, key: str = "order-1", amount: int = 1999, currency: str = "EUR") -> Intent:
        return backend.create_intent(key=key, amount_minor=amount, currency=currency, description="Wine: One-time")

    def test_an_intent_says_what_was_asked_for(self, backend):
        intent = self.ask(backend)
        assert (intent.amount_minor, intent.currency) == (1999, "EUR")
        assert 0 < len(intent.reference) <= 120
        assert intent.state in {IntentState.WAITING, IntentState.CAPTURED}

    def test_the_same_key_is_the_same_intent(self, backend):
        with ThreadPoolExecutor(8) as pool:
            intents = list(pool.map(lambda _: self.ask(backend), range(8)))
        assert len({intent.reference for intent in intents}) == 1

    def test_two_keys_are_two_intents(self, backend):
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

    def test_confirming_twice_gives_the_same_answer(self, backend):
        intent = self.ask(backend)
        first = backend.confirm(intent.reference, key="order-1")
        assert backend.confirm(intent.reference, key="order-1") == first
        assert (first.reference, first.amount_minor, first.currency) == (intent.reference, 1999, "EUR")

    def test_an_unknown_intent_is_missing(self, backend):
        with pytest.raises(Missing):
            backend.confirm("nobody-knows-this", key="order-1")
        with pytest.raises(Missing):
            backend.refund("nobody-knows-this", 1, key="refund-1")

    def captured(self, backend, request) -> Intent:
        intent = self.ask(backend)
        if Capability.EVENTS in backend.capabilities:
            request.getfixturevalue("deliver")(EventKind.CAPTURED, intent)
        intent = backend.confirm(intent.reference, key="order-1")
        assert intent.state == IntentState.CAPTURED
        return intent

    def test_refunding_twice_gives_money_back_once(self, backend, request):
        intent = self.captured(backend, request)
        first = backend.refund(intent.reference, 500, key="refund-1")
        assert backend.refund(intent.reference, 500, key="refund-1") == first
        assert first.amount_minor == 500

    @pytest.mark.parametrize("amount", [0, -1, 2000])
    def test_no_more_is_refunded_than_was_paid(self, backend, request, amount):
        intent = self.captured(backend, request)
        with pytest.raises(Rejected):
            backend.refund(intent.reference, amount, key="refund-1")

    def test_an_event_is_read_the_same_every_time(self, backend, deliver):
        intent = self.ask(backend)
        headers, raw = deliver(EventKind.CAPTURED, intent)
        event = backend.parse_event(headers, raw)
        assert event == backend.parse_event(headers, raw)
        assert (event.kind, event.reference, event.amount_minor, event.currency) == (
            EventKind.CAPTURED,
            intent.reference,
            1999,
            "EUR",
        )

    def test_an_altered_event_is_refused(self, backend, deliver):
        headers, raw = deliver(EventKind.CAPTURED, self.ask(backend))
        for position in range(0, len(raw), 7):
            altered = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
            with pytest.raises(Rejected):
                backend.parse_event(headers, altered)

    @pytest.mark.parametrize("raw", [b"", b"{}", b"\x00\xff", b'{"kind": "captured", "reference": "order-1"}'])
    def test_what_nobody_signed_is_refused(self, backend, raw):
        with pytest.raises(Rejected):
            backend.parse_event({}, raw)

    def test_a_transfer_is_made_once_per_key(self, backend):
        needs(backend, Capability.PAYOUTS)
        asked = {"account": "acct_1", "amount_minor": 500, "currency": "EUR"}
        first = backend.transfer(key="payout-1", **asked)
        assert 0 < len(first.reference) <= 120
        assert backend.transfer(key="payout-1", **asked) == first
        assert backend.transfer(key="payout-2", **asked) != first
        with pytest.raises(Rejected):
            backend.transfer(key="payout-1", **{**asked, "amount_minor": 501})

    def test_a_backend_without_payouts_says_so(self, backend):
        if Capability.PAYOUTS in backend.capabilities:
            pytest.skip("it sends money")
        with pytest.raises(Rejected):
            backend.transfer(key="payout-1", account="acct_1", amount_minor=500, currency="EUR")
