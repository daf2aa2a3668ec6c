"""Renewals that are killed at named steps, from a wallet and by card: a child dies where it is told to, then the task runs again. One line
of JSON for each case. Run as a module with the database of a test in the environment."""

from datetime import timedelta

import django

from tests.support.kill_points import arm, in_child, tell

STEPS = {
    "the order of the period is placed": ("market.services.renewals:place_period after", "wallet card"),
    "the money is booked": ("market.services.fulfilment:_move_money after", "wallet card"),
    "access is open, the period has not begun": ("market.services.entitlements:open_entitlement after", "wallet card"),
    "the period has begun, nothing is committed": ("market.services.subscription_periods:begin_period after", "wallet card"),
    "the card has paid, nothing is noted": ("market.services.customers:charge after", "card"),
    "the payment is noted, not committed": ("market.services.payments:_apply after", "card"),
    "a failure is noted, not committed": ("market.services.subscription_periods:note_failure after", "poor"),
    "access rests, nothing is committed": ("market.services.subscription_periods:suspend after", "late"),
}  # fmt: skip
"""What has happened when the process dies: where that is in the code, and for whom."""
CASES = [(way, name) for name, (_, ways) in STEPS.items() for way in ways.split()]
ENDS = {"wallet": ("active", 2), "card": ("active", 2), "poor": ("past_due", 1), "late": ("suspended", 1)}


def main() -> None:
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - exists after django.setup()
    from django.test import Client  # noqa: PLC0415

    from common import clock  # noqa: PLC0415
    from market.models import Entitlement, Order, Subscription  # noqa: PLC0415
    from market.services import payment_backend  # noqa: PLC0415
    from market.services.ledger import verify_ledger  # noqa: PLC0415
    from market.services.renewals import renew_due  # noqa: PLC0415
    from tests.factories.market import (  # noqa: PLC0415
        give_credits,
        make_company,
        make_listing,
        make_version,
        plan_of,
    )
    from tests.support.stripe_server import StripeServer  # noqa: PLC0415
    from tests.support.stripe_site import Shop, configure  # noqa: PLC0415
    from work.loops import run_due  # noqa: PLC0415
    from work.models import Task  # noqa: PLC0415

    def renew() -> None:
        renew_due()
        run_due()

    with StripeServer() as server:
        configure(settings, server)
        payment_backend.forget_loaded()
        seller = make_company("vineyard")
        for number, (way, name) in enumerate(CASES):
            shop = Shop(server, seller, make_company(f"tasters{number}"), Client())
            currency = "EUR" if way == "card" else "CRD"
            plan = {"kind": "subscription", "interval": "month", "price_minor": 1000, "currency": currency}
            title = f"Wine{number}"
            listing = make_listing(seller, make_version(seller, title.lower()).repo, plan, title=title)
            if way != "card":
                give_credits(shop.buyer, 2000 if way == "wallet" else 1000)
            order = shop.order(plan_of(listing))
            if way == "card":
                server.state.pay(order.payment_reference)
                shop.tell(order)
            mine = Subscription.objects.filter(listing=listing)
            due = mine.get().period_end - clock.now() + timedelta(minutes=1)
            if way == "late":
                with clock.travel(due):
                    renew()
                due += timedelta(days=8)

            def deadly(step: str = STEPS[name][0], due: timedelta = due) -> None:
                payment_backend.forget_loaded()
                arm(step)
                with clock.travel(due):
                    renew()

            killed = in_child(deadly)
            Task.objects.filter(state="leased").update(lease_until=None, state="queued")
            Task.objects.update(run_at=order.created_at - timedelta(days=1))
            with clock.travel(due):
                for _ in range(2):
                    renew()
                found = mine.get()
                living = Entitlement.objects.filter(listing=listing, revoked_at=None, frozen_at=None).count()
                orders = Order.objects.filter(listing=listing, state="fulfilled").count()
                charges = sum(
                    each["object"] == "charge" and each["status"] == "succeeded"
                    for each in server.state.objects.values()
                )
            Subscription.objects.update(look_at=None)
            tell(
                {
                    "way": way, "step": name, "killed": killed, "state": found.state, "period": found.number,
                    "orders": orders, "open": living, "charges": charges, "sound": verify_ledger().is_sound,
                }
            )  # fmt: skip


if __name__ == "__main__":
    main()
