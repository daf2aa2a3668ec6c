"""A small populated site for the permission table: every kind of object, and one person for each relation to it.

The organisation `acme` owns everything. `olga` owns it; `walt` is a publisher in it (writes); `rita` is a member who holds a
read grant on each guarded object; `sam` is a stranger with an account; `steve` is staff."""

from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from uuid import UUID

from django.test import Client

from accounts.actors import Actor
from accounts.models import Token, User
from accounts.permissions import Level, Role
from accounts.services import grants, invitations, members, teams
from compute.services import endpoints
from lineage.services.record import Ref, record_edge
from market.models import Listing, Plan, Recall
from market.services import (
    approval_requests,
    blind,
    buyer_reviews,
    caps,
    coupons,
    images,
    ledger,
    licences,
    listings,
    moderation,
    orders,
    payout_accounts,
    payouts,
    recalls,
    return_requests,
    reviews,
    seats,
    threads,
    trials,
)
from market.services.ledger import Leg, TransactionKind
from market.subscription_queries import subscriptions_of
from notices.models import Notice
from notices.services.unsubscribing import unsubscribe_url
from notices.topics import Topic
from registry.models import Repo, RepoEvent, RepoSource, WebhookDelivery
from registry.queries import head_of
from registry.services import (
    collections,
    discussions,
    exports,
    imports,
    pulls,
    reading,
    repos,
    scans,
    signing,
    sources,
    webhooks,
)
from registry.services.sources import Wanted
from registry.services.versions import publish_version
from registry.states import SourceState
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_token, make_user
from tests.factories.blind import make_evaluated, make_waiting
from tests.factories.builds import make_build
from tests.factories.jobs import TABLE, submit_training
from tests.factories.market import (
    Party,
    agreed,
    digest_of,
    give_credits,
    make_company,
    make_endpoint,
    make_listing,
    make_version,
    plan_of,
)
from tests.factories.registry import add, commit, make_repo

ROLES = ("anonymous", "stranger", "reader", "writer", "owner", "staff", "narrowed")
PEOPLE = {"stranger": "sam", "reader": "rita", "writer": "walt", "owner": "olga", "staff": "steve"}
NARROW_SCOPE = "account:read"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)
"""One pixel."""


@dataclass(frozen=True)
class World:
    """`names` fills the placeholders of paths; `tokens` the bearer token per role."""

    names: dict[str, str]
    tokens: dict[str, str]
    users: dict[str, User]
    sessions: dict[str, SimpleCookie] = field(default_factory=dict)

    def client(self, role: str, *, is_page: bool) -> Client:
        """What the person of `role` uses: a browser's session for pages, a token elsewhere. Narrowed: the owner's token with
        one scope, which pages do not know."""
        client = Client(raise_request_exception=False)
        if is_page and role in self.users:
            if role not in self.sessions:
                client.force_login(self.users[role], backend="django.contrib.auth.backends.ModelBackend")
                self.sessions[role] = client.cookies
            # each request gets the cookies as they were: one that signs out ends nobody else's session
            client.cookies = SimpleCookie({name: morsel.value for name, morsel in self.sessions[role].items()})
        elif role in self.tokens:
            client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[role]}"
        return client


def build() -> World:
    users = {role: make_user(name, is_staff=role == "staff") for role, name in PEOPLE.items()}
    acme = make_organization("acme", users["owner"])
    for role, place in (("writer", Role.PUBLISHER), ("reader", Role.MEMBER)):
        members.add_member(SYSTEM, acme, users[role], place)
    owner = actor_of(users["owner"])
    names = {"nobody": str(UUID(int=1))}

    versions = {}
    for kind in ("model", "dataset", "algorithm"):
        repo = make_repo(owner, "secret", kind=kind, namespace="acme")
        made = commit(
            owner, repo, add("README.md", "# Secret"), add("data.csv", TABLE), add("model.onnx"), add("dot.png", PNG)
        )
        versions[kind] = publish_version(owner, repo, made.oid, name="1.0")
        scans.scan_version(versions[kind].pk)
        signing.sign_version(versions[kind].pk)
        grants.grant(owner, repo, users["reader"], Level.READ, source="share")
        names[f"{kind}_oid"], names[f"{kind}_version"] = made.oid, str(versions[kind].uuid)
    names["build"] = str(make_build(owner, versions["model"]).uuid)
    mirrored = sources.import_repo(
        owner, "model", "acme", "mirrored", Wanted("git", "https://git.example.org/x.git", every_h=24)
    )
    grants.grant(owner, mirrored, users["reader"], Level.READ, source="share")
    RepoSource.objects.update(state=SourceState.DONE)
    names["key"] = signing.signature_of(versions["dataset"], "ed25519").key.key_id
    talk = discussions.open_discussion(owner, versions["dataset"].repo, "A question", "Why?")
    names["comment"] = talk.events.get().uuid.hex
    pulls.propose_commit(owner, versions["dataset"].repo, "main", [add("new.txt")], summary="Add a file")
    shelf = collections.create_collection(owner, "acme", "Best of", is_private=True)
    item = collections.add_item(owner, shelf, versions["dataset"].repo)
    names |= {"collection": shelf.uuid.hex, "item": item.uuid.hex}
    watched = [{"type": "user", "name": users["stranger"].username}]
    names["shelf"] = str(shelf.uuid)
    hook = webhooks.create_webhook(owner, "https://example.org/", [{"type": "org", "name": "acme"}], domains=["market"])
    names["hook"] = str(hook.uuid)
    names["webhook"] = webhooks.create_webhook(owner, "https://example.org/", watched).uuid.hex

    endpoint = endpoints.deploy(owner, namespace="acme", name="api", version_uuid=versions["model"].uuid)
    grants.grant(owner, endpoint, users["reader"], Level.USE, source="share")
    job = submit_training(
        actor_of(users["writer"]),
        versions["dataset"],
        namespace="acme",
        target={"kind": "model", "name": "trained"},
    )
    names |= {"endpoint": str(endpoint.uuid), "slug": endpoint.slug, "job": str(job.uuid)}

    names |= _trade(Party(users["owner"], acme.namespace))
    names |= _talk(owner, names, users)
    names["delivery"] = str(WebhookDelivery.objects.filter(webhook=hook)[0].uuid)
    teams.create_team(owner, acme, "crew")
    export = exports.ask_for_export(owner, repo=versions["algorithm"].repo)
    exports.make_export(export.pk)
    names |= {"export": str(export.uuid), "import": str(imports.begin_import(owner, "acme", 5).uuid)}
    names["invitation"] = str(invitations.invite(owner, acme, "new@example.org", Role.MEMBER).uuid)
    tokens = {role: make_token(user, "*") for role, user in users.items()}
    tokens["narrowed"] = make_token(users["owner"], NARROW_SCOPE)
    names["token"] = str(Token.objects.filter(user=users["owner"]).order_by("pk")[0].uuid)
    return World(names, tokens, users)


