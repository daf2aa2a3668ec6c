"""From an uploaded file to money: upload, listing, purchase, call, usage, ledger, refund. Every amount is exact."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
from huggingface_hub import HfApi
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import InferenceServerException

from tests.support.api import Person
from tests.support.inference import eventually
from tests.support.site import LiveSite

WEIGHTS = np.array([[1, 0], [0, 1], [2, 0], [0, -1]], "f4")
BIAS = np.array([0.5, -0.5], "f4")
ROWS = np.array([[1, 2, 3, 4], [0, 0, 0, 0]], "f4")
ANSWERS = np.array([[7.5, -2.5], [0.5, -0.5]], "f4")
PRICE, CALLS, WALLET = 7, 20, 1_000
"""Minor units a call, calls bought, minor units at the beginning. The platform keeps a tenth."""
CARD = "---\nlicense: mit\npipeline_tag: tabular-regression\n---\n# Sums\nTwo weighted sums of four numbers.\n"

# What an operator sees in the database of the site.
LOOK = """
import json
from compute.models import Endpoint
from market.models import LedgerTransaction, Order
from market.services.ledger import verify_ledger
from metering.models import UsageRecord
endpoint = Endpoint.objects.get(slug='{slug}')
records = UsageRecord.objects.filter(subject=endpoint.uuid)
order = Order.objects.get(uuid='{order}')
print(json.dumps(dict(
    records=records.count(),
    calls=sum(records.values_list('quantity', flat=True)),
    payers=sorted({{str(payer) for payer in records.values_list('payer', flat=True)}}) == [str(order.buyer.uuid)],
    kinds=[row.kind for row in LedgerTransaction.objects.filter(order=order).order_by('pk')],
    faults=list(map(str, verify_ledger().faults)),
)))
"""
RECORDS = """
import json
from compute.models import Endpoint
from metering.models import UsageRecord
records = UsageRecord.objects.filter(subject=Endpoint.objects.get(slug='{slug}').uuid).order_by('occurred_at')
print(json.dumps(dict(
    units=list(records.values_list('units', flat=True)),
    versions=sorted({{str(each) for each in records.values_list('version', flat=True)}}),
)))
"""
BILL_NOW = "from work.door import enqueue; enqueue('market.bill_usage'); print(1)"
"""The scheduler asks for this every minute."""


def sums() -> bytes:
    """FP32 [-1, 4] `x` -> FP32 [-1, 2] `y`."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


HELP = {"support_contact": "help@example.org", "example_input": "{}"}


@pytest.fixture
def seller(live_site: LiveSite) -> Person:
    return Person(live_site, live_site.user(f"sums-{secrets.token_hex(3)}"))


@pytest.fixture
def buyer(live_site: LiveSite) -> Person:
    return Person(live_site, live_site.user(f"pays-{secrets.token_hex(3)}"))


def uploaded(seller: Person, folder: Path) -> str:
    """The uuid of a published version."""
    hub = HfApi(endpoint=seller.site.url, token=seller.token)
    repo = f"{seller.name}/sums"
    hub.create_repo(repo, private=True)
    (folder / "README.md").write_text(CARD)
    (folder / "model.onnx").write_bytes(sums())
    oid = hub.upload_folder(repo_id=repo, folder_path=folder, commit_message="The model").oid
    version = seller.post(f"repos/model/{repo}/versions", {"name": "1.0"})
    assert version["commit"] == oid
    return version["uuid"]


def deployed(seller: Person, version: str) -> dict:
    made = seller.post("endpoints", {"namespace": seller.name, "name": "sums", "version": version})
    assert made["state"] == "deploying"

    def ready() -> dict | None:
        now = seller.get(f"endpoints/{seller.name}/sums")
        assert now["state"] in {"deploying", "ready"}, now["problem"]
        return now if now["state"] == "ready" else None

    return eventually(ready, what="the endpoint is ready")


def listed(seller: Person, endpoint: dict, **changes: object) -> dict:
    """The plan that is for sale."""
    place = f"listings/{seller.name}/weighted-sums"
    offered = {"namespace": seller.name, "subject_kind": "endpoint", "subject_uuid": endpoint["uuid"]}
    seller.post("listings", {**offered, "title": "Weighted sums", "category": "sums", "tags": ["numbers"], **HELP})
    plan = {"kind": "pay_per_use", "price_minor": PRICE, "unit_size": 1, "included_units": 0} | changes
    made = seller.post(f"{place}/plans", plan)
    eventually(lambda: seller.get(f"{place}/readiness")["is_ready"] or None, what="the listing is ready")
    assert seller.post(f"{place}/publication")["state"] == "published"
    return made


def caller_of(buyer: Person, slug: str) -> Callable[..., np.ndarray]:
    client = triton.InferenceServerClient(buyer.site.inference_url.removeprefix("http://"))
    headers = buyer.bearer

    def call(rows: np.ndarray = ROWS) -> np.ndarray:
        given = triton.InferInput("x", list(rows.shape), "FP32")
        given.set_data_from_numpy(rows)
        return client.infer(slug, [given], headers=headers).as_numpy("y")

    return call


