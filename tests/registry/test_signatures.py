"""Can a caller of one version call another? What is removed breaks, what is given besides does not."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.signatures import Compatibility, compatibility

NAMES = st.sampled_from(["a", "b", "c", "d"])
LABELS = st.lists(st.sampled_from(["cat", "dog", "cow", "hen"]), unique=True, max_size=4)
SHAPES = st.lists(st.sampled_from([-1, 1, 2, 3]), min_size=1, max_size=3)
TYPES = st.sampled_from(["FP32", "FP64", "INT64", "BYTES"])


@st.composite
def tensors(draw, *, kind: str):
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=3))
    return [
        {"name": name, "datatype": draw(TYPES), "shape": draw(SHAPES), kind: draw(LABELS) or None} for name in names
    ]


@st.composite
def signatures(draw):
    task = draw(st.sampled_from(["", "tabular-classification", "image-classification"]))
    return {"task": task, "inputs": draw(tensors(kind="columns")), "outputs": draw(tensors(kind="classes"))}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["task", "inputs", "outputs", "name", "shape", "datatype", "columns", "classes", "image"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(signatures())
def test_a_version_is_compatible_with_itself(signature):
    found = compatibility(signature, copy.deepcopy(signature))
    assert (found.compatibility, found.reasons, found.can_upgrade) == (Compatibility.SAME, (), True)


@given(signatures(), st.data())
def test_anything_removed_breaks(signature, data):
    after = copy.deepcopy(signature)
    part = data.draw(st.sampled_from(["inputs", "outputs"]))
    tensor = data.draw(st.sampled_from(after[part]))
    labels = "columns" if part == "inputs" else "classes"
    if tensor[labels] and data.draw(st.booleans()):
        tensor[labels].remove(data.draw(st.sampled_from(tensor[labels])))
    else:
        after[part].remove(tensor)
    found = compatibility(signature, after)
    if after["inputs"] or after["outputs"]:
        assert found.compatibility == Compatibility.BREAKING
        assert any(reason.is_breaking for reason in found.reasons)
    assert not found.can_upgrade


@given(signatures())
def test_what_is_given_besides_is_an_addition(signature):
    after = copy.deepcopy(signature)
    after["outputs"].append({"name": "more", "datatype": "FP32", "shape": [-1]})
    found = compatibility(signature, after)
    assert (found.compatibility, len(found.reasons)) == (Compatibility.ADDITIONS, 1)
    assert compatibility(after, signature).compatibility == Compatibility.BREAKING


@given(signatures())
def test_what_is_asked_for_besides_breaks(signature):
    after = copy.deepcopy(signature)
    after["inputs"].append({"name": "more", "datatype": "FP32", "shape": [-1]})
    assert compatibility(signature, after).compatibility == Compatibility.BREAKING


@given(signatures(), signatures(), signatures())
def test_steps_without_a_break_add_up_to_none(first, second, third):
    third |= {"task": first["task"]}
    second |= {"task": first["task"]}
    if compatibility(first, second).can_upgrade and compatibility(second, third).can_upgrade:
        assert compatibility(first, third).can_upgrade


@given(JSON, JSON)
def test_anything_can_be_asked(before, after):
    found = compatibility(before, after)
    assert (found.compatibility == Compatibility.SAME) == (not found.reasons)
    assert all(reason.text.endswith(".") for reason in found.reasons)


BASE = {
    "task": "tabular-classification",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "columns": ["age", "size"], "image": None}],
    "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1, 2], "classes": ["cat", "dog"]}],
}


def changed(part: str, **values):
    after = copy.deepcopy(BASE)
    after[part][0] |= values
    return after


@pytest.mark.parametrize(
    ("after", "verdict", "reason"),
    [
        (BASE | {"task": "tabular-regression"}, "breaking", "It does tabular-regression instead of tabular-classification."),
        (changed("inputs", datatype="FP64"), "breaking", "The input x is FP64 instead of FP32."),
        (changed("inputs", shape=[1, 2]), "breaking", "The input x has the shape 1 × 2 instead of any × 2."),
        (changed("inputs", shape=[-1, -1]), "compatible with additions", "The input x accepts more shapes: any × any."),
        (changed("inputs", columns=["size", "age"]), "breaking", "The columns of the input x stand in another order."),
        (
            changed("inputs", columns=["age", "size", "weight"], shape=[-1, 3]),
            "breaking",
            "The input x needs the new column weight.",
        ),
        (changed("outputs", classes=["dog", "cat"]), "breaking", "The classes of the output p stand in another order."),
        (
            changed("outputs", classes=["cat", "dog", "hen"], shape=[-1, 3]),
            "compatible with additions",
            "The output p knows a new class, hen.",
        ),
        (changed("outputs", shape=[-1, 3]), "breaking", "The output p has the shape any × 3 instead of any × 2."),
        (changed("outputs", shape=[1, 2]), "compatible with additions", "The output p has a fixed shape now: 1 × 2."),
        (changed("inputs", image={"width": 8}), "breaking", "The input x takes pictures of another size, colour or scale."),
        ({}, "unknown", "The version does not say what it takes and gives."),
    ],
)  # fmt: skip
def test_reasons_are_in_words(after, verdict, reason):
    found = compatibility(BASE, after)
    assert (found.compatibility, found.reasons[0].text) == (verdict, reason)
