"""Recalls: what is found, what is stopped, who is told, what is paid back, and that a mistake can be undone."""

from collections import Counter

import pytest

from accounts.models import AuditRecord, User
from common.errors import Conflict, Forbidden, Invalid, NotFound
from compute.endpoint_serving import serving_table
from compute.models import Job
from lineage.services.record import Ref, record_edge
from market.models import Entitlement, LedgerTransaction, Order, Recall, RecallAction, RecallEvent, RecallItem
from market.recall_evidence import csv_rows, json_pieces
from market.recall_queries import sight_of
from market.services import follows, listings, orders, recall_actions, recall_retraining, recalls
from market.services.ledger import verify_ledger, wallet
from notices.models import Notice
from registry.errors import Quarantined
from registry.models import Quarantine
from registry.queries import entry_at
from registry.services import repos
from registry.services.quarantine import require_free
from tests.factories.market import (
    Party,
    agreed,
    balance,
    give_credits,
    make_company,
    make_person,
    make_version,
    plan_of,
)
from tests.factories.recalls import PRICE, Chain, finish, make_chain
from work.loops import run_due
from work.models import Task

pytestmark = pytest.mark.django_db


def state_of(recall: Recall, title: str, kind: str = "") -> tuple[str, str]:
    rows = RecallItem.objects.filter(recall=recall, title=title, **({"kind": kind} if kind else {}))
    return rows.values_list("state", "action").get()


def go_on(recall: Recall) -> None:
    """What the worker does."""
    while RecallAction.objects.filter(recall=recall, finished_at__isnull=True).exists():
        recall_actions.advance_recall(recall.pk)


def staff() -> Party:
    party = make_company("operators")
    User.objects.filter(pk=party.user.pk).update(is_staff=True)
    party.user.refresh_from_db()
    return party


def answers(chain: Chain) -> bool:
    return serving_table().by_slug[chain.endpoint.slug].may_answer


def test_everything_below_the_version_is_found_with_its_way() -> None:
    chain = make_chain()
    recall = chain.recall()
    assert set(RecallItem.objects.filter(recall=recall).values_list("kind", "title")) == {
        ("version", "lab/patients 1.0"),
        ("version", "lab/triage 1.0"),
        ("version", "maker/triage-plus 1.0"),
        ("build", "maker/triage-plus 1.0, onnx build"),
        ("endpoint", "maker/triage"),
        ("listing", "Triage calls"),
        ("holder", "clinic: Patients"),
        ("holder", "hospital: Patients"),
        ("holder", "clinic: Triage calls"),
        ("holder", "hospital: Triage calls"),
        ("copy", "Downloads by clinic: Patients"),
        ("copy", "Downloads by hospital: Patients"),
    }
    endpoint = RecallItem.objects.get(recall=recall, kind="endpoint")
    ways = [relation for relation, _, _ in endpoint.path]
    assert ways == ["input", "output", "derived", "deployed"]
    with pytest.raises(Conflict, match="recalled already"):
        chain.recall()
    # what is derived later is found by the next walk, once
    later = make_version(chain.maker, "triage-max", "model", {"model.onnx": b"best"})
    record_edge(Ref("version", chain.derived.uuid), Ref("version", later.uuid), "derived")
    assert (recalls.walk_recall(chain.lab.actor, recall), recalls.walk_recall(chain.lab.actor, recall)) == (1, 0)
    assert state_of(recall, "maker/triage-max 1.0") == ("open", "")


def test_only_owners_and_staff_recall() -> None:
    chain = make_chain()
    for stranger in (chain.maker, chain.buyers[0]):
        with pytest.raises(Forbidden):
            recalls.open_recall(
                stranger.actor, version_uuid=chain.data.uuid, category="safety", severity="warn", reason="No."
            )
    assert not Recall.objects.exists()