def refusal(call: Callable[[], np.ndarray]) -> str:
    """Why a call is refused now; "" when it is answered, and rightly."""
    try:
        np.testing.assert_array_equal(call(), ANSWERS)
    except InferenceServerException as error:
        return error.status()
    return ""


def money(person: Person) -> tuple[int, int, int]:
    """(wallet, held, earnings) in minor units."""
    rows = {row["currency"]: row for row in person.get(f"namespaces/{person.name}/wallet")["balances"]}
    row = rows.get("CRD", dict.fromkeys(("wallet_minor", "held_minor", "earnings_minor"), 0))
    return row["wallet_minor"], row["held_minor"], row["earnings_minor"]


def moved(person: Person, account: str) -> list[int]:
    """Every movement, oldest first."""
    page = person.get(f"namespaces/{person.name}/statement?account={account}")
    return [row["amount_minor"] for row in page["items"]][::-1]


def fee(charged: int) -> int:
    """A tenth, to the nearest minor unit, halves to the seller."""
    return (charged * 10 * 2 + 99) // 200


def test_a_model_is_uploaded_sold_by_the_call_used_paid_for_and_refunded(live_site, seller, buyer, tmp_path) -> None:
    endpoint = deployed(seller, uploaded(seller, tmp_path))
    slug = endpoint["slug"]
    plan = listed(seller, endpoint)
    live_site.manage("add_credits", buyer.name, "10.00", "CRD")
    assert money(buyer) == (WALLET, 0, 0)

    shown = buyer.get("listings?search=weighted&category=sums")["items"]
    [found] = [each for each in shown if each["seller"] == seller.name]
    assert [each["uuid"] for each in found["plans"]] == [plan["uuid"]]
    call = caller_of(buyer, slug)
    eventually(lambda: refusal(call) == "404", limit_s=10, what="what was not bought is not there")

    terms = buyer.get(f"plans/{plan['uuid']}/quote?buyer={buyer.name}&quantity={CALLS}")["terms_digest"]
    wanted = {"buyer": buyer.name, "plan": plan["uuid"], "quantity": CALLS, "accept_terms": terms}
    order = buyer.post("orders", wanted, key="my-sums")
    again = buyer.post("orders", wanted, key="my-sums")
    assert (order["state"], order["total_minor"], again["uuid"]) == ("fulfilled", PRICE * CALLS, order["uuid"])
    assert money(buyer) == (WALLET - 140, 140, 0)
    assert money(seller) == (0, 0, 0)

    eventually(lambda: refusal(call) == "", limit_s=10, what="what was bought can be called")
    for _ in range(7):
        np.testing.assert_array_equal(call(), ANSWERS)
    usage = f"endpoints/{seller.name}/sums/usage"
    eventually(lambda: seller.get(usage)["total"] == 8, what="eight calls are recorded")
    [access] = buyer.get(f"namespaces/{buyer.name}/access")["items"]
    assert (access["used_units"], access["left_units"], access["charged_minor"]) == (8, 12, 8 * PRICE)

    live_site.manage("shell", "--no-imports", "-c", BILL_NOW)
    eventually(lambda: money(seller)[2], what="the calls are billed")
    assert money(seller) == (0, 0, 56 - fee(56)) == (0, 0, 50)
    assert money(buyer) == (WALLET - 140, 84, 0)

    # a slice of the budget is with the inference process when the order is undone
    assert refusal(call) == ""
    undone = buyer.post(f"orders/{order['uuid']}/refund", {"reason": "I can add by myself"}, key="no-sums")
    since = time.monotonic()
    assert undone["state"] in {"refunding", "refunded"}
    late = 0
    while (reason := refusal(call)) == "":
        late += 1
        assert time.monotonic() - since < 5
        time.sleep(0.1)  # slowly, so that something of the order is left to refund
    assert time.monotonic() - since < 2
    # at first because its budget is closed, then because the buyer has no right to know of it any more; never served between
    reasons = [reason]
    eventually(
        lambda: reasons.append(refusal(call)) or reasons[-1] == "404", limit_s=10, what="it is not there any more"
    )
    assert set(reasons) <= {"402", "404"}
    served = 9 + late

    eventually(lambda: seller.get(usage)["total"] == served, what="every served call is recorded")

    def refunded() -> dict | None:
        now = buyer.get(f"orders/{order['uuid']}")
        return now if now["state"] == "refunded" else None

    time_left = time.monotonic() + 30
    while not (closed := refunded()):
        assert time.monotonic() < time_left
        live_site.manage("shell", "--no-imports", "-c", BILL_NOW)
    charged = served * PRICE
    assert closed["refunded_minor"] == 140 - charged
    assert money(buyer) == (WALLET - charged, 0, 0)
    assert money(seller) == (0, 0, charged - fee(charged))
    assert moved(buyer, "wallet") == [WALLET, -140, 140 - charged]
    assert sum(moved(seller, "earnings")) == charged - fee(charged)
    assert buyer.get(f"namespaces/{buyer.name}/access")["items"] == []
    assert buyer.post(f"orders/{order['uuid']}/refund", {"reason": "I can add by myself"}, key="no-sums")["uuid"]
    assert buyer.ask("POST", f"orders/{order['uuid']}/refund", {}, key="again")[0] == 409
    assert money(buyer) == (WALLET - charged, 0, 0)

    seen = live_site.manage("shell", "--no-imports", "-c", LOOK.format(slug=slug, order=order["uuid"]))
    assert seen == {
        "records": served,
        "calls": served,
        "payers": True,
        "kinds": ["capture", "hold", "usage", "usage", "release"],
        "faults": [],
    }


