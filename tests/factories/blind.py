"""A seller's model and a buyer's test set, and one evaluation of the one on the other."""

import json
from typing import Any
from uuid import UUID

from common.ids import new_uuid
from market.models import BlindEvaluation, Certificate, Listing
from market.services import blind, blind_runs, certificates
from market.states import EvaluationState
from registry.models import Version
from registry.services import scans, storage
from registry.services.commits import AddFile, create_commit
from registry.services.repos import create_repo
from registry.services.versions import publish_version
from tests.factories.graphs import linear_model
from tests.factories.market import CARD, Party, make_listing

SIGNATURE = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2], "columns": ["a", "b"]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["cat", "dog"]}],
}
WRONG = 6
"""Rows of `rows_of` that the model gets wrong, at most."""


def rows_of(count: int = 60, *, wrong: int = WRONG) -> bytes:
    """A table of which the model of `make_closed_model` gets all but `wrong` rows right; no two rows are alike."""
    lines = ["a,b,animal"]
    for number in range(count):
        is_dog = number % 2
        said = is_dog if number >= wrong else 1 - is_dog
        lines.append(f"{number}.5,{(1 if said else -1) * (number + 1)},{'dog' if is_dog else 'cat'}")
    return "\n".join(lines).encode()


def make_closed_model(seller: Party, name: str = "animals", *, title: str = "Animals") -> Listing:
    """A published listing of a private model that says dog where b is positive."""
    repo = create_repo(seller.actor, "model", seller.name, name)
    files = {
        "README.md": CARD.encode(),
        "model.onnx": linear_model([[0, 0], [0, 1]], [0, 0], input_name="features"),
        "signature.json": json.dumps(SIGNATURE).encode(),
        "training.json": json.dumps({"target": "animal"}).encode(),
    }
    made = [AddFile(path, storage.store_blob([data])) for path, data in files.items()]
    commit = create_commit(seller.actor, repo, "main", made, summary="Add the model")
    version = publish_version(seller.actor, repo, commit.oid, name="1.0", licence="mit")
    scans.scan_version(version.pk)
    return make_listing(seller, repo, {"kind": "one_time", "price_minor": 500, "currency": "CRD"}, title=title)


def make_test_set(buyer: Party, content: bytes | None = None, name: str = "held-out") -> Version:
    """A private dataset of the buyer's with one table."""
    repo = create_repo(buyer.actor, "dataset", buyer.name, name)
    operation = AddFile("test.csv", storage.store_blob([content or rows_of()]))
    commit = create_commit(buyer.actor, repo, "main", [operation], summary="Add the rows")
    return publish_version(buyer.actor, repo, commit.oid, name="1.0")


def ask(buyer: Party, listing: Listing, data: Version | UUID, **changes: Any) -> BlindEvaluation:
    uuid = data.uuid if isinstance(data, Version) else data
    given = {"buyer": buyer.name, "data_uuid": uuid, "metric": "accuracy", **changes}
    return blind.ask_for_evaluation(buyer.actor, listing, **given)


def make_waiting(buyer: Party, listing: Listing, **changes: Any) -> BlindEvaluation:
    """A row that waits, of no version that is there."""
    return BlindEvaluation.objects.create(
        **{
            "listing": listing,
            "buyer": buyer.namespace,
            "model_uuid": new_uuid(),
            "model_name": "1.0",
            "data_uuid": new_uuid(),
            "data_title": f"{buyer.name}/held-out@1.0",
            "metric": "accuracy",
            "created_by": buyer.user,
            **changes,
        }
    )


def make_evaluated(buyer: Party, listing: Listing, **changes: Any) -> Certificate:
    """A finished evaluation with its certificate, without the sandbox."""
    row = make_waiting(buyer, listing, **{"state": EvaluationState.RUNNING, "attempts": 1, **changes})
    score = blind_runs.Score(
        "", 0.9, 0.8, 0.95, 60, [{"class": "cat", "rows": 30, "precision": 0.9, "recall": 0.9, "f1": 0.9}]
    )
    about = {"version": str(row.model_uuid), "name": row.model_name, "digest": f"sha256:{1:064x}"}
    blind_runs._succeed(row.pk, row.attempts, score, about, {"digest": f"sha256:{2:064x}"})
    assert certificates.current_key()
    return Certificate.objects.select_related("evaluation", "key").get(evaluation=row)