def test_a_freeze_reaches_what_is_ones_own_and_with_staff_everything_and_a_lift_leaves_no_trace() -> None:
    chain, operator = make_chain(), staff()
    recall = chain.recall(severity="stop")
    go_on(recall)
    before = (
        list(Entitlement.objects.order_by("pk").values()),
        list(Order.objects.order_by("pk").values("state", "refunded_minor")),
        chain.endpoint_listing.state,
    )
    recalls.freeze(chain.lab.actor, recall.uuid)
    assert answers(chain)
    with pytest.raises(Forbidden, match="Only staff"):
        recalls.freeze(chain.lab.actor, recall.uuid, scope="all")
    recalls.freeze(operator.actor, recall.uuid, scope="all")
    assert not answers(chain)
    assert (state_of(recall, "maker/triage"), state_of(recall, "Triage calls")) == (("handled", "frozen"),) * 2
    late = make_company("late")
    give_credits(late, 5000)
    plan = plan_of(chain.endpoint_listing)
    with pytest.raises(Conflict, match="recalled"):
        orders.place_order(late.actor, buyer_namespace="late", **agreed(plan), key="first")
    held = entry_at(chain.data.commit, "data.csv").ref
    with pytest.raises(Quarantined, match="recalled"):
        require_free(chain.data.repo, [held], actor=chain.buyers[0].actor)
    require_free(chain.data.repo, [held], actor=chain.lab.actor)
    recalls.lift_recall(chain.lab.actor, recall.uuid, reason="A mix-up.")
    go_on(recall)
    assert answers(chain)
    require_free(chain.data.repo, [held], actor=chain.buyers[0].actor)
    assert not Quarantine.objects.filter(released_at__isnull=True).exists()
    chain.endpoint_listing.refresh_from_db()
    after = (
        list(Entitlement.objects.order_by("pk").values()),
        list(Order.objects.order_by("pk").values("state", "refunded_minor")),
        chain.endpoint_listing.state,
    )
    assert after == before
    assert orders.place_order(late.actor, buyer_namespace="late", **agreed(plan), key="second").state == "fulfilled"


def test_everybody_is_told_once_and_of_the_lifting_too() -> None:
    chain = make_chain()
    recall = chain.recall()
    recall_actions.tell_everybody(chain.lab.actor, recall.uuid)
    go_on(recall)
    told = Notice.objects.filter(kind="market:recall:told")
    assert sorted(told.values_list("user__username", flat=True)) == ["clinic-owner", "hospital-owner", "maker-owner"]
    assert all("consent back" in text and "Delete your copies" in text for text in told.values_list("text", flat=True))
    assert (
        Task.objects.filter(name="notices.mail_notice", args__0__in=list(told.values_list("pk", flat=True))).count()
        == 3
    )
    recall_actions.tell_everybody(chain.lab.actor, recall.uuid)
    go_on(recall)
    assert told.count() == 3
    recalls.lift_recall(chain.lab.actor, recall.uuid, reason="A mix-up.")
    go_on(recall)
    assert Notice.objects.filter(kind="market:recall:lifted").count() == 3


def test_killed_while_it_pays_back_it_goes_on_and_pays_nobody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain()
    recall = chain.recall()
    recall_actions.refund_holders(chain.lab.actor, recall.uuid)
    pays, calls = recall_actions.refund_order, []

    class Killed(BaseException):
        pass

    def killed_at_the_second(*args, **kwargs):
        paid = pays(*args, **kwargs)
        calls.append(paid.pk)
        if len(calls) == 2:
            raise Killed
        return paid

    monkeypatch.setattr(recall_actions, "refund_order", killed_at_the_second)
    with pytest.raises(Killed):
        recall_actions.advance_recall(recall.pk)
    assert Counter(Order.objects.filter(listing=chain.data_listing).values_list("state", flat=True)) == {
        "refunded": 1,
        "fulfilled": 1,
    }
    recall_actions.advance_recall(recall.pk)
    recall_actions.advance_recall(recall.pk)
    assert set(Order.objects.filter(listing=chain.data_listing).values_list("state", flat=True)) == {"refunded"}
    assert set(Order.objects.filter(listing=chain.endpoint_listing).values_list("state", flat=True)) == {"fulfilled"}
    assert [balance(wallet(each.namespace, "CRD")) for each in chain.buyers] == [10_000 - PRICE] * 2
    assert LedgerTransaction.objects.filter(kind="reversal").count() == 4
    assert verify_ledger().is_sound
    assert not RecallAction.objects.filter(finished_at__isnull=True).exists()


