"""A seller, a buyer and things to sell, made through the services."""

from dataclasses import dataclass
from uuid import UUID

from accounts.actors import Actor, for_user, system
from accounts.models import Namespace, User
from accounts.services.identity import create_organization, create_user
from common.clock import now
from compute.models import Endpoint
from compute.services import endpoints
from market.models import Account, Listing, Plan
from market.order_terms import terms_for
from market.services import listings, wallet
from market.services.ledger import AccountRef
from metering.meters import Meter
from metering.queries import budget_of
from metering.services import usage
from registry.models import Repo, ScanReport, Version
from registry.queries import SCANNERS
from registry.services import storage
from registry.services.commits import AddFile, create_commit
from registry.services.repos import create_repo
from registry.services.versions import publish_version

SYSTEM = system("tests")
CARD = "# Wares\n\nMeasured with care.\n"


@dataclass(frozen=True)
class Party:
    """Somebody who trades: a person, or an organisation with its owner."""

    user: User
    namespace: Namespace

    @property
    def actor(self) -> Actor:
        return for_user(self.user)

    @property
    def name(self) -> str:
        return self.namespace.name


def make_person(name: str) -> Party:
    user = create_user(SYSTEM, name, f"{name}@example.org", "correct horse battery", is_verified=True)
    return Party(user, user.namespace)


def make_company(name: str) -> Party:
    """An organisation, owned by the person `<name>-owner`."""
    owner = make_person(f"{name}-owner")
    return Party(owner.user, create_organization(SYSTEM, name, owner=owner.user).namespace)


def give_credits(party: Party, amount_minor: int, *, currency: str = "CRD", key: str = "opening") -> None:
    wallet.add_credits(SYSTEM, party.namespace, amount_minor, currency, key=key)


def make_version(
    seller: Party,
    name: str = "wine",
    kind: str = "dataset",
    files: dict[str, bytes] | None = None,
    licence: str = "mit",
) -> Version:
    """A public repository of the seller's with a card and a version `1.0`, under a licence that allows to sell it, that scanning has
    found to be data only."""
    repo = create_repo(seller.actor, kind, seller.name, name, visibility="public")
    head = f"---\nlicense: {licence}\n---\n" if licence else ""
    contents = {"README.md": (head + CARD).encode(), **(files or {"data.csv": b"a,b\n1,2\n"})}
    made = [AddFile(path, storage.store_blob([data])) for path, data in contents.items()]
    commit = create_commit(seller.actor, repo, "main", made, summary="Add the data")
    return scanned(publish_version(seller.actor, repo, commit.oid, name="1.0", licence=licence))


def scanned(version: Version, verdict: str = "data-only") -> Version:
    """The version with a report that says `verdict`, as if the scanners had run."""
    ScanReport.objects.create(version=version, scanner=SCANNERS, rules="tests", verdict=verdict)
    return version


def make_endpoint(seller: Party, name: str = "digits") -> Endpoint:
    """An endpoint that the inference process has reported as loaded."""
    version = make_version(seller, name, "model", {"model.onnx": name.encode()})
    endpoint = endpoints.deploy(seller.actor, namespace=seller.name, name=name, version_uuid=version.uuid)
    endpoints.report_loaded(
        SYSTEM,
        endpoint.uuid,
        endpoint.next_digest,
        inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        outputs=[],
    )
    endpoint.refresh_from_db()
    return endpoint


def make_listing(
    seller: Party, subject: Repo | Endpoint, *plans: dict, title: str = "Wine", publish: bool = True, **texts
):
    """A published listing over a repository or an endpoint, with `plans` (arguments of `add_plan`; default: one free). It has what it
    takes to be published; `texts` may take that away."""
    kind = subject.kind if isinstance(subject, Repo) else "endpoint"
    texts = {"support_contact": "help@example.org", "example_input": '{"inputs": []}', **texts}
    listing = listings.create_listing(
        seller.actor, namespace=seller.name, subject_kind=kind, subject_uuid=subject.uuid, title=title, **texts
    )
    for plan in plans or ({"kind": "free"},):
        listings.add_plan(seller.actor, listing, **plan)
    return listings.publish_listing(seller.actor, listing) if publish else listing


def plan_of(listing: Listing, number: int = 1) -> Plan:
    return Plan.objects.get(listing=listing, number=number)


def agreed(plan: Plan) -> dict:
    """The arguments of `place_order` that name a plan and accept its terms as they are now."""
    plan = Plan.objects.select_related("listing__namespace").get(pk=plan.pk)
    return {"plan_uuid": plan.uuid, "accept_terms": terms_for(plan).digest}


def digest_of(plan_uuid: str) -> str:
    """What an order of this plan accepts, for a caller that knows no more of it."""
    return agreed(Plan.objects.get(uuid=plan_uuid))["accept_terms"]


def balance(ref: AccountRef) -> int:
    """Minor units in an account; 0 while it does not exist."""
    return Account.objects.filter(key=ref.key).values_list("balance_minor", flat=True).first() or 0


def make_calls(
    source: str,
    count: int,
    *,
    first: int = 0,
    owner: str = "",
    units: int = 1,
    version: UUID | None = None,
    token: str = "",
) -> None:
    """Record `count` served calls of `units` each on the budget of `source`, as the inference process does: answered by `version`, made
    with `token`, where they are said."""
    budget = budget_of(source)
    usage.record_many(
        [
            usage.Usage(
                Meter.INFERENCE_CALLS,
                "inference",
                f"{source}:{number}",
                1,
                budget.subject,
                now(),
                budget.holder,
                budget.pk,
                units,
                version,
                {"token": token} if token else {},
            )
            for number in range(first, first + count)
        ],
        owner=owner,
    )
