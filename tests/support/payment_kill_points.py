"""Payments that are killed at named steps: a child dies where it is told to, then the events come, or only the reconciler does. One line
of JSON for each case. Run as a module with the database of a test in the environment."""

from datetime import timedelta
from typing import Any

import django

from tests.support.kill_points import arm, in_child, tell

STEPS = {
    "the provider was asked, nothing is noted": ("market.services.payments:ask after", "place"),
    "the payment is noted, not committed": ("market.services.payments:_apply after", "place"),
    "the event is proven, not stored": ("backends.payments.stripe:StripePayments.read_event after", "deliver"),
    "the event is stored, not answered": ("market.services.provider_events:store_event after", "deliver"),
    "the event was followed, not marked": ("market.services.provider_events:follow after", "deliver"),
    "the money is booked": ("market.services.fulfilment:_move_money after", "deliver"),
    "access is open, nothing is committed": ("market.services.entitlements:open_entitlement after", "deliver"),
    "the fee is booked": ("market.services.payments:note_provider_fee after", "deliver"),
    "the refund is booked": ("market.services.returns:return_later after", "refund"),
    "the provider has sent the money back": ("backends.payments.stripe:StripePayments.refund after", "refund"),
    "the dispute is booked": ("market.services.disputes:_open after", "dispute"),
    "the end of the dispute is booked": ("market.services.disputes:_close after", "dispute"),
}
"""What has happened when the process dies: where that is in the code, and in which deed."""


def main() -> None:  # noqa: PLR0915 - one story, told from top to bottom
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - exists after django.setup()
    from django.test import Client  # noqa: PLC0415

    from market.models import Entitlement, Order  # noqa: PLC0415
    from market.services import payment_backend  # noqa: PLC0415
    from market.services.ledger import verify_ledger  # noqa: PLC0415
    from market.services.orders import place_order  # noqa: PLC0415
    from market.services.reconciliation import reconcile  # noqa: PLC0415
    from market.services.refunds import refund_order  # noqa: PLC0415
    from tests.factories.market import agreed, make_company, make_listing, make_version, plan_of  # noqa: PLC0415
    from tests.support.stripe_server import StripeServer  # noqa: PLC0415
    from tests.support.stripe_site import Shop, configure  # noqa: PLC0415
    from work.loops import run_due  # noqa: PLC0415
    from work.models import Task  # noqa: PLC0415

    with StripeServer() as server:
        configure(settings, server)
        payment_backend.forget_loaded()
        shop = Shop(server, make_company("vineyard"), make_company("tasters"), Client())
        ends = {"place": "fulfilled", "deliver": "fulfilled", "refund": "refunded", "dispute": "lost"}
        for number, (name, (step, deed)) in enumerate(STEPS.items()):
            title = f"Wine{number}"
            plan = plan_of(
                make_listing(
                    shop.seller,
                    make_version(shop.seller, title.lower()).repo,
                    {"kind": "one_time", "price_minor": 1999, "currency": "EUR"},
                    title=title,
                )
            )
            run_due()
            held: dict[str, Any] = {}

            def place(plan: Any = plan, held: dict[str, Any] = held) -> None:
                order = place_order(
                    shop.buyer.actor, buyer_namespace=shop.buyer.name, **agreed(plan), key=f"k{plan.pk}"
                )
                held["pk"] = order.pk
                run_due()

            def deliver() -> None:
                server.deliver(shop.post)
                run_due()

            def refund(held: dict[str, Any] = held) -> None:
                refund_order(shop.seller.actor, Order.objects.get(pk=held["pk"]), key="r")
                run_due()

            def pay(held: dict[str, Any] = held) -> Order:
                place()
                order = Order.objects.get(pk=held["pk"])
                server.state.pay(order.payment_reference)
                return order

            if deed != "place":
                order = pay()
            if deed in {"refund", "dispute"}:
                deliver()
            if deed == "dispute":
                server.state.close_dispute(server.state.dispute(order.payment_reference), is_won=False)
            work = {"place": place, "deliver": deliver, "refund": refund, "dispute": deliver}[deed]

            def deadly(step: str = step, work: Any = work) -> None:
                # connections of its own, as a process of its own has
                payment_backend.forget_loaded()
                arm(step)
                work()

            killed = in_child(deadly)
            half = [each.state for each in Order.objects.filter(plan=plan)]
            # its lease runs out, and nothing is ever delivered again in every second case
            Task.objects.filter(state="leased").update(lease_until=None, state="queued")
            Task.objects.update(run_at=Order.objects.first().created_at - timedelta(days=1))
            if deed == "place":
                pay()
            if number % 2:
                server.state.pending = []
            else:
                deliver()
            if deed == "refund":
                refund()
            reconcile()
            run_due()
            reconcile()
            order = Order.objects.get(plan=plan)
            sessions = [e for e in server.state.objects.values() if e.get("client_reference_id") == str(order.uuid)]
            keys = {str(each.uuid) for each in order.refunds.all()}
            returned = sum(
                e["amount"] for e in server.state.objects.values()
                if e["object"] == "refund" and e["metadata"].get("key") in keys
            )  # fmt: skip
            tell(
                {
                    "step": name, "killed": killed, "half": half, "state": order.state, "wanted": ends[deed],
                    "paid": sum(e["payment_status"] == "paid" for e in sessions), "returned": returned,
                    "open": Entitlement.objects.filter(order=order, revoked_at=None, frozen_at=None).count(),
                    "sound": verify_ledger().is_sound, "money": shop.money(),
                }
            )  # fmt: skip


if __name__ == "__main__":
    main()
