"""Which ways of giving an input and of drawing an output fit a signature."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.work.tryit import form_of


def only(task="", **tensor):
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 3], **tensor}
    return form_of({"task": task, "inputs": [tensor]}).inputs[0]


def output(task="", **tensor):
    return form_of({"task": task, "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3], **tensor}]}).outputs[
        0
    ]


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        ({"columns": ["a", "b", "c"]}, "table"),
        ({"datatype": "BYTES", "shape": [-1, 1], "columns": ["town"]}, "table"),
        ({"columns": ["a", "b"]}, "json"),
        ({"datatype": "BYTES", "shape": [-1]}, "text"),
        ({"datatype": "INT64", "shape": [-1]}, "json"),
        ({"shape": [-1, 3, 8, 8]}, "json"),
        ({"shape": [-1, 3, 8, 8], "task": "image-classification"}, "image"),
        ({"shape": [1, 8, 8, 3], "datatype": "UINT8", "task": "object-detection"}, "image"),
        ({"shape": [-1, 1, 8, 8], "image": {"width": 8, "height": 8, "channels": 1, "scale": 1.0}}, "image"),
        ({"shape": [-1, 1, 8, 8], "image": {"width": 9, "height": 8, "channels": 1}}, "json"),
        ({"shape": [-1, -1], "task": "audio-classification"}, "audio"),
        ({"shape": [-1, 2, 800], "audio": {"sample_rate": 8000, "channels": 2}}, "audio"),
        ({"shape": [-1, 800], "audio": {"sample_rate": 8000, "channels": 2}}, "json"),
    ],
)
def test_input_is_given_as_fits(tensor, kind):
    assert only(**tensor).kind == kind


def test_picture_is_read_as_the_shape_says():
    seen = only("image-classification", shape=[-1, 24, 32, 3])
    assert seen.image.in_words == "32 × 24, RGB, channels last, values 0 to 1"
    assert (seen.image.layout, seen.image.scale) == ("NHWC", 1 / 255)
    grey = {"width": 8, "height": 8, "channels": 1, "scale": 16 / 255}
    assert only(shape=[-1, 1, 8, 8], image=grey).image.in_words == "8 × 8, grey, values 0 to 16"
    assert only("speech", shape=[-1, 8000]).audio.in_words == "16,000 samples a second, mono, cut or filled up to 0.5 s"


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        ({"classes": ["a", "b", "c"], "role": "probabilities"}, "classes"),
        ({"classes": ["a", "b", "c"]}, "classes"),
        ({"classes": ["a", "b"]}, "table"),
        ({"datatype": "BYTES", "shape": [-1], "classes": ["a"], "role": "label"}, "label"),
        ({"task": "object-detection", "name": "boxes", "shape": [-1, 4]}, "boxes"),
        ({"task": "object-detection", "name": "scores", "shape": [-1]}, "scores"),
        ({"role": "labels", "datatype": "INT64", "shape": [-1], "classes": ["cat"]}, "labels"),
        ({"datatype": "BYTES", "shape": [-1]}, "text"),
        ({"shape": [-1, 1]}, "table"),
        ({"shape": [-1, 8, 8]}, "json"),
    ],
)
def test_output_is_drawn_as_fits(tensor, kind):
    assert output(**tensor).kind == kind


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
tensor = st.fixed_dictionaries(
    {"name": st.just("x")},
    optional=dict.fromkeys(
        ("datatype", "shape", "columns", "image", "audio", "classes", "role", "box_format", "box_units"), json
    ),
)


@settings(max_examples=60, deadline=None)
@given(json | st.fixed_dictionaries({"task": json, "inputs": st.lists(tensor), "outputs": st.lists(tensor)}))
def test_any_signature_has_a_form(signature):
    form_of(signature).as_json()
