import hashlib
from datetime import timedelta

import pytest

from accounts import actors
from accounts.access_version import access_version
from accounts.credentials import live_credentials
from accounts.models import AuditRecord, Namespace, Organization, Token
from accounts.permissions import Action, Level, Role
from accounts.services import grants, tokens
from accounts.services.members import add_member
from accounts.services.teams import add_to_team, create_team
from common.clock import now, travel
from common.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from compute.endpoint_policies import can, require_endpoint, usable_endpoints, visible_endpoints
from compute.endpoint_queries import addresses
from compute.endpoint_serving import ServingTable, serving_table
from compute.endpoint_states import ENDPOINTS, EndpointState, EndpointVisibility
from compute.models import Endpoint, EndpointGroupGrant, EndpointUserGrant
from compute.services import endpoints
from lineage.queries import subgraph
from lineage.services.record import Ref
from tests.factories.endpoints import (
    SYSTEM,
    again,
    make_model,
    make_organization,
    make_person,
    make_token,
    sell_calls,
)
from tests.support import onnx_models

pytestmark = pytest.mark.django_db

INPUTS = [{"name": "x", "datatype": "FP32", "shape": [-1, 30]}]
OUTPUTS = [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]


@pytest.fixture
def alice():
    return make_person("alice")


@pytest.fixture
def bob():
    make_person("bob")
    return Namespace.objects.get(name="bob").user


@pytest.fixture
def version(alice):
    signature = {"task": "tabular-classification", "inputs": [{"name": "x", "columns": ["a", "b"], "shape": [0]}]}
    return make_model(alice, "tumour", onnx_models.mlp(), signature=signature)


@pytest.fixture
def endpoint(alice, version):
    return endpoints.deploy(alice, namespace="alice", name="Tumour.v1", version_uuid=version.uuid)


def loaded(endpoint: Endpoint) -> Endpoint:
    assert endpoints.report_loaded(SYSTEM, endpoint.uuid, endpoint.next_digest, inputs=INPUTS, outputs=OUTPUTS)
    return Endpoint.objects.get(pk=endpoint.pk)


def test_a_deployment_waits_for_its_model_and_is_in_lineage_and_audit(alice, version, endpoint):
    assert (endpoint.state, endpoint.slug) == ("deploying", "alice-tumour-v1")
    assert (endpoint.next_version_uuid, endpoint.version_uuid) == (version.uuid, None)
    graph = subgraph(Ref("endpoint", endpoint.uuid), direction="up", depth=1)
    assert {(node[0], node[1]) if isinstance(node, tuple) else (node.kind, node.uuid) for node in graph.nodes} == {
        ("endpoint", endpoint.uuid),
        ("version", version.uuid),
    }
    assert AuditRecord.objects.filter(tag="compute:endpoint:deployed", subject_id=str(endpoint.uuid)).count() == 1


def test_what_the_graph_says_wins_and_what_the_version_adds_stays(endpoint, version):
    ready = loaded(endpoint)
    assert (ready.state, ready.version_uuid, ready.next_digest) == ("ready", version.uuid, "")
    assert ready.signature["inputs"] == [{"name": "x", "columns": ["a", "b"], "datatype": "FP32", "shape": [-1, 30]}]
    assert ready.signature["task"] == "tabular-classification"


def test_a_report_about_something_else_changes_nothing(endpoint):
    before = access_version()
    assert not endpoints.report_loaded(SYSTEM, endpoint.uuid, "0" * 64, inputs=[], outputs=[])
    assert not endpoints.report_failed(SYSTEM, endpoint.uuid, "0" * 64, "broken")
    assert Endpoint.objects.get(pk=endpoint.pk).state == "deploying"
    assert access_version() == before
    ready = loaded(endpoint)
    assert not endpoints.report_loaded(SYSTEM, endpoint.uuid, ready.digest, inputs=[], outputs=[])


def test_every_change_tells_the_inference_process(alice, endpoint, bob):
    seen = [access_version()]
    for deed in (
        lambda: loaded(endpoint),
        lambda: endpoints.stop(alice, endpoint),
        lambda: endpoints.start(alice, endpoint),
        lambda: endpoints.change_visibility(alice, endpoint, EndpointVisibility.PUBLIC),
        lambda: endpoints.share(alice, endpoint, bob),
        lambda: endpoints.delete(alice, endpoint),
    ):
        deed()
        seen.append(access_version())
    assert seen == sorted(set(seen))


def test_repeated_deeds_change_nothing(alice, endpoint):
    loaded(endpoint)
    for deed in (endpoints.stop, endpoints.start):
        deed(alice, endpoint)
        before = access_version()
        deed(alice, endpoint)
        assert access_version() == before


