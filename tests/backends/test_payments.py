"""The payment backends that ship, under the conformance suite."""

import pytest

from backends import catalogue
from backends.conformance.payments import PaymentConformance
from backends.contracts.payments import Capability
from backends.errors import Missing, Rejected
from backends.payments.credits import CreditsPayments
from backends.payments.fake import FakePayments


class TestCredits(PaymentConformance):
    @pytest.fixture
    def backend(self) -> CreditsPayments:
        return catalogue.load("payments", "credits")

    def test_says_that_it_needs_no_network(self, backend):
        assert backend.capabilities == {Capability.LEDGER}

    @pytest.mark.parametrize("reference", ["credits:1:EUR:order-2", "credits:-1:EUR:order-1", "credits:1:euro:order-1"])
    def test_a_reference_of_another_order_is_missing(self, backend, reference):
        with pytest.raises(Missing):
            backend.confirm(reference, key="order-1")


class TestFake(PaymentConformance):
    @pytest.fixture
    def backend(self) -> FakePayments:
        return catalogue.load("payments", "fake")

    @pytest.fixture
    def deliver(self, backend):
        return lambda kind, intent: backend.report(kind, intent.reference)

    def test_a_blank_secret_is_refused(self):
        with pytest.raises(Rejected):
            FakePayments(secret="")
