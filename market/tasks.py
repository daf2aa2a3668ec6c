"""What the market does later."""

from market.payable import every_s
from market.services import (
    approvals,
    billing,
    blind_runs,
    caps,
    follows,
    invoicing,
    overage,
    payments,
    payouts,
    provider_events,
    recall_actions,
    reconciliation,
    refunds,
    renewals,
    return_requests,
    returns,
    search_documents,
)
from work.door import task
from work.schedules import schedule


@task("market.tell_followers", queue="slow")
def tell_followers(listing_id: int, event: str, key: str) -> None:
    follows.tell_followers(listing_id, event, key)


@task("market.tell_of_versions", queue="slow")
def tell_of_versions() -> None:
    follows.tell_of_versions()


@task("market.bill_usage", queue="cpu")
def bill_usage() -> None:
    billing.bill_usage()
    refunds.finish_refunds()


@task("market.check_ledger", queue="slow", limit_s=1800)
def check_ledger() -> None:
    billing.check_ledger()


@task("market.request_payment", queue="fast", limit_s=60)
def request_payment(order_id: int) -> None:
    payments.cancel_lapsed(order_id)


@task("market.return_payment", queue="fast", limit_s=60)
def return_payment(order_id: int) -> None:
    returns.return_payment(order_id)


@task("market.take_in_event", queue="fast", limit_s=60)
def take_in_event(event_id: int) -> None:
    provider_events.take_in_event(event_id)


@task("market.reconcile_payments", queue="slow", limit_s=1800)
def reconcile_payments() -> None:
    reconciliation.reconcile()


@task("market.run_payouts", queue="slow", limit_s=1800)
def run_payouts() -> None:
    payouts.run_payouts()


@task("market.send_later", queue="slow")
def send_later() -> None:
    payouts.send_later()


@task("market.send_payout", queue="fast", limit_s=60)
def send_payout(payout_id: int) -> None:
    payouts.send_payout(payout_id)


@task("market.forget_search_changes", queue="slow")
def forget_search_changes() -> None:
    search_documents.forget_changes()


@task("market.run_evaluation", queue="cpu", limit_s=1200)
def run_evaluation(evaluation_id: int) -> None:
    blind_runs.run_evaluation(evaluation_id)


@task("market.sweep_evaluations", queue="fast")
def sweep_evaluations() -> None:
    blind_runs.sweep_evaluations()


@task("market.escalate_returns", queue="fast")
def escalate_returns() -> None:
    return_requests.escalate_late()


@task("market.close_month", queue="slow", limit_s=1800)
def close_month() -> None:
    invoicing.close_month()


schedule("market.escalate_returns", "market.escalate_returns", 300)
schedule("market.close_month", "market.close_month", 6 * 3600)


@task("market.lapse_approvals", queue="slow")
def lapse_approvals() -> None:
    approvals.lapse_approvals()


@task("market.warn_of_use", queue="fast")
def warn_of_use() -> None:
    caps.warn_of_use()


schedule("market.warn_of_use", "market.warn_of_use", 60)
schedule("market.lapse_approvals", "market.lapse_approvals", 600)
schedule("market.tell_of_versions", "market.tell_of_versions", 300)


@task("market.renew_subscriptions", queue="cpu", limit_s=600)
def renew_subscriptions() -> None:
    renewals.renew_due()
    overage.charge_due()


schedule("market.renew_subscriptions", "market.renew_subscriptions", 60)
schedule("market.sweep_evaluations", "market.sweep_evaluations", 300)
schedule("market.bill_usage", "market.bill_usage", 60)
schedule("market.reconcile_payments", "market.reconcile_payments", 300)
schedule("market.check_ledger", "market.check_ledger", 24 * 3600)
schedule("market.forget_search_changes", "market.forget_search_changes", 24 * 3600)
schedule("market.run_payouts", "market.run_payouts", every_s())
schedule("market.send_later", "market.send_later", 3600)


@task("market.advance_recall", queue="cpu")
def advance_recall(recall_id: int) -> None:
    recall_actions.advance_recall(recall_id)


@task("market.walk_recall", queue="slow")
def walk_recall(recall_id: int) -> None:
    recall_actions.walk_one(recall_id)


@task("market.walk_recalls", queue="slow")
def walk_recalls() -> None:
    recall_actions.walk_all()


schedule("market.walk_recalls", "market.walk_recalls", 3600)