def test_an_update_keeps_the_present_version_until_the_next_is_loaded(alice, version, endpoint):
    loaded(endpoint)
    second = make_model(alice, "tumour", onnx_models.mlp(seed=2), version="2")
    updating = endpoints.update(alice, endpoint, second.uuid)
    assert (updating.state, updating.version_name, updating.next_version_name) == ("updating", "1", "2")
    assert endpoints.report_failed(SYSTEM, endpoint.uuid, updating.next_digest, "it is broken")
    kept = Endpoint.objects.get(pk=endpoint.pk)
    assert (kept.state, kept.version_name, kept.problem) == ("ready", "1", "it is broken")
    updated = loaded(endpoints.update(alice, endpoint, second.uuid))
    assert (updated.state, updated.version_name, updated.problem) == ("ready", "2", "")
    before = access_version()
    assert endpoints.update(alice, endpoint, second.uuid).state == "ready"
    assert access_version() == before


def test_a_first_deployment_that_fails_can_be_started_again(alice, endpoint):
    assert endpoints.report_failed(SYSTEM, endpoint.uuid, endpoint.next_digest, "x" * 900)
    failed = Endpoint.objects.get(pk=endpoint.pk)
    assert (failed.state, len(failed.problem)) == ("failed", 300)
    with pytest.raises(Conflict, match="failed"):
        endpoints.stop(alice, endpoint)
    assert loaded(endpoints.start(alice, endpoint)).state == "ready"


def test_a_deleted_endpoint_is_gone_but_keeps_its_slug(alice, version, endpoint, bob):
    endpoints.share(alice, endpoint, bob)
    endpoints.delete(alice, endpoint)
    assert not visible_endpoints(alice).exists()
    assert not EndpointUserGrant.objects.exists()
    with pytest.raises(NotFound):
        endpoints.delete(alice, endpoint)
    again_deployed = endpoints.deploy(alice, namespace="alice", name="Tumour.v1", version_uuid=version.uuid)
    assert again_deployed.slug.startswith("alice-tumour-v1-")
    with pytest.raises(Conflict, match="slug"):
        endpoints.deploy(alice, namespace="alice", name="other", version_uuid=version.uuid, slug="alice-tumour-v1")


@pytest.mark.parametrize("slug", ["", "A", "a--b", "-a", "a-", "a/b", "a.b", "ä", "a" * 81, "a b"])
def test_a_bad_slug_is_refused(alice, version, slug):
    with pytest.raises(Invalid, match="slug"):
        endpoints.deploy(alice, namespace="alice", name="m", version_uuid=version.uuid, slug=slug)
    assert not Endpoint.objects.exists()


def test_names_are_taken_in_any_case(alice, version, endpoint):
    with pytest.raises(Conflict, match="already"):
        endpoints.deploy(alice, namespace="alice", name="TUMOUR.V1", version_uuid=version.uuid)
    with pytest.raises(Invalid, match="name"):
        endpoints.deploy(alice, namespace="alice", name="../x", version_uuid=version.uuid)


def test_who_may_deploy_and_manage(alice, version, endpoint):
    make_organization(alice, "labs")
    others = {role: make_person(f"the-{role}") for role in (Role.PUBLISHER, Role.MEMBER)}
    labs = Organization.objects.get(namespace__name="labs")
    for role, actor in others.items():
        add_member(SYSTEM, labs, Namespace.objects.get(name=actor.username).user, role)
    owner, publisher, member = again(alice), again(others[Role.PUBLISHER]), again(others[Role.MEMBER])
    # the publisher of labs may not read alice's private model
    with pytest.raises(NotFound):
        endpoints.deploy(publisher, namespace="labs", name="m", version_uuid=version.uuid)
    with pytest.raises(Forbidden):
        endpoints.deploy(member, namespace="labs", name="m", version_uuid=version.uuid)
    made = loaded(endpoints.deploy(owner, namespace="labs", name="m", version_uuid=version.uuid))
    assert endpoints.stop(publisher, made).state == "stopped"
    with pytest.raises(Forbidden):
        endpoints.delete(publisher, made)
    with pytest.raises(NotFound):
        endpoints.stop(member, made)
    endpoints.change_visibility(owner, made, EndpointVisibility.PUBLIC)
    with pytest.raises(Unauthenticated):
        endpoints.start(actors.anonymous(), made)
    assert Endpoint.objects.get(pk=made.pk).state == "stopped"


def test_only_models_with_an_onnx_file_that_is_proven_safe_are_deployed(alice):
    unproven = make_model(alice, "unproven", onnx_models.with_external_data())
    with pytest.raises(Invalid, match="could not prove"):
        endpoints.deploy(alice, namespace="alice", name="m", version_uuid=unproven.uuid)
    assert not Endpoint.objects.exists()


def test_states_follow_the_table_and_the_database_knows_them(endpoint):
    assert ENDPOINTS.final == {EndpointState.DELETED}
    assert {state for following in ENDPOINTS.table.values() for state in following} == set(EndpointState)


def test_addresses_of_an_endpoint(endpoint, settings):
    settings.INFERENCE_URL = "https://models.example"
    found = addresses(Endpoint.objects.select_related("namespace").get(pk=endpoint.pk))
    assert found.own == "https://models.example/serve/alice/Tumour.v1"
    assert found.infer == "https://models.example/v2/models/alice-tumour-v1/infer"