def _organisation_buying(own: Party, plan: Plan, sold: Listing) -> dict[str, str]:
    """A purchase of a member of acme's that waits for an approval, and seats that acme has bought."""
    bea = make_user("bea")
    members.add_member(SYSTEM, own.namespace.organization, bea, Role.BUYER)
    approval_requests.set_limit(own.actor, "acme", "CRD", 1)
    waiting = orders.place_order(actor_of(bea), buyer_namespace="acme", **agreed(plan), key="waiting")
    approval_requests.set_limit(own.actor, "acme", "CRD", None)
    by_seat = listings.add_plan(SYSTEM, sold, "one_time", price_minor=2, per_seat=True)
    order = orders.place_order(own.actor, buyer_namespace="acme", **agreed(by_seat), quantity=3, key="seats")
    gift = seats.give_seat(own.actor, order.entitlement, "rita")
    return {
        "approval": str(waiting.approval.uuid),
        "access": str(order.entitlement.uuid),
        "cap": str(caps.set_cap(own.actor, "acme", calls=100).uuid),
        "terms": order.terms_digest,
        "foreign_terms": agreed(plan)["accept_terms"],
        "seat": str(gift.uuid),
    }


def _talk(owner: Actor, names: dict[str, str], users: dict[str, User]) -> dict[str, str]:
    """A review of acme's listing by a buyer elsewhere, a question with an answer, a report, a notice."""
    listing, buyer = Listing.objects.get(uuid=names["listing"]), Party(User.objects.get(username="trade-owner"), None)
    orders.place_order(
        buyer.actor, buyer_namespace="trade", plan_uuid=names["plan"], accept_terms=digest_of(names["plan"]), key="read"
    )
    repo = Repo.objects.get(uuid=names["open"])
    reading.note_reading(buyer.actor, repo, head_of(repo))
    review = buyer_reviews.write_review(buyer.actor, listing, stars=4, title="Good")
    thread = threads.open_thread(actor_of(users["reader"]), listing, kind="question", title="Why?", text="Say.")
    answer = threads.write_post(owner, thread, text="Because.")
    webhooks.fan_out_event(RepoEvent.objects.filter(domain="market").latest("pk").pk)
    report = moderation.report(actor_of(users["writer"]), review, reason="untrue")
    return {
        "buyer_review": str(review.uuid),
        "post": str(answer.uuid),
        "report": str(report.uuid),
        "notice": str(Notice.objects.filter(user=users["owner"]).latest("pk").uuid),
        "unsubscribe": unsubscribe_url(users["owner"].pk, Topic.WORK).rpartition("/")[2],
    }


def _subscribed(own: Party, seller: Party) -> dict[str, str]:
    """A subscription of acme's, and a plan that it could change to."""
    wares = make_version(seller, "news")
    scans.scan_version(wares.pk)
    monthly = {"kind": "subscription", "interval": "month", "price_minor": 100}
    listing = make_listing(seller, wares.repo, monthly, monthly | {"price_minor": 50}, title="News")
    orders.place_order(own.actor, buyer_namespace="acme", **agreed(plan_of(listing)), key="news")
    found = subscriptions_of(own.namespace).items[0]
    cheaper = agreed(plan_of(listing, 2))
    return {
        "subscription": str(found.uuid),
        "cheaper_plan": str(cheaper["plan_uuid"]),
        "cheaper_terms": cheaper["accept_terms"],
    }


