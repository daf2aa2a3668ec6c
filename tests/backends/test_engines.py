import numpy as np
import onnxruntime as ort
import pytest

from backends.engines.onnx import OnnxModel, RunFailed
from backends.engines.tensors import TensorSpec
from backends.errors import Rejected
from tests.support import onnx_models


def load(tmp_path, raw: bytes) -> OnnxModel:
    path = tmp_path / "model.onnx"
    path.write_bytes(raw)
    return OnnxModel(path)


def test_it_describes_itself_in_the_words_of_the_protocol(tmp_path):
    spec = load(tmp_path, onnx_models.mlp()).spec
    assert spec.inputs == (TensorSpec("x", "FP32", (-1, 30)),)
    assert spec.outputs == (TensorSpec("probabilities", "FP32", (-1, 2)),)


def test_answers_equal_bare_onnxruntime(tmp_path):
    raw = onnx_models.cnn()
    model = load(tmp_path, raw)
    image = np.random.default_rng(3).random((5, 1, 28, 28), dtype="f4")
    (expected,) = ort.InferenceSession(raw).run(None, {"image": image})
    (answer,) = model.run({"image": image}, ["scores"])
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


def test_external_data_is_refused_before_anything_is_opened(tmp_path):
    with pytest.raises(Rejected, match="other files"):
        load(tmp_path, onnx_models.with_external_data())


@pytest.mark.parametrize("raw", [b"", b"\x00" * 100, b"not a model", onnx_models.mlp()[:-50]])
def test_what_is_not_a_model_is_refused(tmp_path, raw):
    with pytest.raises(Rejected):
        load(tmp_path, raw)


def test_rows_that_depend_on_each_other_are_never_stacked(tmp_path):
    assert not load(tmp_path, onnx_models.mixing()).warm_up(limit_s=5).can_batch
    assert load(tmp_path, onnx_models.mlp()).warm_up(limit_s=5).can_batch


def test_a_graph_with_a_loop_is_never_quick_and_its_run_can_be_ended(tmp_path):
    model = load(tmp_path, onnx_models.endless())
    assert model.has_branches
    timing = model.warm_up(limit_s=0.3)
    assert not timing.is_quick
    assert not timing.can_batch


def test_a_run_that_fails_says_so(tmp_path):
    model = load(tmp_path, onnx_models.picking())
    with pytest.raises(RunFailed):
        model.run({"x": np.zeros((1, 3), "f4"), "rows": np.array([7])}, ["y"])
