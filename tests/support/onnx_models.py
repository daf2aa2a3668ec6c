"""Small ONNX graphs made on the spot, with exactly known answers or fixed random weights."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = [helper.make_opsetid("", 17)]


def _model(nodes, inputs, outputs, weights=()) -> bytes:
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in weights]
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=OPSET, ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def mlp(*, features: int = 30, hidden: int = 64, classes: int = 2, seed: int = 0) -> bytes:
    """FP32 [-1, features] `x` -> FP32 [-1, classes] `probabilities`."""
    random = np.random.default_rng(seed)
    weights = [
        ("w1", random.normal(0, 0.3, (features, hidden)).astype("f4")),
        ("b1", random.normal(0, 0.1, hidden).astype("f4")),
        ("w2", random.normal(0, 0.3, (hidden, classes)).astype("f4")),
        ("b2", random.normal(0, 0.1, classes).astype("f4")),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    return _model(
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        weights,
    )


def cnn(*, seed: int = 0) -> bytes:
    """About 2 MFLOP. FP32 [-1, 1, 28, 28] `image` -> FP32 [-1, 10] `scores`."""
    random = np.random.default_rng(seed)
    weights = [
        ("k1", random.normal(0, 0.2, (8, 1, 3, 3)).astype("f4")),
        ("k2", random.normal(0, 0.1, (16, 8, 3, 3)).astype("f4")),
        ("w", random.normal(0, 0.1, (16 * 7 * 7, 10)).astype("f4")),
        ("b", np.zeros(10, "f4")),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "k1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "k2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Flatten", ["r2"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["scores"]),
    ]
    return _model(
        nodes,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])],
        weights,
    )


def heavy(*, width: int = 512, layers: int = 6) -> bytes:
    """Some tenths of a millisecond or more a row. FP32 [-1, width] `x` -> FP32 [-1, width] `y`: all weights are the unit matrix,
    so y is x."""
    nodes = [helper.make_node("MatMul", [f"h{i}" if i else "x", "w"], [f"h{i + 1}"]) for i in range(layers)]
    nodes.append(helper.make_node("Identity", [f"h{layers}"], ["y"]))
    return _model(
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        [("w", np.eye(width, dtype="f4"))],
    )


def mixing() -> bytes:
    """Rows depend on each other: y = x − mean of x over the rows. Such a model must never be stacked."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    return _model(
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
    )


ECHOED = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}


def echo() -> bytes:
    """One input `<type>_in` [-1, 2] and one output `<type>_out` for every datatype: each output is its input."""
    return _model(
        [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in ECHOED],
        [helper.make_tensor_value_info(f"{name}_in", kind, ["n", 2]) for name, kind in ECHOED.items()],
        [helper.make_tensor_value_info(f"{name}_out", kind, ["n", 2]) for name, kind in ECHOED.items()],
    )


def picking() -> bytes:
    """FP32 [-1, 3] `x`, INT64 [-1] `rows` -> FP32 [-1, 3] `y`: the named rows of x; fails for a row that is not there."""
    return _model(
        [helper.make_node("Gather", ["x", "rows"], ["y"], axis=0)],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("rows", TensorProto.INT64, ["m"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", 3])],
    )


def dividing() -> bytes:
    """FP32 [-1] `x` -> FP32 [-1] `y` = 1 / x: infinite for 0."""
    return _model(
        [helper.make_node("Reciprocal", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )


def seeing() -> bytes:
    """FP32 [-1, 3, 8, 8] `image` -> FP32 [-1, 3] `colours` (the mean of each channel), and always the same two finds: FP32 [2, 4]
    `boxes`, FP32 [2] `scores`, INT64 [2] `labels`."""
    constants = {
        "boxes": np.array([[1, 1, 4, 6], [0, 0, 2, 2]], "f4"),
        "scores": np.array([0.9, 0.1], "f4"),
        "labels": np.array([1, 0]),
    }
    return _model(
        [
            helper.make_node("ReduceMean", ["image"], ["colours"], axes=[2, 3], keepdims=0),
            *(helper.make_node("Identity", [f"{name}_always"], [name]) for name in constants),
        ],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [
            helper.make_tensor_value_info("colours", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [2, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, [2]),
        ],
        [(f"{name}_always", value) for name, value in constants.items()],
    )


def hearing() -> bytes:
    """FP32 [-1, 4000] `sound` -> FP32 [-1, 1] `loudness`, the mean of the samples without their sign."""
    return _model(
        [
            helper.make_node("Abs", ["sound"], ["loud"]),
            helper.make_node("ReduceMean", ["loud"], ["loudness"], axes=[1], keepdims=1),
        ],
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["n", 4000])],
        [helper.make_tensor_value_info("loudness", TensorProto.FLOAT, ["n", 1])],
    )


def endless() -> bytes:
    """A Loop of 2**62 rounds: INT64 [] `x` -> INT64 [] `y`."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Add", ["v_in", "v_in"], ["v_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_in", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.INT64, []),
        ],
    )
    return _model(
        [helper.make_node("Loop", ["rounds", "go", "x"], ["y"], body=body)],
        [helper.make_tensor_value_info("x", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [])],
        [("rounds", np.array(2**62, dtype="i8")), ("go", np.array(True))],
    )


def with_external_data() -> bytes:
    """An initialiser that names another file on the machine."""
    model = onnx.load_model_from_string(mlp())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/hostname"
    return model.SerializeToString()
