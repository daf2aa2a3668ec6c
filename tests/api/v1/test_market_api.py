"""The market through the first-party API: from a draft to a refund, with every amount counted."""

from types import SimpleNamespace

import pytest

from market.models import LedgerTransaction, Listing, Order
from market.services.ledger import fees, verify_ledger
from tests.factories.accounts import make_organization, make_token, make_user
from tests.factories.market import (
    balance,
    digest_of,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_person,
    make_version,
)
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

TEXTS = {
    "title": "Wines of the valley",
    "summary": "Measured grapes.",
    "category": "tables",
    "tags": ["wine", "soil"],
    "support_contact": "help@example.org",
    "example_input": "{}",
}
PLACE = "listings/vineyard/wines-of-the-valley"


@pytest.fixture
def world(client):
    """`vineyard` sells, `tasters` buys, eve is a stranger, rita works for the site."""
    seller, buyer = make_company("vineyard"), make_company("tasters")
    people = {
        "seller": seller.user,
        "buyer": buyer.user,
        "eve": make_user("eve"),
        "rita": make_user("rita", is_staff=True),
    }
    callers = {name: Caller(client, make_token(user)) for name, user in people.items()}
    return SimpleNamespace(**callers, anybody=Caller(client), party=seller, buying=buyer, client=client)


@pytest.fixture
def repo(world):
    return make_version(world.party).repo


def drafted(world, subject, kind="dataset", **texts) -> dict:
    body = {"namespace": "vineyard", "subject_kind": kind, "subject_uuid": str(subject.uuid), **TEXTS, **texts}
    made = world.seller.call("POST", "listings", body)
    assert made.status_code == 201, made.content
    return made.json()


def on_sale(world, subject, subject_kind="dataset", **plan) -> dict:
    """The plan of a published listing."""
    drafted(world, subject, subject_kind)
    made = world.seller.call("POST", f"{PLACE}/plans", {"kind": "one_time", "price_minor": 2_500, **plan})
    assert made.status_code == 201, made.content
    assert world.seller.call("POST", f"{PLACE}/publication").json()["state"] == "published"
    return made.json()


def funded(world, amount_minor=10_000) -> None:
    answer = world.rita.call(
        "POST", "namespaces/tasters/credits", {"amount_minor": amount_minor}, **{"Idempotency-Key": "opening"}
    )
    assert answer.status_code == 201, answer.content


def bought(world, plan, key="k1", caller="buyer", **changes):
    body = {"buyer": "tasters", "plan": plan["uuid"], "accept_terms": digest_of(plan["uuid"]), **changes}
    return getattr(world, caller).call("POST", "orders", body, **{"Idempotency-Key": key})


def money(world) -> tuple[int, int, int, int]:
    """(buyer's wallet, put aside for calls, seller's earnings, the platform's fees) in minor units."""

    def of(caller, name):
        rows = caller.call("GET", f"namespaces/{name}/wallet").json()["balances"]
        return next((row for row in rows if row["currency"] == "CRD"), {})

    buyer, seller = of(world.buyer, "tasters"), of(world.seller, "vineyard")
    return (
        buyer.get("wallet_minor", 0),
        buyer.get("held_minor", 0),
        seller.get("earnings_minor", 0),
        balance(fees("CRD")),
    )


def statement(caller, name, account="wallet") -> list[tuple[int, int]]:
    rows = caller.call("GET", f"namespaces/{name}/statement?account={account}").json()["items"]
    return [(row["amount_minor"], row["balance_after_minor"]) for row in rows]


