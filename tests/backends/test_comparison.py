"""What the comparing program says of weights and of answers, of ordinary files and of hostile ones."""

import contextlib
import io
import itertools
import json
import math
import struct

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save

from backends.comparison import asking, sandboxed, weights
from backends.comparison.tensorfiles import Unreadable, tensors_of
from backends.runners.process import ProcessRunner
from tests.factories.graphs import linear_model, picture_model, saved

NUMBER = itertools.count()
NUMBERS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=0, max_dims=3, max_side=4),
    elements=st.floats(-1e3, 1e3, width=32),
)
TENSORS = st.dictionaries(st.text("abc.", min_size=1, max_size=4), NUMBERS, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


def held(folder, content: bytes):
    path = folder / f"{next(NUMBER)}.bin"
    path.write_bytes(content)
    return tensors_of(path)


def initializers(values: dict[str, np.ndarray], *, is_raw: bool = True) -> bytes:
    made = [
        numpy_helper.from_array(value, name)
        if is_raw
        else helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape, value.ravel().tolist())
        for name, value in values.items()
    ]
    node = helper.make_node("Identity", ["in"], ["out"])
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("in", "out")]
    return saved(helper.make_graph([node], "held", info[:1], info[1:], made))


def read(tensor) -> np.ndarray:
    return tensor.read(0, tensor.count).reshape(tensor.shape)


@given(TENSORS)
def test_what_was_written_is_read_whatever_the_format(folder, values):
    for content in (save(values), initializers(values), initializers(values, is_raw=False)):
        found = {tensor.name: tensor for tensor in held(folder, content)}
        assert found.keys() == values.keys()
        for name, value in values.items():
            assert (found[name].dtype, found[name].shape) == ("F32", value.shape)
            np.testing.assert_array_equal(read(found[name]), value.astype(np.float64))


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f8"])
def test_every_plain_type_is_read(folder, kind):
    value = np.array([0, 1, 1, 0, 1], dtype=kind)
    for content in (save({"a": value}), initializers({"a": value})):
        (tensor,) = held(folder, content)
        assert read(tensor).tolist() == [0, 1, 1, 0, 1]
        assert tensor.family == ("float" if "f" in kind else "integer")


def test_brain_floats_are_read(folder):
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    data = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    (tensor,) = held(folder, struct.pack("<Q", len(header)) + header + data)
    assert read(tensor).tolist() == [1.5, -2.0]


def test_types_without_numbers_say_only_whether_they_differ(folder):
    def of(data: bytes):
        header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]}}).encode()
        return held(folder, struct.pack("<Q", len(header)) + header + data)

    (row,) = weights.compare(of(b"\x01\x02\x03"), of(b"\x01\x02\x04"))["tensors"]
    assert (row["changed"], row["l2"], row["cosine"]) == (1, None, None)


def test_constants_and_lists_of_numbers_count(folder):
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array([1.0, 2.0], np.float32), "")),
        helper.make_node("LinearRegressor", ["c"], ["y"], domain="ai.onnx.ml", coefficients=[3.0, 4.0, 5.0]),
    ]
    info = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [], [info]),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)],
        ir_version=8,
    )
    found = {tensor.name: read(tensor).tolist() for tensor in held(folder, model.SerializeToString())}
    assert found == {"c": [1.0, 2.0], "y.coefficients": [3.0, 4.0, 5.0]}


@given(TENSORS)
def test_a_build_is_at_no_distance_from_itself(folder, values):
    one = held(folder, save(values))
    found = weights.compare(one, one)
    assert (found["matched"], found["identical"], found["only_before"], found["only_after"]) == (
        len(values), len(values), [], [],
    )  # fmt: skip
    assert found["total"]["changed"] == 0
    assert found["total"]["relative"] == 0.0
    assert found["total"]["cosine"] is None or found["total"]["cosine"] == pytest.approx(1)


