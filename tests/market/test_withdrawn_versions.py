"""Nothing new is sold or deployed from a version that was withdrawn."""

import pytest

from common.errors import Conflict
from compute.models import Endpoint
from compute.services import endpoints
from market.models import Order
from market.services import orders
from registry.services import standing
from registry.services.versions import publish_version
from tests.factories.market import (
    agreed,
    give_credits,
    make_company,
    make_endpoint,
    make_listing,
    make_version,
    plan_of,
)

pytestmark = pytest.mark.django_db

ONE_TIME = {"kind": "one_time", "price_minor": 500}
BY_CALL = {"kind": "pay_per_use", "price_minor": 2, "included_units": 5}


def test_a_repository_is_sold_as_long_as_a_version_is_left() -> None:
    shop, clinic = make_company("shop"), make_company("clinic")
    give_credits(clinic, 5000)
    version = make_version(shop)
    plan = plan_of(make_listing(shop, version.repo, ONE_TIME, title="Wine"))
    standing.yank(shop.actor, version, reason="A leak.")
    with pytest.raises(Conflict, match="withdrawn"):
        orders.place_order(clinic.actor, buyer_namespace="clinic", **agreed(plan), key="first")
    assert Order.objects.count() == 0
    publish_version(shop.actor, version.repo, "main", name="2.0", licence="mit")
    orders.place_order(clinic.actor, buyer_namespace="clinic", **agreed(plan), key="second")
    assert Order.objects.count() == 1


def test_a_withdrawn_version_is_neither_deployed_nor_sold_by_the_call() -> None:
    shop, clinic = make_company("shop"), make_company("clinic")
    give_credits(clinic, 5000)
    endpoint = make_endpoint(shop)
    plan = plan_of(make_listing(shop, endpoint, BY_CALL, title="Digits"))
    version = shop.namespace.repos.get(name="digits").versions.get()
    standing.yank(shop.actor, version, reason="A leak.")
    with pytest.raises(Conflict, match="A leak"):
        endpoints.deploy(shop.actor, namespace="shop", name="again", version_uuid=version.uuid)
    with pytest.raises(Conflict, match="can't be sold"):
        orders.place_order(clinic.actor, buyer_namespace="clinic", **agreed(plan), key="first")
    assert (Endpoint.objects.count(), Order.objects.count()) == (1, 0)
