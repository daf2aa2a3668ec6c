"""A chain that a recall goes down: a dataset, a model trained on it, somebody else's model made from that, a build, an endpoint, a
listing, two buyers."""

from dataclasses import dataclass

from compute.endpoint_states import EndpointVisibility
from compute.models import Endpoint, Job
from compute.services import endpoints, jobs
from lineage.services.record import Ref, record_edge, record_run
from market.models import Listing, Order, Recall
from market.services import listings, orders, recalls
from registry.models import Build, Version
from registry.services import repos, storage
from registry.services.commits import AddFile, create_commit
from registry.services.versions import publish_version
from tests.factories.builds import make_build
from tests.factories.jobs import TABLE
from tests.factories.market import (
    SYSTEM,
    Party,
    agreed,
    give_credits,
    make_company,
    make_listing,
    make_version,
    plan_of,
    scanned,
)

PRICE = 900


@dataclass
class Chain:
    lab: Party
    """Whose dataset it is, and the first model."""
    maker: Party
    """Who has made a model from that one, and sells its endpoint."""
    buyers: list[Party]
    data: Version
    fixed: Version
    model: Version
    job: Job
    derived: Version
    build: Build
    endpoint: Endpoint
    data_listing: Listing
    endpoint_listing: Listing
    data_orders: list[Order]
    endpoint_orders: list[Order]

    def recall(self, **changes: object) -> Recall:
        given = {
            "version_uuid": self.data.uuid,
            "category": "data_rights",
            "severity": "warn",
            "reason": "Patients have taken their consent back.",
            "advice": "Delete your copies.",
            "private_note": "Ticket 4711.",
            "replacement": self.fixed.uuid,
        }
        return recalls.open_recall(self.lab.actor, **{**given, **changes})


def trained(party: Party, data: Version, name: str) -> tuple[Version, Job]:
    """A model of the party's that a job has trained on the data, as the worker leaves it."""
    job = jobs.submit(
        party.actor,
        namespace=party.name,
        recipe="tabular-train",
        parameters={"target": "label"},
        inputs={"data": data.uuid},
        target={"kind": "model", "name": name},
    )
    return finish(party, job), Job.objects.get(pk=job.pk)


def finish(party: Party, job: Job) -> Version:
    """End a job well: its outcome is a version of the target."""
    content = storage.store_blob([f"weights of {job.uuid}".encode()])
    commit = create_commit(party.actor, job.target, "main", [AddFile("model.onnx", content)], summary="Trained")
    name = f"{job.target.versions.count() + 1}.0"
    version = scanned(publish_version(party.actor, job.target, commit.oid, name=name, licence="mit"))
    Job.objects.filter(pk=job.pk).update(state="succeeded", version=version)
    inputs = [Ref("version", each["version_uuid"]) for each in job.inputs.values()]
    record_run(inputs, Ref("job", job.uuid), [Ref("version", version.uuid)])
    return version


def make_chain(*, is_derived_private: bool = False) -> Chain:
    """See the module. The dataset and the endpoint are each sold to two buyers."""
    lab, maker = make_company("lab"), make_company("maker")
    buyers = [make_company("clinic"), make_company("hospital")]
    for each in buyers:
        give_credits(each, 10_000)
    data = make_version(lab, "patients", files={"data.csv": TABLE})
    model, job = trained(lab, data, "triage")
    derived = make_version(maker, "triage-plus", "model", {"model.onnx": b"better"})
    record_edge(Ref("version", model.uuid), Ref("version", derived.uuid), "derived")
    build = make_build(maker.actor, derived)
    endpoint = endpoints.deploy(
        maker.actor,
        namespace=maker.name,
        name="triage",
        version_uuid=derived.uuid,
        visibility=EndpointVisibility.PRIVATE if is_derived_private else EndpointVisibility.PUBLIC,
    )
    endpoints.report_loaded(
        SYSTEM,
        endpoint.uuid,
        endpoint.next_digest,
        inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        outputs=[],
    )
    endpoint.refresh_from_db()
    once = {"kind": "one_time", "price_minor": PRICE}
    data_listing = make_listing(lab, data.repo, once, title="Patients")
    endpoint_listing = make_listing(maker, endpoint, once, title="Triage calls")
    bought = [
        [
            orders.place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key=listing.slug)
            for buyer in buyers
        ]
        for listing in (data_listing, endpoint_listing)
    ]
    fixed_csv = AddFile("data.csv", storage.store_blob([TABLE + b"1,1,odd\n"]))
    commit = create_commit(lab.actor, data.repo, "main", [fixed_csv], summary="Without them")
    fixed = scanned(publish_version(lab.actor, data.repo, commit.oid, name="2.0", licence="mit"))
    if is_derived_private:
        listings.update_listing(maker.actor, endpoint_listing, visibility="private")
        repos.update_settings(maker.actor, derived.repo, visibility="private")
    return Chain(
        lab, maker, buyers, data, fixed, model, job, derived, build, endpoint, data_listing, endpoint_listing, *bought
    )
