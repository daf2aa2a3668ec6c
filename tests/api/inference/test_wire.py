import json
import struct

import numpy as np
import orjson
import pytest

from api.inference.wire import parse, render
from backends.engines.tensors import ModelSpec, TensorSpec
from common.errors import Invalid

PAIR = ModelSpec((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))


def spec(datatype: str, shape: tuple[int, ...] = (-1, 2)) -> ModelSpec:
    return ModelSpec((TensorSpec("x", datatype, shape),), (TensorSpec("y", datatype, shape),))


def body(data, shape=(1, 2), datatype="FP32", **more) -> bytes:
    document = {"inputs": [{"name": "x", "shape": list(shape), "datatype": datatype, "data": data}], **more}
    return json.dumps(document).encode()


def binary(raw: bytes, shape=(1, 2), datatype="FP32", size=None, **more) -> tuple[bytes, bytes]:
    parameters = {"binary_data_size": len(raw) if size is None else size}
    document = {"inputs": [{"name": "x", "shape": list(shape), "datatype": datatype, "parameters": parameters}], **more}
    head = orjson.dumps(document)
    return head + raw, str(len(head)).encode()


@pytest.mark.parametrize("data", [[1.5, 2], [[1.5, 2]]])
def test_flat_and_nested_lists_mean_the_same(data):
    request = parse(body(data), None, PAIR)
    np.testing.assert_array_equal(request.feeds["x"], np.array([[1.5, 2.0]], "f4"))
    assert request.feeds["x"].dtype == np.float32
    assert (request.outputs, request.binary, request.id) == (("y",), (False,), None)


@pytest.mark.parametrize(
    ("datatype", "data", "numpy_type"),
    [
        ("BOOL", [True, False], np.bool_),
        ("UINT8", [0, 255], np.uint8),
        ("INT8", [-128, 127], np.int8),
        ("UINT16", [0, 65535], np.uint16),
        ("INT64", [-(2**63), 2**63 - 1], np.int64),
        ("UINT64", [0, 2**64 - 1], np.uint64),
        ("FP16", [0.5, -2], np.float16),
        ("FP64", [1e300, 5], np.float64),
        ("BYTES", ["a", "€"], np.object_),
    ],
)
def test_each_datatype_arrives_exactly_from_json(datatype, data, numpy_type):
    array = parse(body(data, datatype=datatype), None, spec(datatype)).feeds["x"]
    assert array.dtype == numpy_type
    assert array.tolist() == [data]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP32", ["1", "2"]),
        ("FP32", [None, 1]),
        ("FP32", [True, 1]),
        ("FP32", [1e39, 1]),
        ("FP16", [70000, 1]),
        ("FP32", [{}, 1]),
        ("FP32", [1, [2]]),
        ("FP32", [[1, 2], [3]]),
        ("FP32", [[1], [2]]),
        ("FP32", [[[1, 2]]]),
        ("FP32", [1, 2, 3]),
        ("FP32", []),
        ("FP32", "12"),
        ("FP32", None),
        ("INT64", [1.0, 2]),
        ("INT64", [2**63, 1]),
        ("INT8", [128, 0]),
        ("UINT8", [-1, 0]),
        ("UINT64", [2**64, 0]),
        ("BOOL", [1, 0]),
        ("BYTES", [1, "a"]),
        ("BYTES", [None, "a"]),
    ],
)
def test_an_element_of_the_wrong_kind_is_refused(datatype, data):
    with pytest.raises(Invalid, match="x"):
        parse(body(data, datatype=datatype), None, spec(datatype))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"inputs": []}',
        b'{"inputs": {}}',
        b'{"inputs": [1]}',
        b'{"inputs": [{"name": 1}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [NaN, 1]}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, Infinity]}]}',
        b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": ' + b"[" * 900 + b"]" * 900 + b"}]}",
        b'{"inputs": [{"name": "x", "shape": ' + b"[" * 900 + b"]" * 900 + b', "datatype": "FP32", "data": [1, 2]}]}',
        b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": ' + b"[" * 900 + b"]" * 900 + b', "data": [1, 2]}]}',
        b'{"inputs": [{"name": "\xff", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}',
        b'{"inputs": [{"name": "\\ud800", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}',
    ],
)
def test_a_malformed_document_is_refused(raw):
    with pytest.raises(Invalid):
        parse(raw, None, PAIR)


