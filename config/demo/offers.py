"""What is trained from the data sets, served and sold, at which price, and how often it is called."""

from dataclasses import dataclass
from typing import Any

from config.demo import data
from market.states import PlanKind


@dataclass(frozen=True)
class Model:
    """A model of the demonstration: trained on `dataset` by `recipe`, published as `name`, served under the same name."""

    name: str
    title: str
    summary: str
    dataset: str
    recipe: str
    parameters: dict[str, Any]
    task: str
    tags: tuple[str, ...]
    plan: dict[str, Any]
    """What a call costs: the arguments of `add_plan`."""
    packs: int
    calls: int


MODELS = (
    Model(
        name="digit-reader",
        title="Digit reader",
        summary="Reads a handwritten digit from an 8×8 image: a small residual network, trained and measured here.",
        dataset="handwritten-digits",
        recipe="image-train",
        parameters={"title": "Digit reader", "license": "cc-by-4.0"},
        task="image-classification",
        tags=("digits", "images", "onnx"),
        plan={"kind": PlanKind.PAY_PER_USE, "price_minor": 500, "unit_size": 1000},
        packs=1,
        calls=240,
    ),
    Model(
        name="cell-classifier",
        title="Cell classifier",
        summary="Tells malignant from benign cell nuclei by thirty measures. A demonstration, not for use on patients.",
        dataset="breast-cancer-wisconsin",
        recipe="tabular-train",
        parameters={"target": "diagnosis", "title": "Cell classifier", "license": "cc-by-4.0"},
        task="tabular-classification",
        tags=("medicine", "onnx", "tabular"),
        plan={"kind": PlanKind.PAY_PER_USE, "price_minor": 2},
        packs=500,
        calls=120,
    ),
    Model(
        name="wine-classifier",
        title="Wine classifier",
        summary="Names the grower of a wine from its chemical analysis.",
        dataset="wine-recognition",
        recipe="tabular-train",
        parameters={"target": "cultivar", "title": "Wine classifier", "license": "cc-by-4.0"},
        task="tabular-classification",
        tags=("chemistry", "onnx", "tabular"),
        plan={"kind": PlanKind.FREE},
        packs=1,
        calls=60,
    ),
)


def questions_for(model: Model, signature: dict[str, Any]) -> tuple[list[dict[str, list[Any]]], list[str]]:
    """As many real rows as `model.calls`, each as input name -> flat values, and their true classes."""
    if model.recipe == "image-train":
        (entry,) = signature["inputs"]
        images, labels = data.digits()
        pixels = images[: model.calls].reshape(model.calls, -1) * entry["image"]["scale"]
        return [{entry["name"]: row.tolist()} for row in pixels], labels[: model.calls]
    target = model.parameters["target"]
    frame = {"diagnosis": data.cells, "cultivar": data.wines}[target]()
    # One grower after the other, one diagnosis after the other: mixed, the calls look like life.
    frame = frame.sample(n=model.calls, random_state=0)
    rows = [
        {entry["name"]: [row[column] for column in entry["columns"]] for entry in signature["inputs"]}
        for row in frame.to_dict(orient="records")
    ]
    return rows, frame[target].tolist()