def decides(table: ServingTable, text: str, endpoint: Endpoint) -> str:
    """What the table in memory says to a call: served, forbidden, unknown or no token."""
    credential = table.credentials.get(hashlib.sha256(text.encode()).hexdigest())
    if credential is None:
        return "no token"
    try:
        seats = table.seats(credential, table.by_slug[endpoint.slug])
    except NotFound:
        return "unknown"
    except Forbidden:
        return "forbidden"
    moment = now().timestamp()
    return "served" if any(each.valid_until is None or each.valid_until > moment for each in seats) else "forbidden"


@pytest.mark.parametrize("visibility", list(EndpointVisibility))
def test_the_table_in_memory_decides_like_the_policy(visibility, version, alice):
    """Every kind of caller, with the policy's answer beside the table's."""
    labs = make_organization(alice, "labs")
    people = {
        name: make_person(name)
        for name in ("publisher", "member", "buyer", "shared", "expired", "colleague", "stranger")
    }

    def user(name: str):
        return Namespace.objects.get(name=name).user

    for name in ("publisher", "member", "buyer"):
        add_member(SYSTEM, labs, user(name), Role(name))
    guests = make_organization(people["colleague"], "guests")
    owner_of_guests = again(people["colleague"])
    team = create_team(owner_of_guests, guests, "callers")
    add_to_team(owner_of_guests, team, "colleague")
    endpoint = loaded(
        endpoints.deploy(again(alice), namespace="labs", name="m", version_uuid=version.uuid, visibility=visibility)
    )
    endpoints.share(again(alice), endpoint, user("shared"))
    endpoints.share(again(alice), endpoint, team)
    grants.grant(
        SYSTEM, endpoint, user("expired"), Level.USE, source="trial", valid_until=now() + timedelta(seconds=60)
    )
    texts = {name: make_token(again(actor)) for name, actor in {**people, "alice": alice}.items()}
    texts["narrow"] = make_token(again(alice), "repo:read")
    texts["elsewhere"] = make_token(again(alice), namespace_ids=[alice.namespace_id])
    with travel(timedelta(minutes=5)):
        table = serving_table()
        for name, text in texts.items():
            actor = actors.for_token(text)
            policy = (
                "served"
                if usable_endpoints(actor).filter(pk=endpoint.pk).exists()
                else "forbidden"
                if visible_endpoints(actor).filter(pk=endpoint.pk).exists()
                else "unknown"
            )
            assert decides(table, text, endpoint) == policy, name
            if policy != "unknown":
                assert can(actor, endpoint, Action.ENDPOINT_USE) == (policy == "served"), name
    assert policy in {"unknown", "forbidden"}
    if visibility == EndpointVisibility.PRIVATE:
        with pytest.raises(NotFound):
            require_endpoint(actors.for_token(texts["stranger"]), "labs", "M", Action.ENDPOINT_USE)


def test_a_bought_grant_is_charged_to_its_holder_and_a_free_one_to_nobody(endpoint, alice):
    ready = loaded(endpoint)
    buyer = make_person("buyer")
    make_organization(buyer, "firm")
    firm = Namespace.objects.get(name="firm")
    first = sell_calls(ready, firm, 10)
    text = make_token(again(buyer))
    table = serving_table()
    credential = table.credentials[hashlib.sha256(text.encode()).hexdigest()]
    (seat,) = table.seats(credential, table.by_slug[ready.slug])
    assert (seat.payer, seat.needs_budget, [each.pk for each in seat.budgets]) == (firm.uuid, True, [first.pk])
    assert EndpointGroupGrant.objects.count() == 1
    endpoints.share(alice, ready, Namespace.objects.get(name="buyer").user)
    table = serving_table()
    free, bought = table.seats(credential, table.by_slug[ready.slug])
    assert (free.needs_budget, free.budgets, bought.needs_budget) == (False, (), True)


def test_revoked_expired_and_deactivated_tokens_are_not_in_the_table(alice):
    texts = [make_token(alice) for _ in range(2)]
    expiring = make_token(alice, expires_at=now() + timedelta(minutes=1))
    assert len(live_credentials()) == 3
    tokens.revoke(alice, Token.objects.earliest("pk").uuid)
    assert len(live_credentials()) == 2
    with travel(timedelta(minutes=2)):
        assert len(live_credentials()) == 1
    assert expiring not in live_credentials()
    Namespace.objects.get(name="alice").user.__class__.objects.update(is_active=False)
    assert live_credentials() == {}
    assert len(texts) == 2


def test_the_table_takes_the_same_number_of_queries_whatever_its_size(alice, version, django_assert_num_queries):
    for n in range(3):
        endpoints.deploy(alice, namespace="alice", name=f"m{n}", version_uuid=version.uuid)
        make_token(alice)
    with django_assert_num_queries(10):
        serving_table()
