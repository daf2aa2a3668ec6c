"""Tensors as the Open Inference Protocol names them, and what a model takes and gives in those words."""

from dataclasses import dataclass

import numpy as np

VARIABLE = -1
"""A dimension that the caller chooses."""

DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""Datatype of the protocol -> numpy type, little-endian. BYTES is an object array of `str`. BF16 has no numpy type and is not
offered."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. `shape` has -1 where a dimension is free."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input_named(self, name: str) -> TensorSpec | None:
        return next((each for each in self.inputs if each.name == name), None)

    def output_named(self, name: str) -> TensorSpec | None:
        return next((each for each in self.outputs if each.name == name), None)