def test_from_a_draft_to_a_refund(world, repo) -> None:
    draft = drafted(world, repo)
    assert (draft["state"], draft["slug"], draft["plans"], draft["tags"]) == (
        "draft", "wines-of-the-valley", [], ["soil", "wine"]
    )  # fmt: skip
    assert world.seller.call("POST", f"{PLACE}/publication").json()["code"] == "not_ready"
    made = world.seller.call("POST", f"{PLACE}/plans", {"kind": "one_time", "price_minor": 2_500, "name": "For ever"})
    plan = made.json()
    assert (made.status_code, plan["price_minor"], plan["currency"], plan["name"]) == (201, 2_500, "CRD", "For ever")
    assert world.buyer.call("GET", PLACE).status_code == 404
    assert bought(world, plan).status_code == 404
    again = [world.seller.call("POST", f"{PLACE}/publication") for _ in range(2)]
    assert [(each.status_code, each.json()["state"]) for each in again] == [(201, "published")] * 2
    assert [each["uuid"] for each in world.anybody.call("GET", PLACE).json()["plans"]] == [plan["uuid"]]

    poor = bought(world, plan)
    assert (poor.status_code, Order.objects.count(), money(world)) == (402, 0, (0, 0, 0, 0))
    funded(world)
    first, second = bought(world, plan), bought(world, plan)
    assert (first.status_code, second.status_code, second.headers["Idempotent-Replayed"]) == (201, 201, "true")
    order = first.json()
    assert second.json() == order
    assert (order["state"], order["total_minor"], order["buyer"], order["seller"]) == (
        "fulfilled", 2_500, "tasters", "vineyard"
    )  # fmt: skip
    assert Order.objects.count() == 1
    assert money(world) == (7_500, 0, 2_250, 250)
    assert statement(world.buyer, "tasters") == [(-2_500, 7_500), (10_000, 10_000)]
    assert statement(world.seller, "vineyard", "earnings") == [(2_250, 2_250)]
    [access] = world.buyer.call("GET", "namespaces/tasters/access").json()["items"]
    assert (access["order"], access["subject_uuid"], access["left_units"]) == (order["uuid"], str(repo.uuid), None)
    [earned] = world.seller.call("GET", "namespaces/vineyard/earnings").json()["items"]
    assert (earned["orders"], earned["gross_minor"], earned["refunded_minor"]) == (1, 2_500, 0)
    assert world.anybody.call("GET", PLACE).json()["sales"] == 1
    assert bought(world, plan, key="k2").status_code == 409

    undo = f"orders/{order['uuid']}/refund"
    undone = [
        world.buyer.call("POST", undo, {"reason": "Corked"}, **{"Idempotency-Key": key}) for key in ("r1", "r1", "r2")
    ]
    assert [each.status_code for each in undone] == [201, 201, 409]
    assert [(each.json()["state"], each.json()["refunded_minor"]) for each in undone[:2]] == [("refunded", 2_500)] * 2
    assert money(world) == (10_000, 0, 0, 0)
    assert statement(world.buyer, "tasters") == [(2_500, 10_000), (-2_500, 7_500), (10_000, 10_000)]
    assert world.buyer.call("GET", "namespaces/tasters/access").json()["items"] == []
    assert verify_ledger().is_sound


def test_what_was_bought_can_be_read_and_after_the_refund_it_cannot(world, repo) -> None:
    plan = on_sale(world, repo)
    funded(world)
    files = "repos/dataset/vineyard/wine/file?path=data.csv"
    assert world.buyer.call("GET", files).status_code == 403
    order = bought(world, plan).json()
    assert b"".join(world.buyer.call("GET", files).streaming_content) == b"a,b\n1,2\n"
    assert world.eve.call("GET", files).status_code == 403
    world.buyer.call("POST", f"orders/{order['uuid']}/refund", {}, **{"Idempotency-Key": "r1"})
    assert world.buyer.call("GET", files).status_code == 403


