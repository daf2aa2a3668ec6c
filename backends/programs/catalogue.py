"""What a job can run: recipes, their parameters and inputs. Pure data, so the site can read it without any learning library."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from common.errors import Invalid

Value: TypeAlias = str | int | float | bool


class ParameterType(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Parameter:
    """One setting of a recipe. `default` None means that the caller must give it. `low` and `high` include themselves."""

    name: str
    type: ParameterType
    default: Value | None
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RecipeInput:
    """A version that the job reads. `kind` is the kind of its repository: dataset or model."""

    name: str
    kind: str
    required: bool = True
    help: str = ""
    needs_graph: bool = False
    """It is asked as `model.onnx`: of a version without one, its ONNX build is laid beside its files."""


@dataclass(frozen=True)
class Recipe:
    """`module` runs as `python -m backends.programs.<module>`. `produces` is model, build or report. `task` is the kind of
    work, for people to choose by."""

    name: str
    title: str
    module: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[RecipeInput, ...]
    produces: str
    task: str
    summary: str
    opens_foreign_code: bool = False
    """Its input may run code of whoever made it when it is opened: such a program runs isolated or not at all."""
    format: str = ""
    """Of the build that it makes, of the version that is its input `model`."""
    target: str = ""
    """What the build runs on."""


TOLERANCE = 1e-4
"""Goal for float32 exports and builds; measured differences lie between 1e-8 and 8e-5. Of a number, in units of its spread."""
MIN_COMPARED = 100
"""Real inputs that a comparison takes at least."""

# A string of a parameter ends up in JSON, a card and a log line; nobody needs more than this.
MAX_TEXT = 2_000

_TITLE = Parameter(
    "title", ParameterType.STRING, "", "Heading of the model card. Empty: made from the dataset's title."
)
_LICENCE = Parameter(
    "license", ParameterType.STRING, "", "Licence of the result, as an SPDX name. Empty: none is stated."
)
_TEST_FRACTION = Parameter(
    "test_fraction",
    ParameterType.NUMBER,
    0.2,
    "Part of the rows kept out of training and used for the final figures, where the dataset has no test split of its own.",
    low=0.05,
    high=0.5,
)
_FILE = Parameter("file", ParameterType.STRING, "", "Path of the table in the dataset, where it holds several.")

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="tabular-train",
            title="Train on a table",
            module="tabular_train",
            task="tabular",
            produces="model",
            summary="Chooses between a linear model and gradient-boosted trees by cross-validation and exports one graph.",
            inputs=(RecipeInput("data", "dataset", help="CSV, Parquet or JSON-lines with a column of answers."),),
            parameters=(
                Parameter("target", ParameterType.STRING, None, "Column to predict."),
                Parameter(
                    "task",
                    ParameterType.STRING,
                    "auto",
                    "What to learn. auto: classes for text and for few whole numbers, else a number.",
                    choices=("auto", "classification", "regression"),
                ),
                Parameter(
                    "learner",
                    ParameterType.STRING,
                    "auto",
                    "Family of models. auto: all of them, the best by cross-validation wins.",
                    choices=("auto", "linear", "lightgbm"),
                ),
                Parameter("ignore", ParameterType.STRING, "", "Columns to leave out, separated by commas."),
                _TEST_FRACTION,
                _FILE,
                _TITLE,
                _LICENCE,
            ),
        ),
        Recipe(
            name="image-train",
            title="Train an image classifier",
            module="image_train",
            task="image-classification",
            produces="model",
            summary="Trains a small residual network on labelled images and exports it.",
            inputs=(
                RecipeInput(
                    "data", "dataset", help="Images with labels.csv (file,label[,split]) or one folder per class."
                ),
            ),
            parameters=(
                Parameter(
                    "image_size",
                    ParameterType.INTEGER,
                    0,
                    "Side in pixels that images are scaled to. 0: as they are when all are alike and small, else 64.",
                    low=0,
                    high=224,
                ),
                Parameter("width", ParameterType.INTEGER, 24, "Channels of the first layer.", low=4, high=128),
                Parameter(
                    "epochs", ParameterType.INTEGER, 14, "Most passes over the training images.", low=1, high=500
                ),
                Parameter(
                    "augment",
                    ParameterType.STRING,
                    "auto",
                    "Variation of training images. auto: mirrored for larger colour images, none for small or grey ones, "
                    "where a mirrored digit or letter is another one.",
                    choices=("auto", "none", "flip"),
                ),
                _TEST_FRACTION,
                _TITLE,
                _LICENCE,
            ),
        ),
        Recipe(
            name="quantize-int8",
            title="Compress to int8",
            module="quantize_int8",
            task="compression",
            produces="model",
            summary="Stores weights and activations of a network in 8 bits and measures what that costs and gains.",
            inputs=(
                RecipeInput(
                    "model",
                    "model",
                    needs_graph=True,
                    help="A version with model.onnx and signature.json, or with an ONNX build.",
                ),
                RecipeInput("data", "dataset", help="The dataset it was trained on, for calibration and comparison."),
            ),
            parameters=(
                Parameter(
                    "calibration_rows",
                    ParameterType.INTEGER,
                    256,
                    "Training examples to calibrate with.",
                    low=16,
                    high=4096,
                ),
                Parameter(
                    "max_accuracy_loss",
                    ParameterType.NUMBER,
                    0.02,
                    "The job fails when the result loses more than this part of the accuracy.",
                    low=0,
                    high=1,
                ),
                Parameter("latency_runs", ParameterType.INTEGER, 300, "Timed calls of each.", low=20, high=10_000),
                _TITLE,
                _LICENCE,
            ),
        ),
        Recipe(
            name="convert-onnx",
            title="Convert to ONNX",
            module="convert_onnx",
            task="conversion",
            produces="build",
            format="onnx",
            target="any processor",
            summary="Turns a model of scikit-learn, LightGBM, XGBoost, PyTorch or Keras into one ONNX graph and proves that it answers alike.",
            opens_foreign_code=True,
            inputs=(
                RecipeInput(
                    "model",
                    "model",
                    help="A version with one .joblib or .pkl (scikit-learn, LightGBM, XGBoost), .txt or .lgb (LightGBM), .ubj (XGBoost), .pt2 "
                    "(torch.export) or .keras file.",
                ),
                RecipeInput(
                    "data", "dataset", help="Rows to compare the two on: at least 100, best those it was tested on."
                ),
            ),
            parameters=(
                Parameter(
                    "file", ParameterType.STRING, "", "Path of the model in its version, where that holds several."
                ),
                Parameter(
                    "target",
                    ParameterType.STRING,
                    "",
                    "Column of the answers. Needed where the version has no training.json that names it.",
                ),
                Parameter(
                    "table", ParameterType.STRING, "", "Path of the table in the dataset, where it holds several."
                ),
            ),
        ),
        Recipe(
            name="convert-openvino",
            title="Build for OpenVINO",
            module="convert_openvino",
            task="conversion",
            produces="build",
            format="openvino",
            target="Intel processors",
            summary="Turns a version's ONNX graph into OpenVINO's format, for Intel processors, and proves that it answers alike.",
            inputs=(
                RecipeInput(
                    "model",
                    "model",
                    needs_graph=True,
                    help="A version with model.onnx and signature.json, or with an ONNX build.",
                ),
                RecipeInput(
                    "data", "dataset", help="Rows to compare the two on: at least 100, best those it was tested on."
                ),
            ),
            parameters=(
                Parameter(
                    "target",
                    ParameterType.STRING,
                    "",
                    "Column of the answers. Needed where the version has no training.json that names it.",
                ),
            ),
        ),
        Recipe(
            name="evaluate",
            title="Evaluate a model",
            module="evaluate",
            task="evaluation",
            produces="report",
            summary="Measures a model on a dataset: metrics with 95 % intervals, confusion, results per class.",
            inputs=(
                RecipeInput(
                    "model",
                    "model",
                    needs_graph=True,
                    help="A version with model.onnx and signature.json, or with an ONNX build.",
                ),
                RecipeInput("data", "dataset", help="A dataset with the columns or images that the model takes."),
            ),
            parameters=(
                Parameter(
                    "rows",
                    ParameterType.STRING,
                    "auto",
                    "auto: only rows the model was not trained on, where that is known. all: every row.",
                    choices=("auto", "all"),
                ),
                Parameter(
                    "target",
                    ParameterType.STRING,
                    "",
                    "Column of the answers. Empty: the one the model was trained for.",
                ),
                _FILE,
                _TITLE,
            ),
        ),
    )
}


def validate_parameters(recipe: Recipe, given: dict[str, object]) -> dict[str, Value]:
    """Every parameter of `recipe` with its value or default. Raises `Invalid` whose fields say, per parameter, what is wrong."""
    known = {parameter.name: parameter for parameter in recipe.parameters}
    problems: dict[str, str] = {name: "This recipe has no such parameter." for name in given if name not in known}
    values: dict[str, Value] = {}
    for parameter in recipe.parameters:
        raw = given.get(parameter.name, parameter.default)
        if raw is None or (parameter.default is None and raw == ""):
            problems[parameter.name] = "This parameter is needed."
            continue
        try:
            values[parameter.name] = _checked(parameter, raw)
        except (TypeError, ValueError) as error:
            problems[parameter.name] = str(error)
    if problems:
        raise Invalid(f"The parameters of «{recipe.title}» are not right.", fields=problems)
    return values


def _checked(parameter: Parameter, raw: object) -> Value:
    match parameter.type:
        case ParameterType.STRING:
            return _checked_text(parameter, raw)
        case ParameterType.BOOLEAN:
            if not isinstance(raw, bool):
                raise TypeError("Must be true or false.")
            return raw
        case ParameterType.INTEGER | ParameterType.NUMBER:
            return _checked_number(parameter, raw)


def _checked_text(parameter: Parameter, raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError("Must be text.")
    if len(raw) > MAX_TEXT or "\x00" in raw:
        raise ValueError(f"Must be plain text of at most {MAX_TEXT} characters.")
    if parameter.choices and raw not in parameter.choices:
        raise ValueError(f"Must be one of: {', '.join(parameter.choices)}.")
    return raw


def _checked_number(parameter: Parameter, raw: object) -> int | float:
    # bool is an int in Python; `true` for a number is a mistake of the caller.
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError("Must be a number.")
    if parameter.type is ParameterType.INTEGER and raw != int(raw):
        raise ValueError("Must be a whole number.")
    if (parameter.low is not None and raw < parameter.low) or (parameter.high is not None and raw > parameter.high):
        raise ValueError(f"Must be between {parameter.low:g} and {parameter.high:g}.")
    return int(raw) if parameter.type is ParameterType.INTEGER else float(raw)
