"""What the site knows about recipes without any learning library."""

import importlib.util
import subprocess
import sys

import pytest

from backends.programs.catalogue import RECIPES, validate_parameters
from common.errors import Invalid
from tests.backends.programs.jobs import ROOT


def test_recipes_are_known_by_their_names_and_their_modules_exist():
    assert list(RECIPES) == [
        "tabular-train",
        "image-train",
        "quantize-int8",
        "convert-onnx",
        "convert-openvino",
        "evaluate",
    ]
    for recipe in RECIPES.values():
        assert importlib.util.find_spec(f"backends.programs.{recipe.module}") is not None


def test_catalogue_loads_without_any_numeric_library():
    heavy = "('numpy', 'torch', 'sklearn', 'pandas', 'onnx', 'onnxruntime', 'lightgbm', 'django')"
    script = f"import sys, backends.programs.catalogue\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_defaults_fill_what_is_not_given():
    values = validate_parameters(RECIPES["tabular-train"], {"target": "price"})
    assert values == {
        "target": "price",
        "task": "auto",
        "learner": "auto",
        "ignore": "",
        "test_fraction": 0.2,
        "file": "",
        "title": "",
        "license": "",
    }


def test_each_default_passes_its_own_check():
    for recipe in RECIPES.values():
        given = {parameter.name: "x" for parameter in recipe.parameters if parameter.default is None}
        values = validate_parameters(recipe, given)
        assert validate_parameters(recipe, values) == values


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("target", "", "This parameter is needed."),
        ("target", 7, "Must be text."),
        ("target", "a\x00b", "Must be plain text of at most 2000 characters."),
        ("target", "a" * 2001, "Must be plain text of at most 2000 characters."),
        ("learner", "magic", "Must be one of: auto, linear, lightgbm."),
        ("test_fraction", 0.9, "Must be between 0.05 and 0.5."),
        ("test_fraction", float("nan"), "Must be a number."),
        ("test_fraction", True, "Must be a number."),
        ("test_fraction", "0.2", "Must be a number."),
        ("code", "rm", "This recipe has no such parameter."),
    ],
)
def test_wrong_parameters_are_refused_by_name(name: str, value: object, reason: str):
    with pytest.raises(Invalid) as refusal:
        validate_parameters(RECIPES["tabular-train"], {"target": "price", name: value})
    assert refusal.value.fields == {"fields": {name: reason}}


@pytest.mark.parametrize("value", [3.5, 1e30, float("inf"), 0])
def test_whole_numbers_have_bounds(value: float):
    with pytest.raises(Invalid) as refusal:
        validate_parameters(RECIPES["image-train"], {"width": value})
    assert list(refusal.value.fields["fields"]) == ["width"]


def test_missing_needed_parameter_is_named():
    with pytest.raises(Invalid) as refusal:
        validate_parameters(RECIPES["tabular-train"], {})
    assert refusal.value.fields == {"fields": {"target": "This parameter is needed."}}