def _trade(own: Party) -> dict[str, str]:
    """Listings, an order, a coupon, a review and a payout of acme (`own`), and a seller elsewhere."""
    owner = own.actor
    seller = make_company("trade")
    wares = make_version(seller, "wine")
    scans.scan_version(wares.pk)
    listing = make_listing(
        seller, wares.repo, {"kind": "one_time", "price_minor": 500, "currency": "CRD"}, title="Wine"
    )
    more = make_version(seller, "grapes")
    scans.scan_version(more.pk)
    unbought = make_listing(
        seller, more.repo, {"kind": "one_time", "price_minor": 5, "currency": "CRD"}, title="Grapes"
    )
    fresh = make_version(own, "unlisted")
    scans.scan_version(fresh.pk)
    own_wares = make_version(own, "open")
    scans.scan_version(own_wares.pk)
    own_listing = make_listing(own, own_wares.repo, {"kind": "free"}, title="Open")
    judged = make_version(own, "judged")
    waiting = make_listing(own, judged.repo, title="Judged", publish=False)
    reviews.want_reviews(owner, "acme", is_needed=True)
    listings.publish_listing(owner, waiting)
    reviews.want_reviews(owner, "acme", is_needed=False)
    called = make_listing(own, make_endpoint(own, "called"), title="Called")
    trials.set_trial_calls(owner, called, 5)
    dot = images.add_image(owner, own_listing, content=PNG, alt="A dot")
    give_credits(own, 10_000)
    coupon = coupons.create_coupon(owner, "acme", "SPRING", percent_bp=1000, listings=[own_listing.uuid])
    taken = blind.publish_certificate(seller.actor, make_evaluated(seller, own_listing).evaluation)
    waiver = licences.grant_waiver(
        owner, upstream=own_wares.repo.uuid, downstream=own_wares.repo.uuid, rules=["hosting"], text="Host it."
    )
    recall = _recalled(own)
    account = payout_accounts.set_payout_account(
        owner, own.namespace, currency="CRD", method="outside", destination="IBAN 12345678"
    )
    earned = [Leg(ledger.issued("CRD"), -5000), Leg(ledger.earnings(own.namespace, "CRD"), 5000)]
    ledger.post(TransactionKind.ISSUE, "table", "earned", earned)
    payout = payouts.pay_out(account.pk, run="table")
    assert payout is not None
    returned = make_version(seller, "port")
    scans.scan_version(returned.pk)
    port = make_listing(
        seller, returned.repo, {"kind": "one_time", "price_minor": 500, "currency": "CRD"}, title="Port"
    )
    orders.place_order(owner, buyer_namespace="acme", **agreed(plan_of(listing)), key="first")
    bought = orders.place_order(owner, buyer_namespace="acme", **agreed(plan_of(port)), key="port")
    asked = return_requests.ask_for_return(owner, bought, 100, text="Too sweet.", key="table")
    return _organisation_buying(own, plan_of(unbought), port) | {
        "return": str(asked.uuid),
        "invoice": str(bought.documents.get().uuid),
        **_subscribed(own, seller),
        "coupon": str(coupon.uuid),
        "payout_account": str(account.uuid),
        "payout": str(payout.uuid),
        "review": str(waiting.uuid),
        "image": str(dot.uuid),
        "waiver": str(waiver.uuid),
        "recall": str(recall.uuid),
        "recall_item": str(recall.items.get(title="acme/made-of-faulty 1.0").uuid),
        "recallable": str(own_wares.uuid),
        "evaluation": str(make_evaluated(own, listing).evaluation.uuid),
        "waiting": str(make_waiting(own, listing).uuid),
        "foreign_evaluation": str(taken.uuid),
        "open": str(own_wares.repo.uuid),
        "listing": str(own_listing.uuid),
        "called": str(called.uuid),
        "called_slug": called.slug,
        "listing_slug": own_listing.slug,
        "plan": str(plan_of(own_listing).uuid),
        "foreign_plan": str(plan_of(unbought).uuid),
        "fresh": str(fresh.repo.uuid),
        "foreign_listing_slug": listing.slug,
        "order": str(bought.uuid),
    }


def _recalled(own: Party) -> Recall:
    """A private version of acme's that is recalled, with one that was made from it and one to take instead."""
    faulty = make_version(own, "faulty")
    repos.update_settings(own.actor, faulty.repo, visibility="private")
    better = publish_version(own.actor, faulty.repo, faulty.commit.oid, name="2.0", licence="mit")
    made = make_version(own, "made-of-faulty")
    repos.update_settings(own.actor, made.repo, visibility="private")
    record_edge(Ref("version", faulty.uuid), Ref("version", made.uuid), "derived")
    return recalls.open_recall(
        own.actor,
        version_uuid=faulty.uuid,
        category="quality",
        severity="warn",
        reason="It was measured wrongly.",
        replacement=better.uuid,
    )
