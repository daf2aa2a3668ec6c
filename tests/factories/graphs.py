"""Small ONNX models, made in a moment."""

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper


def linear_model(
    weights: ArrayLike, bias: ArrayLike, *, name: str = "w", input_name: str = "x", output: str = "probabilities"
) -> bytes:
    """softmax(x · weights + bias), weights float32[features, classes]."""
    matrix, offset = np.asarray(weights, np.float32), np.asarray(bias, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", [input_name, name, "b"], ["scores"]),
            helper.make_node("Softmax", ["scores"], [output], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [None, matrix.shape[0]])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, matrix.shape[1]])],
        [numpy_helper.from_array(matrix, name), numpy_helper.from_array(offset, "b")],
    )
    return saved(graph)


def picture_model(side: int) -> bytes:
    """The mean of each colour of a picture, float32[-1, 3, side, side] in, float32[-1, 3] out."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["probabilities"]),
        ],
        "means",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 3, side, side])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3])],
    )
    return saved(graph)


def saved(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