def test_a_share_is_paid_back_and_access_goes_on() -> None:
    chain = make_chain()
    recall = chain.recall()
    for percent in (0, 101):
        with pytest.raises(Invalid, match="1 to 100"):
            recall_actions.refund_holders(chain.lab.actor, recall.uuid, percent=percent)
    recall_actions.refund_holders(chain.lab.actor, recall.uuid, percent=30)
    go_on(recall)
    orders = Order.objects.filter(listing=chain.data_listing)
    paid = {order.total_minor * 30 // 100 for order in orders}
    assert set(orders.values_list("state", "refunded_minor")) == {("fulfilled", *paid)}
    assert state_of(recall, "clinic: Patients", "holder") == ("handled", "refunded")
    recall_actions.refund_holders(chain.lab.actor, recall.uuid, percent=30)
    go_on(recall)
    assert set(orders.values_list("refunded_minor", flat=True)) == paid
    assert verify_ledger().is_sound


def test_what_cannot_be_paid_back_is_listed_with_the_reason() -> None:
    chain = make_chain()
    recall = chain.recall()
    Order.objects.filter(pk=chain.data_orders[0].pk).update(state="disputed")
    recall_actions.refund_holders(chain.lab.actor, recall.uuid)
    go_on(recall)
    item = RecallItem.objects.get(recall=recall, kind="holder", order=chain.data_orders[0])
    assert (item.state, "bank" in item.problem) == ("open", True)
    Order.objects.filter(pk=chain.data_orders[0].pk).update(state="fulfilled")
    recall_actions.refund_holders(chain.lab.actor, recall.uuid)
    go_on(recall)
    assert state_of(recall, "clinic: Patients", "holder") == ("handled", "refunded")
    with pytest.raises(Invalid, match="sales of maker"):
        recall_actions.refund_holders(chain.lab.actor, recall.uuid, seller="maker")
    with pytest.raises(Forbidden):
        recall_actions.refund_holders(chain.buyers[0].actor, recall.uuid)


def test_models_are_made_anew_from_the_replacement() -> None:
    chain = make_chain()
    recall = chain.recall()
    recall_actions.retrain_own(chain.lab.actor, recall.uuid)
    recall_actions.advance_recall(recall.pk)
    again = Job.objects.exclude(pk=chain.job.pk).get()
    assert (again.recipe, again.parameters["target"]) == ("tabular-train", "label")
    assert again.inputs["data"]["version_uuid"] == str(chain.fixed.uuid)
    recall_actions.advance_recall(recall.pk)
    assert Job.objects.count() == 2
    made = finish(chain.lab, again)
    assert recall_retraining.collect(recall) == 1
    assert state_of(recall, "lab/triage 1.0") == ("handled", "retrained")
    recall_actions.advance_recall(recall.pk)
    assert not RecallAction.objects.filter(recall=recall, finished_at__isnull=True).exists()
    # what was made from the replacement is no part of the recall
    recalls.walk_recall(chain.lab.actor, recall)
    assert not RecallItem.objects.filter(object_uuid=made.uuid).exists()
    derived = RecallItem.objects.get(recall=recall, title="maker/triage-plus 1.0")
    with pytest.raises(Conflict, match="No recipe is known"):
        recall_retraining.retrain_item(chain.maker.actor, recall.uuid, derived.uuid)


def test_names_of_private_things_reach_staff_and_their_owners_only() -> None:
    chain, operator = make_chain(is_derived_private=True), staff()
    recall = chain.recall()
    recall_actions.refund_holders(chain.maker.actor, recall.uuid)
    recall_actions.tell_everybody(chain.lab.actor, recall.uuid)
    go_on(recall)
    item = RecallItem.objects.get(recall=recall, title="maker/triage-plus 1.0")
    recalls.handle_item(chain.maker.actor, recall.uuid, item.uuid, "contest", text="Ours has none of it.")
    sight = sight_of(chain.lab.actor, recall)
    assert [(each.parent, each.count) for each in sight.hidden] == [("lab/triage 1.0", 6)]
    for written in (
        b"".join(json_pieces(chain.lab.actor, recall)),
        str(list(csv_rows(chain.lab.actor, recall))).encode(),
    ):
        assert b"lab/triage 1.0" in written
        for secret in (b"triage-plus", b"maker", b"none of it", b"Triage calls"):
            assert secret not in written
    assert b"triage-plus" in b"".join(json_pieces(operator.actor, recall))
    assert b"none of it" in b"".join(json_pieces(chain.maker.actor, recall))
    assert b"Ticket 4711" not in b"".join(json_pieces(chain.maker.actor, recall))
    with pytest.raises(NotFound):
        recalls.handle_item(chain.lab.actor, recall.uuid, item.uuid, "handle", text="Done.")


def test_a_private_version_is_not_named_to_those_who_have_something_made_from_it() -> None:
    chain = make_chain()
    repos.update_settings(chain.lab.actor, chain.data.repo, visibility="private")
    recall = chain.recall()
    recall_actions.tell_everybody(chain.lab.actor, recall.uuid)
    go_on(recall)
    text = Notice.objects.get(kind="market:recall:told", user=chain.maker.user).text
    assert ("patients" in text, text.startswith("A private dataset")) == (False, True)


def test_it_closes_when_everything_is_handled_and_opens_again() -> None:
    chain, operator = make_chain(), staff()
    recall = chain.recall()
    with pytest.raises(Conflict, match="11 items are not handled"):
        recalls.close_recall(chain.lab.actor, recall.uuid)
    item = RecallItem.objects.get(recall=recall, title="lab/triage 1.0")
    with pytest.raises(Forbidden, match="waive"):
        recalls.handle_item(chain.lab.actor, recall.uuid, item.uuid, "waive", text="No.")
    for party in (chain.lab, chain.maker, *chain.buyers):
        recalls.handle_own(party.actor, recall.uuid, "handle", text="Deleted.")
    assert recalls.close_recall(chain.lab.actor, recall.uuid).state == "closed"
    assert recalls.reopen_recall(operator.actor, recall.uuid).state == "open"
    for event in RecallEvent.objects.filter(recall=recall):
        record = AuditRecord.objects.get(sequence=event.audit_sequence)
        assert (record.sha256, record.subject_id) == (event.audit_sha256, str(recall.uuid))


def test_a_recall_of_the_staff_is_closed_and_lifted_by_staff_alone() -> None:
    chain, operator = make_chain(), staff()
    recall = recalls.open_recall(
        operator.actor, version_uuid=chain.data.uuid, category="safety", severity="warn", reason="Reported to us."
    )
    recalls.freeze(chain.lab.actor, recall.uuid)
    for deed in (recalls.close_recall, recalls.unfreeze):
        with pytest.raises(Forbidden, match="staff"):
            deed(chain.lab.actor, recall.uuid)
    with pytest.raises(Forbidden, match="staff"):
        recalls.lift_recall(chain.lab.actor, recall.uuid, reason="We disagree.")


def test_followers_of_a_listing_hear_of_the_recall() -> None:
    chain = make_chain()
    fan = make_person("fan")
    listings.update_listing(chain.lab.actor, chain.data_listing, channel="version:1.0")
    follows.follow_listing(fan.actor, chain.data_listing)
    chain.recall()
    run_due()
    told = Notice.objects.get(user=fan.user, kind="market:followed:recalled")
    assert chain.data_listing.title in told.text