def test_use_is_sold_by_rows_by_tokens_and_by_seconds(live_site, seller, buyer, tmp_path) -> None:
    endpoint = deployed(seller, uploaded(seller, tmp_path))
    place, here = f"listings/{seller.name}/weighted-sums", f"endpoints/{seller.name}/sums"
    for wrong in ({"unit": "tokens"}, {"unit": "tokens", "token_input": "z"}, {"unit": "rows", "token_input": "x"}):
        assert seller.ask("PATCH", here, wrong)[0] == 400
    by_rows = {"unit": "rows", "price_minor": 2, "unit_size": 1, "included_units": 5}
    seller.ask("PATCH", here, {"unit": "rows"})
    rows = listed(seller, endpoint, **by_rows)
    seller.ask("PATCH", here, {"unit": "tokens", "token_input": "x"})
    refused = seller.ask("POST", f"{place}/plans", {"kind": "pay_per_use"} | by_rows)
    assert (refused[0], "calls or tokens" in str(refused[1])) == (400, True)
    tokens = seller.post(f"{place}/plans", {"kind": "pay_per_use", "unit": "tokens", "price_minor": 50})
    seller.ask("PATCH", here, {"unit": "seconds"})
    seconds = seller.post(f"{place}/plans", {"kind": "pay_per_use", "unit": "seconds", "price_minor": 500})
    assert (tokens["unit_size"], seconds["unit_size"]) == (1000, 1000)
    live_site.manage("add_credits", buyer.name, "50.00", "CRD")
    call = caller_of(buyer, endpoint["slug"])

    def bought(plan: dict, quantity: int) -> dict:
        terms = buyer.get(f"plans/{plan['uuid']}/quote?buyer={buyer.name}&quantity={quantity}")["terms_digest"]
        wanted = {"buyer": buyer.name, "plan": plan["uuid"], "quantity": quantity, "accept_terms": terms}
        return buyer.post("orders", wanted, key=plan["uuid"])

    def used(order: dict) -> tuple[int, int, int]:
        found = {each["order"]: each for each in buyer.get(f"namespaces/{buyer.name}/access")["items"]}
        access = found[order["uuid"]]
        return access["used_units"], access["left_units"], access["charged_minor"]

    def answered(count: int) -> bool:
        try:
            return call(np.zeros((count, 4), "f4")).shape == (count, 2)
        except InferenceServerException:
            return False

    first = bought(rows, 30)
    eventually(lambda: answered(7), limit_s=10, what="what was bought can be called")
    assert answered(20)
    with pytest.raises(InferenceServerException, match="This call takes 9 rows, and fewer are left"):
        call(np.zeros((9, 4), "f4"))
    assert answered(8)
    eventually(lambda: used(first) == (35, 0, 60), what="27 and 8 rows are recorded, five of them free")

    second = bought(tokens, 1)
    eventually(lambda: answered(25), limit_s=10, what="tokens are drawn when rows are used up")
    eventually(lambda: used(second) == (100, 900, 5), what="25 rows of 4 elements are 100 tokens")
    third = bought(seconds, 1)
    assert answered(225)
    eventually(lambda: used(second) == (1000, 0, 50), what="the rest of the tokens")
    began = time.monotonic()
    eventually(lambda: answered(3), limit_s=10, what="seconds are drawn when tokens are used up")
    took_ms = (time.monotonic() - began) * 1000
    spent, left, charged = eventually(lambda: used(third) if used(third)[0] else None, what="milliseconds are recorded")
    assert 1 <= spent <= took_ms
    assert (spent + left, charged) == (1000, spent * 500 // 1000)
    [said] = [each for each in buyer.get(f"namespaces/{buyer.name}/access")["items"] if each["order"] == third["uuid"]]
    assert (said["next_call_price"]["unit"], said["next_call_price"]["amount"]) == ("seconds", "5.00")

    live_site.manage("shell", "--no-imports", "-c", BILL_NOW)
    eventually(lambda: money(seller)[2], what="the use is billed")
    assert seller.get(f"{here}/usage")["total"] == 6
    records = live_site.manage("shell", "--no-imports", "-c", RECORDS.format(slug=endpoint["slug"]))
    assert records["versions"] == [endpoint["version"]]
    assert records["units"][:5] == [7, 20, 8, 100, 900]