@given(NUMBERS, st.integers(1, 5))
def test_distance_is_that_of_the_textbook_however_it_is_cut(folder, value, piece):
    other = np.asarray(value * np.float32(0.5) + np.float32(1))
    weights.PIECE, before = piece, weights.PIECE
    try:
        (row,) = weights.compare(held(folder, save({"a": value})), held(folder, save({"a": other})))["tensors"]
    finally:
        weights.PIECE = before
    a, b = value.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    assert row["l2"] == pytest.approx(np.linalg.norm(b - a))
    assert row["changed"] == int((a != b).sum())
    if np.linalg.norm(a):
        assert row["relative"] == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a))
        assert row["cosine"] is None or row["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    else:
        assert row["relative"] in {None, 0.0}


def test_numbers_that_are_none_do_not_hide_the_others(folder):
    one, two = ({"a": np.array([np.nan, np.inf, 3, last], np.float32)} for last in (4, 0))
    (row,) = weights.compare(held(folder, save(one)), held(folder, save(two)))["tensors"]
    assert (row["changed"], row["l2"], row["relative"]) == (1, 4.0, 4 / 5)


def test_tensors_are_matched_by_name_then_in_the_order_of_their_shape(folder):
    def of(**shapes):
        return held(folder, initializers({name: np.ones(shape, np.float32) for name, shape in shapes.items()}))

    before = of(a=(2, 3), b=(4,), c=(4,), d=(5,))
    after = of(c=(4,), z=(2, 3), y=(4,), x=(7,))
    pairs, left, new = weights.match(before, after)
    assert [(one.name, two.name, how) for one, two, how in pairs] == [
        ("c", "c", "name"), ("a", "z", "shape"), ("b", "y", "shape"),
    ]  # fmt: skip
    assert ([each.name for each in left], [each.name for each in new]) == (["d"], ["x"])
    found = weights.compare(before, after)
    assert found["only_before"] == ["d (F32, 5)"]
    assert found["only_after"] == ["x (F32, 7)"]
    integers = held(folder, initializers({"a": np.ones((2, 3), np.int8)}))
    assert weights.compare(before, integers)["matched"] == 0


def test_what_differs_most_stands_first(folder):
    before = {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32), "c": np.zeros(3, np.float32)}
    after = {"a": before["a"] * 2, "b": before["b"] * 5, "c": np.ones(3, np.float32)}
    rows = weights.compare(held(folder, save(before)), held(folder, save(after)))["tensors"]
    assert [(row["name"], row["relative"]) for row in rows] == [("c", None), ("b", 4.0), ("a", 1.0)]


EXTERNAL = onnx.TensorProto(name="e", data_type=1, dims=[1], data_location=1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        b"\x80\x04\x95pickle",
        save({"a": np.ones(3, np.float32)})[:-1],
        struct.pack("<Q", 2**62) + b"{" + b" " * 50,
        linear_model([[1.0]], [0.0])[:-3],
        onnx.ModelProto(
            ir_version=8, opset_import=[helper.make_opsetid("", 17)], graph=onnx.GraphProto(initializer=[EXTERNAL])
        ).SerializeToString(),
        onnx.ModelProto(
            ir_version=8,
            opset_import=[helper.make_opsetid("", 17)],
            graph=onnx.GraphProto(initializer=[onnx.TensorProto(name="s", data_type=1, dims=[9], raw_data=b"1234")]),
        ).SerializeToString(),
    ],
)
def test_what_is_no_file_of_tensors_is_refused_in_words(folder, content):
    with pytest.raises(Unreadable, match=r"\.$"):
        held(folder, content)


@given(st.binary(max_size=300), st.integers(0, 250), st.binary(min_size=1, max_size=4))
def test_damaged_files_end_in_words_and_never_otherwise(folder, noise, at, patch):
    good = linear_model([[1.0, 2.0]], [0.0, 1.0])
    for content in (noise, good[: at % len(good)] + patch + good[at % len(good) + len(patch) :]):
        with contextlib.suppress(Unreadable):
            found = weights.compare(*[held(folder, content)] * 2)
            assert found["identical"] == found["matched"]


SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "columns": ["age", "size"]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["cat", "dog"]}],
}
MODEL = linear_model([[0.0, 1.0], [0.0, 0.0]], [0.0, 0.0])
TENSOR = {"form": "tensors", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}]}


def model_at(folder, content: bytes = MODEL):
    path = folder / "model.onnx"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def test_tensors_are_answered(tmp_path):
    found = asking.answers(model_at(tmp_path), SIGNATURE, TENSOR)
    (output,) = found["outputs"]
    assert output == {
        "name": "probabilities", "datatype": "FP32", "shape": [1, 2], "values": [0.5, 0.5], "is_cut": False,
    }  # fmt: skip
    assert (found["rows"], found["notes"]) == (1, [])


def test_the_only_input_may_have_another_name_and_type(tmp_path):
    given = {"form": "tensors", "inputs": [{"name": "y", "datatype": "INT64", "shape": [1, 2], "data": [1, 1]}]}
    found = asking.answers(model_at(tmp_path), SIGNATURE, given)
    assert found["outputs"][0]["values"][1] == pytest.approx(1 / (1 + math.exp(-1)))
    assert len(found["notes"]) == 2


def test_rows_are_read_by_the_names_of_their_columns(tmp_path):
    given = {"form": "rows", "columns": ["size", "other", "age"], "rows": [["7", "x", "0"], ["7", "y", "1"]]}
    values = asking.answers(model_at(tmp_path), SIGNATURE, given)["outputs"][0]["values"]
    assert values == pytest.approx([0.5, 0.5, 1 / (1 + math.e), math.e / (1 + math.e)])
    # without a signature a column has the name of an input
    single = linear_model([[0.0, 1.0]], [0.0, 0.0], input_name="age")
    one = {"form": "rows", "columns": ["age"], "rows": [["0"]]}
    assert asking.answers(model_at(tmp_path, single), {}, one)["outputs"][0]["values"] == [0.5, 0.5]