@pytest.mark.parametrize(
    "shape", [[-1, 2], [0, 2], [1, 3], [2], [1, 2, 1], [1.0, 2], [True, 2], ["1", 2], [10**18, 2], None, 2, [[1], 2]]
)
def test_a_shape_that_does_not_fit_is_refused(shape):
    document = {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": [1, 2]}]}
    with pytest.raises(Invalid):
        parse(orjson.dumps(document), None, PAIR)


@pytest.mark.parametrize("datatype", ["FP64", "BF16", "float32", None, 7])
def test_another_datatype_is_refused(datatype):
    with pytest.raises(Invalid, match="takes FP32"):
        parse(body([1, 2], datatype=datatype), None, PAIR)


def test_unknown_missing_and_doubled_inputs_are_refused():
    one = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    for inputs, problem in (([{**one, "name": "z"}], "no input 'z'"), ([one, one], "twice")):
        with pytest.raises(Invalid, match=problem):
            parse(orjson.dumps({"inputs": inputs}), None, PAIR)
    two = ModelSpec((*PAIR.inputs, TensorSpec("w", "FP32", (1,))), PAIR.outputs)
    with pytest.raises(Invalid, match="missing: w"):
        parse(orjson.dumps({"inputs": [one]}), None, two)


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ([{"name": "z"}], "no output"),
        ([{"name": "y"}, {"name": "y"}], "twice"),
        ([{"name": "y", "parameters": {"binary_data": 1}}], "true or false"),
        ([{"name": "y", "parameters": {"classification": 3}}], "not offered"),
        ([{"name": "y", "parameters": {"shared_memory_region": "r"}}], "not offered"),
        ([{"name": "y", "parameters": 3}], "object"),
        (["y"], "object"),
        ({"name": "y"}, "list"),
    ],
)
def test_outputs_that_cannot_be_given_are_refused(outputs, problem):
    with pytest.raises(Invalid, match=problem):
        parse(body([1, 2], outputs=outputs), None, PAIR)


@pytest.mark.parametrize(
    ("own", "top", "expected"),
    [(None, None, False), (None, True, True), (False, True, False), (True, False, True), (True, None, True)],
)
def test_an_outputs_own_flag_wins_over_the_one_for_all(own, top, expected):
    output = {"name": "y"} if own is None else {"name": "y", "parameters": {"binary_data": own}}
    more = {} if top is None else {"parameters": {"binary_data_output": top, "custom": "passes through"}}
    assert parse(body([1, 2], outputs=[output], **more), None, PAIR).binary == (expected,)


def test_raw_tensors_are_read_little_endian_in_the_order_of_inputs():
    raw, length = binary(struct.pack("<2f", 1.5, -2))
    assert parse(raw, length, PAIR).feeds["x"].tolist() == [[1.5, -2.0]]


def test_raw_texts_and_truth_values():
    raw = b"".join(struct.pack("<I", len(text)) + text for text in (b"", "€".encode()))
    packed, length = binary(raw, datatype="BYTES")
    assert parse(packed, length, spec("BYTES")).feeds["x"].tolist() == [["", "€"]]
    packed, length = binary(b"\x01\x00", datatype="BOOL")
    assert parse(packed, length, spec("BOOL")).feeds["x"].tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("datatype", "raw", "size"),
    [
        ("FP32", b"\x00" * 7, None),
        ("FP32", b"\x00" * 9, None),
        ("FP32", b"\x00" * 8, 9),
        ("FP32", b"\x00" * 8, -1),
        ("FP32", b"\x00" * 8, 4),
        ("FP32", b"\x00" * 8, True),
        ("FP32", b"\x00" * 8, "8"),
        ("BOOL", b"\x02\x00", None),
        ("BYTES", b"\x01\x00\x00\x00a", None),
        ("BYTES", b"\xff\xff\xff\xffa\x00\x00\x00\x00", None),
        ("BYTES", struct.pack("<I", 1) + b"\xff" + struct.pack("<I", 0), None),
        ("BYTES", struct.pack("<I", 0) * 3, None),
    ],
)
def test_raw_bytes_that_do_not_fit_are_refused(datatype, raw, size):
    packed, length = binary(raw, datatype=datatype, size=size)
    with pytest.raises(Invalid):
        parse(packed, length, spec(datatype))


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"1e3", b"9" * 30, b"1000000"])
def test_a_bad_header_length_is_refused(length):
    raw, _ = binary(b"\x00" * 8)
    with pytest.raises(Invalid, match="Inference-Header-Content-Length"):
        parse(raw, length, PAIR)


def test_a_header_length_of_zero_means_the_one_input_raw():
    request = parse(struct.pack("<4f", 1, 2, 3, 4), b"0", PAIR)
    assert request.feeds["x"].tolist() == [[1, 2], [3, 4]]
    assert request.binary == (True,)
    for raw in (b"", b"\x00" * 7):
        with pytest.raises(Invalid, match="rows"):
            parse(raw, b"0", PAIR)


def test_a_reply_echoes_the_id_and_carries_what_the_clients_read():
    request = parse(body([1, 2], id="call-7"), None, PAIR)
    payload, length = render(request, [np.array([[0.1, 2]], "f4")], PAIR, model="m", version="3")
    assert length is None
    assert orjson.loads(payload) == {
        "model_name": "m",
        "model_version": "3",
        "id": "call-7",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.1, 2.0]}],
    }


def test_a_raw_reply_says_where_its_json_ends():
    request = parse(body([1, 2], parameters={"binary_data_output": True}), None, PAIR)
    array = np.array([[0.1, np.nan]], "f4")
    payload, length = render(request, [array], PAIR, model="m", version="3")
    assert orjson.loads(payload[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert payload[length:] == array.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_json_never_carries_what_is_not_a_number(bad):
    request = parse(body([1, 2]), None, PAIR)
    with pytest.raises(Invalid, match="binary_data"):
        render(request, [np.array([[bad, 1]], "f4")], PAIR, model="m", version="3")


@pytest.mark.parametrize("identifier", [7, "x" * 600, ["a"]])
def test_an_id_that_is_no_short_text_is_refused(identifier):
    with pytest.raises(Invalid, match="id"):
        parse(body([1, 2], id=identifier), None, PAIR)