def test_calls_are_prepaid_charged_by_use_and_the_rest_comes_back(world) -> None:
    endpoint = make_endpoint(world.party)
    plan = on_sale(world, endpoint, "endpoint", kind="pay_per_use", price_minor=30, unit_size=1, included_units=5)
    funded(world)
    order = bought(world, plan, quantity=40).json()
    assert (order["total_minor"], money(world)) == (1_200, (8_800, 1_200, 0, 0))
    make_calls(Order.objects.get().entitlement.source, 15)
    [access] = world.buyer.call("GET", "namespaces/tasters/access").json()["items"]
    assert (access["used_units"], access["left_units"], access["charged_minor"]) == (15, 30, 300)
    undone = world.buyer.call("POST", f"orders/{order['uuid']}/refund", {}, **{"Idempotency-Key": "r1"}).json()
    assert (undone["state"], undone["refunded_minor"]) == ("refunded", 900)
    assert money(world) == (9_700, 0, 270, 30)
    assert verify_ledger().is_sound


class TestSearch:
    def test_words_facets_and_pages(self, world) -> None:
        for number, (title, tag) in enumerate([("Red wine", "red"), ("White wine", "white"), ("Red soil", "red")]):
            subject = make_version(world.party, f"set-{number}").repo
            slug = drafted(world, subject, title=title, tags=[tag])["slug"]
            world.seller.call("POST", f"listings/vineyard/{slug}/plans", {"kind": "free"})
            world.seller.call("POST", f"listings/vineyard/{slug}/publication")
        drafted(world, make_version(world.party, "hidden").repo, title="Secret wine")

        def titles(query):
            found = world.anybody.call("GET", f"listings?{query}").json()
            return sorted(each["title"] for each in found["items"]), found["total"], found["facets"]["tag"]

        assert titles("search=wine") == (["Red wine", "White wine"], 2, {"red": 1, "white": 1})
        assert titles("search=wine&tag=red") == (["Red wine"], 1, {"red": 1, "white": 1})
        assert titles("search=wi&tag=red&tag=white")[1] == 2
        assert titles("search=nothing") == ([], 0, {})
        seen, cursor = [], ""
        while cursor is not None:
            page = world.anybody.call("GET", f"listings?sort=newest&limit=1&cursor={cursor}").json()
            seen += [each["title"] for each in page["items"]]
            cursor = page["next_cursor"]
        assert seen == ["Red soil", "White wine", "Red wine"]

    @pytest.mark.parametrize("query", ["sort=best", "limit=0", "limit=000000001999", "cursor=zzz", "limit=101"])
    def test_bad_questions_are_refused(self, world, query) -> None:
        answer = world.anybody.call("GET", f"listings?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


class TestListings:
    def test_a_listing_says_what_it_follows_needs_and_shows(self, world, repo) -> None:
        draft = drafted(world, repo, channel="major:1", support_contact="", visibility="organization")
        assert (draft["channel"], draft["version"], draft["follows"]) == (
            "major:1", "1.0", "Follows the latest 1.x: now 1.0",
        )  # fmt: skip
        readiness = world.seller.call("GET", f"{PLACE}/readiness").json()
        missing = [check["key"] for check in readiness["checks"] if not check["is_ok"]]
        assert (readiness["is_ready"], readiness["needs_review"], missing) == (False, False, ["plan", "support"])
        refused = world.seller.call("POST", f"{PLACE}/publication")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
        assert sorted(refused.json()["fields"]) == ["plan", "support"]
        assert world.seller.call("PATCH", PLACE, {"support_contact": "x"}).json()["fields"] == {
            "support_contact": "a mail address, or an address that begins with https://"
        }
        world.seller.call("PATCH", PLACE, {"support_contact": "help@example.org"})
        world.seller.call("POST", f"{PLACE}/plans", {"kind": "free"})
        world.seller.call("PUT", "organizations/vineyard/review-policy", {"is_needed": True})
        assert world.seller.call("POST", f"{PLACE}/publication").json()["state"] == "in_review"
        assert [each["slug"] for each in world.rita.call("GET", "reviews").json()["items"]] == [draft["slug"]]
        assert world.eve.call("GET", f"{PLACE}/review").status_code == 404
        decision = {"is_approved": True, "checks": ["truthful", "rights", "lawful", "terms"]}
        own = world.seller.call("PUT", f"{PLACE}/review/decision", decision)
        assert (own.status_code, own.json()["code"]) == (403, "own_submission")
        assert world.rita.call("PUT", f"{PLACE}/review/decision", decision).json()["state"] == "published"
        thread = world.seller.call("GET", f"{PLACE}/review").json()["items"]
        assert [(entry["step"], entry["by"]) for entry in thread] == [
            ("submitted", "vineyard-owner"), ("approved", "rita"),
        ]  # fmt: skip
        shelf = world.seller.call("GET", "organizations/vineyard/catalogue").json()["items"]
        assert [each["slug"] for each in shelf] == [draft["slug"]]
        assert world.eve.call("GET", "organizations/vineyard/catalogue").status_code == 404
        assert world.seller.call("GET", f"{PLACE}/changelog").json()["items"][0]["version"] == "1.0"

    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({"title": ""}, {"title"}),
            ({"subject_kind": "poem", "tags": "wine"}, {"subject_kind", "tags"}),
            ({"price_minor": 5}, {"price_minor"}),
            ({"tags": ["!"]}, {"tags"}),
            ({"slug": "../up"}, {"slug"}),
        ],
    )
    def test_wrong_fields_are_named_and_nothing_is_made(self, world, repo, change, fields) -> None:
        body = {"namespace": "vineyard", "subject_kind": "dataset", "subject_uuid": str(repo.uuid), **TEXTS, **change}
        answer = world.seller.call("POST", "listings", body)
        assert (answer.status_code, set(answer.json()["fields"])) == (400, fields)
        assert Listing.objects.count() == 0

    @pytest.mark.parametrize(
        ("plan", "fields"),
        [
            ({"kind": "pay_per_use", "price_minor": 5}, {"kind"}),
            ({"kind": "free", "price_minor": 5}, {"price_minor"}),
            ({"kind": "one_time", "price_minor": 0}, {"price_minor"}),
            ({"kind": "one_time", "price_minor": -5}, {"price_minor"}),
            ({"kind": "one_time", "price_minor": 5.5}, {"price_minor"}),
            ({"kind": "one_time", "price_minor": 10**15}, {"price_minor"}),
            ({"kind": "one_time", "price_minor": 5, "currency": "XXX"}, {"currency"}),
            ({"kind": "one_time", "price_minor": 5, "refund_window_days": 10**9}, {"refund_window_days"}),
        ],
    )
    def test_wrong_plans_are_refused(self, world, repo, plan, fields) -> None:
        drafted(world, repo)
        answer = world.seller.call("POST", f"{PLACE}/plans", plan)
        assert (answer.status_code, set(answer.json()["fields"])) == (400, fields)
        assert world.seller.call("GET", PLACE).json()["plans"] == []

    def test_only_those_who_sell_for_the_owner_may_list(self, world, repo) -> None:
        body = {"namespace": "vineyard", "subject_kind": "dataset", "subject_uuid": str(repo.uuid), **TEXTS}
        assert world.anybody.call("POST", "listings", body).status_code == 401
        assert world.eve.call("POST", "listings", body).status_code == 403
        assert world.eve.call("POST", "listings", body | {"namespace": "eve"}).status_code == 403
        assert Listing.objects.count() == 0

    def test_strangers_neither_see_drafts_nor_change_what_they_see(self, world, repo) -> None:
        drafted(world, repo)
        deeds = [
            ("GET", PLACE, None), ("PATCH", PLACE, {"title": "Mine"}),
            ("POST", f"{PLACE}/plans", {"kind": "free"}), ("POST", f"{PLACE}/publication", None),
        ]  # fmt: skip
        assert [world.eve.call(*deed).status_code for deed in deeds] == [404] * 4
        plan = world.seller.call("POST", f"{PLACE}/plans", {"kind": "free"}).json()
        world.seller.call("POST", f"{PLACE}/publication")
        refused = [*deeds[1:], ("DELETE", f"{PLACE}/publication", None), ("DELETE", f"plans/{plan['uuid']}", None)]
        assert [world.eve.call(*deed).status_code for deed in refused] == [403] * 5
        assert [world.anybody.call(*deed).status_code for deed in refused] == [401] * 5
        now = world.anybody.call("GET", PLACE).json()
        assert (now["title"], now["state"], len(now["plans"])) == (TEXTS["title"], "published", 1)

    def test_a_stale_change_is_refused(self, world, repo) -> None:
        drafted(world, repo)
        tag = world.seller.call("GET", PLACE).headers["ETag"]
        assert world.seller.call("PATCH", PLACE, {"title": "Second"}, **{"If-Match": tag}).status_code == 200
        late = world.seller.call("PATCH", PLACE, {"title": "Third"}, **{"If-Match": tag})
        assert (late.status_code, late.json()["code"]) == (409, "stale_parent")
        assert world.seller.call("GET", PLACE).json()["title"] == "Second"

    def test_a_withdrawn_listing_sells_no_more_and_what_was_bought_stays(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        bought(world, plan)
        assert [world.seller.call("DELETE", f"{PLACE}/publication").status_code for _ in range(2)] == [204, 204]
        assert world.eve.call("GET", PLACE).status_code == 404
        assert bought(world, plan, key="k2", buyer="eve", caller="eve").status_code == 404
        assert len(world.buyer.call("GET", "namespaces/tasters/access").json()["items"]) == 1

    def test_the_last_plan_of_a_published_listing_stays(self, world, repo) -> None:
        plan = on_sale(world, repo)
        answer = world.seller.call("DELETE", f"plans/{plan['uuid']}")
        assert (answer.status_code, answer.json()["code"]) == (409, "last_plan")
        world.seller.call("POST", f"{PLACE}/plans", {"kind": "one_time", "price_minor": 9})
        assert world.seller.call("DELETE", f"plans/{plan['uuid']}").status_code == 204
        assert [each["price_minor"] for each in world.seller.call("GET", PLACE).json()["plans"]] == [9]
        assert bought(world, plan).status_code == 409


class TestMoney:
    def test_only_staff_hand_out_credits(self, world) -> None:
        body, key = {"amount_minor": 500}, {"Idempotency-Key": "gift"}
        answers = [
            getattr(world, name).call("POST", "namespaces/tasters/credits", body, **key).status_code
            for name in ("anybody", "eve", "buyer", "seller")
        ]
        assert answers == [401, 403, 403, 403]
        assert LedgerTransaction.objects.count() == 0
        given = [world.rita.call("POST", "namespaces/tasters/credits", body, **key) for _ in range(2)]
        assert [each.status_code for each in given] == [201, 201]
        assert (money(world)[0], LedgerTransaction.objects.count()) == (500, 1)

    @pytest.mark.parametrize(
        "body",
        [{"amount_minor": 0}, {"amount_minor": -5}, {"amount_minor": 10**40}, {"amount_minor": 1.5},
         {"amount_minor": 5, "currency": "XXX"}, {"amount_minor": True}],
    )  # fmt: skip
    def test_impossible_amounts_are_refused(self, world, body) -> None:
        answer = world.rita.call("POST", "namespaces/tasters/credits", body, **{"Idempotency-Key": "gift"})
        assert (answer.status_code, answer.json()["title"]) == (400, "Invalid")
        assert LedgerTransaction.objects.count() == 0

    def test_nothing_moves_money_without_a_key(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        order = bought(world, plan).json()
        moves = [
            (world.rita, "namespaces/tasters/credits", {"amount_minor": 5}),
            (world.buyer, "orders", {"buyer": "tasters", "plan": plan["uuid"]}),
            (world.buyer, f"orders/{order['uuid']}/refund", {}),
        ]
        for caller, path, body in moves:
            for key in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 129}, {"Idempotency-Key": "x" * 100}):
                answer = caller.call("POST", path, body, **key)
                assert answer.status_code == 400, (path, key, answer.content)
        assert money(world) == (7_500, 0, 2_250, 250)

    def test_a_key_used_for_another_order_is_refused(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        bought(world, plan)
        other = bought(world, plan, quantity=2)
        assert (other.status_code, other.json()["code"]) == (400, "idempotency_key_reused")
        assert (Order.objects.count(), money(world)[0]) == (1, 7_500)

    def test_the_same_key_of_two_buyers_is_two_orders(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        other = make_person("pia")
        pia = Caller(world.client, make_token(other.user))
        world.rita.call("POST", "namespaces/pia/credits", {"amount_minor": 2_500}, **{"Idempotency-Key": "pia"})
        assert bought(world, plan).status_code == 201
        body = {"buyer": "pia", "plan": plan["uuid"], "accept_terms": digest_of(plan["uuid"])}
        assert pia.call("POST", "orders", body, **{"Idempotency-Key": "k1"}).status_code == 201
        assert (Order.objects.count(), money(world)) == (2, (7_500, 0, 4_500, 500))

    def test_strangers_see_and_move_nothing_of_others(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        order = bought(world, plan).json()
        assert bought(world, plan, key="k2", caller="eve").status_code == 403
        paths = ["wallet", "statement", "access", "earnings", "statement?account=earnings"]
        for caller, expected in ((world.eve, {403, 404}), (world.anybody, {401, 404})):
            for name in ("tasters", "vineyard"):
                answers = {caller.call("GET", f"namespaces/{name}/{path}").status_code for path in paths}
                assert answers <= expected, (name, answers)
        assert world.eve.call("GET", f"orders/{order['uuid']}").status_code == 404
        assert world.eve.call("GET", "orders").json()["items"] == []
        assert world.anybody.call("GET", "orders").status_code == 401
        undone = world.eve.call("POST", f"orders/{order['uuid']}/refund", {}, **{"Idempotency-Key": "r1"})
        assert (undone.status_code, money(world)) == (404, (7_500, 0, 2_250, 250))
        both = [caller.call("GET", "orders").json()["items"][0]["uuid"] for caller in (world.buyer, world.seller)]
        assert both == [order["uuid"]] * 2

    def test_a_token_spends_only_with_the_scope_to_buy(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        reader = Caller(world.client, make_token(world.buying.user, "account:read", "repo:write", "market:sell"))
        body = {"buyer": "tasters", "plan": plan["uuid"]}
        assert reader.call("POST", "orders", body, **{"Idempotency-Key": "k1"}).status_code == 403
        assert (Order.objects.count(), money(world)[0]) == (0, 10_000)

    def test_members_without_the_role_do_not_buy(self, world, repo) -> None:
        plan = on_sale(world, repo)
        funded(world)
        owner = make_user("olga")
        organization = make_organization("club", owner, mia="member", ben="buyer")
        world.rita.call("POST", "namespaces/club/credits", {"amount_minor": 2_500}, **{"Idempotency-Key": "club"})
        callers = {
            row.user.username: Caller(world.client, make_token(row.user)) for row in organization.memberships.all()
        }
        body = {"buyer": "club", "plan": plan["uuid"], "accept_terms": digest_of(plan["uuid"])}
        answers = [
            callers[name].call("POST", "orders", body, **{"Idempotency-Key": name}).status_code
            for name in ("mia", "ben")
        ]
        assert answers == [403, 201]
        assert callers["mia"].call("GET", "namespaces/club/wallet").status_code == 403
        assert callers["ben"].call("GET", "namespaces/club/wallet").json()["balances"][0]["wallet_minor"] == 0


def test_a_coupon_from_its_making_to_the_receipt(world, repo):
    plan = on_sale(world, repo)
    funded(world)
    body = {"code": "spring", "percent_bp": 2000, "limit_total": 1, "ends_at": "2099-01-01T00:00:00+01:00"}
    made = world.seller.call("POST", "namespaces/vineyard/coupons", body).json()
    assert (made["code"], made["ends_at"], made["used"]) == ("SPRING", "2098-12-31T23:00:00Z", 0)
    asked = world.buyer.call("GET", f"plans/{plan['uuid']}/quote?buyer=tasters&coupon=Spring").json()
    assert (asked.pop("terms_digest"), "Price" in asked.pop("terms")) == (digest_of(plan["uuid"]), True)
    assert asked == {
        "plan": plan["uuid"],
        "quantity": 1,
        "coupon": "SPRING",
        "price_minor": 2_500,
        "discount_minor": 500,
        "tax_minor": 0,
        "total_minor": 2_000,
        "currency": "CRD",
        "trial_days": 0,
        "approval": None,
        "caps": [],
    }
    order = bought(world, plan, coupon="spring").json()
    assert (order["total_minor"], order["discount_minor"], order["coupon"]) == (2_000, 500, "SPRING")
    refused = world.eve.call("GET", f"plans/{plan['uuid']}/quote?buyer=eve&coupon=spring")
    assert (refused.status_code, refused.json()["code"]) == (400, "coupon_used_up")
    [row] = world.seller.call("GET", "namespaces/vineyard/coupons").json()["items"]
    assert (row["uuid"], row["used"]) == (made["uuid"], 1)
    assert world.eve.call("GET", f"coupons/{made['uuid']}").status_code == 404
    assert world.seller.call("DELETE", f"coupons/{made['uuid']}").status_code == 204
    assert world.seller.call("GET", f"coupons/{made['uuid']}").json()["archived_at"]
    assert verify_ledger().is_sound


def test_volume_prices_and_the_price_of_the_next_call(world):
    tiers = [{"up_to_units": 2, "price_minor": 30}, {"up_to_units": None, "price_minor": 20}]
    plan = on_sale(
        world, make_endpoint(world.party), "endpoint", kind="pay_per_use", price_minor=30, currency="KWD", tiers=tiers
    )
    assert (plan["tiers"], plan["price_minor"]) == (tiers, 30)
    give_credits(world.buying, 1_000, currency="KWD")
    order = bought(world, plan, quantity=3).json()
    assert (order["total_minor"], order["currency"]) == (80, "KWD")
    source = Order.objects.get().entitlement.source
    told = []
    for number in range(4):
        [row] = world.buyer.call("GET", "namespaces/tasters/access").json()["items"]
        told.append((row["next_call_price"]["amount"], row["next_call_price"]["paid_left"]))
        make_calls(source, 1, first=number)
    assert told == [("0.030", 3), ("0.030", 2), ("0.020", 1), (None, 0)]


def test_a_private_offer_is_seen_by_its_buyer_alone(world, repo):
    on_sale(world, repo)
    body = {"kind": "one_time", "price_minor": 900, "offered_to": "tasters", "offer_note": "As agreed"}
    offer = world.seller.call("POST", f"{PLACE}/plans", body).json()
    assert (offer["offered_to"], offer["offer_note"]) == ("tasters", "As agreed")
    seen = {name: len(getattr(world, name).call("GET", PLACE).json()["plans"]) for name in ("buyer", "eve", "anybody")}
    assert seen == {"buyer": 2, "eve": 1, "anybody": 1}
    [mine] = world.buyer.call("GET", "namespaces/tasters/offers").json()["items"]
    assert (mine["uuid"], mine["seller"], mine["listing_title"]) == (offer["uuid"], "vineyard", TEXTS["title"])
    assert bought(world, offer, caller="eve", buyer="eve").status_code == 404
    assert world.eve.call("GET", f"plans/{offer['uuid']}/quote?buyer=eve").status_code == 404
    funded(world)
    assert bought(world, offer).json()["total_minor"] == 900