def test_a_picture_is_read_in_the_size_of_each_model(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (10, 20), (255, 0, 51)).save(buffer, "PNG")
    (tmp_path / "picture").write_bytes(buffer.getvalue())
    given = {"form": "picture", "path": str(tmp_path / "picture")}
    for side, image in ((4, {"width": 4, "height": 4, "channels": 3, "scale": 1 / 255}), (8, None)):
        signature = {"inputs": [{"name": "image", "image": image}]}
        found = asking.answers(model_at(tmp_path, picture_model(side)), signature, given)
        assert found["outputs"][0]["values"] == pytest.approx([1, 0, 0.2], abs=1e-6)
        assert found["notes"] == [f"The picture was read as {side} × {side}, colour."]


@pytest.mark.parametrize(
    ("content", "given", "why"),
    [
        (b"", TENSOR, "empty"),
        (b"no model", TENSOR, "It is not ONNX"),
        (MODEL, {"form": "tensors", "inputs": []}, "It needs x"),
        (MODEL, {"form": "tensors", "inputs": [TENSOR["inputs"][0] | {"data": ["a", "b"]}]}, "x takes numbers"),
        (MODEL, {"form": "tensors", "inputs": [TENSOR["inputs"][0] | {"data": [1]}]}, "its shape"),
        (MODEL, {"form": "tensors", "inputs": [TENSOR["inputs"][0] | {"shape": [2, 1]}]}, "does not take this input"),
        (MODEL, {"form": "rows", "columns": ["age"], "rows": [["1"]]}, "It needs size"),
        (MODEL, {"form": "rows", "columns": ["age", "size"], "rows": [["1", "big"]]}, "«big» is not a number"),
        (MODEL, {"form": "picture", "path": "/nowhere"}, "does not take pictures"),
        (picture_model(4), {"form": "picture", "path": "/nowhere"}, "not a readable PNG"),
    ],
)
def test_what_cannot_be_asked_says_why(tmp_path, content, given, why):
    with pytest.raises(Unreadable, match=why):
        asking.answers(model_at(tmp_path, content), SIGNATURE, given)


def test_calls_are_timed_with_the_example_or_with_ones(tmp_path):
    for signature in (SIGNATURE, SIGNATURE | {"example": {"inputs": TENSOR["inputs"]}}, {"example": {"inputs": 5}}):
        found = asking.speed(model_at(tmp_path), signature)
        assert 0 < found["p50_s"] <= found["p95_s"]
        assert found["calls"] >= 3


def placed(tmp_path, **contents: bytes):
    made = {}
    for name, content in contents.items():
        made[name] = tmp_path / name
        made[name].write_bytes(content)
        made[name].chmod(0o644)
    (tmp_path / "work").mkdir(mode=0o700)
    return ProcessRunner(tmp_path / "runs"), tmp_path / "work", made


def test_weights_are_compared_in_the_sandbox(tmp_path):
    runner, work, files = placed(tmp_path, a=MODEL, b=save({"w": np.array([[0, 2], [0, 0]], np.float32)}))
    found = sandboxed.weigh(runner, work, [files["a"]], [files["b"]], key="weigh")
    assert found["problem"] == ""
    (row,) = found["tensors"]
    assert (row["name"], row["l2"], row["relative"], row["changed"]) == ("w", 1.0, 1.0, 1)
    assert found["only_before"] == ["b (F32, 2)"]


def test_a_hostile_model_ends_in_words(tmp_path):
    runner, work, files = placed(tmp_path, a=b"\x08\x08" + b"\xff" * 100)
    assert sandboxed.answer(runner, work, files["a"], {}, TENSOR, None, key="ask")["problem"].startswith("It is not")


def test_models_are_asked_and_timed_in_the_sandbox(tmp_path):
    runner, work, files = placed(tmp_path, a=MODEL)
    found = sandboxed.answer(runner, work, files["a"], SIGNATURE, TENSOR, None, key="ask")
    assert found["outputs"][0]["values"] == [0.5, 0.5]
    (tmp_path / "other").mkdir()
    timed = sandboxed.time_calls(runner, tmp_path / "other", files["a"], SIGNATURE, key="time")
    assert (timed["problem"], timed["p50_s"] > 0) == ("", True)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"problem": 5},
        {"problem": "", "tensors": "x"},
        {"problem": "", "outputs": [{"name": 1}], "rows": 1, "notes": [], "run_s": 0},
        {"problem": "", "outputs": [], "rows": -1, "notes": [], "run_s": 0},
        {"problem": "", "outputs": [], "rows": 1, "notes": [], "run_s": math.inf},
        {"problem": "", "p50_s": "quick"},
    ],
)
def test_answer_of_a_program_that_was_taken_over_is_refused(answer):
    for check in (sandboxed._weights, sandboxed._answers, sandboxed._speed):
        assert sandboxed._checked(answer, check)["problem"]
