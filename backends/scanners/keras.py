"""Keras and TensorFlow models that carry code, whatever they are packed in."""

import re
from collections.abc import Iterable

from backends.contracts.scanners import Content, Finding, Scanner, Verdict

_LOOK_BYTES = 64 * 1024**2
_IS_KERAS = (b'"class_name"', b'"config"')
_LAMBDA = re.compile(rb'"class_name"\s*:\s*"(?:Lambda|__lambda__|function|TFSMLayer|TFOpLambda)"|"__lambda__"')
_MODULE = re.compile(rb'"module"\s*:\s*"([^"]{1,120})"')
_NAMED = re.compile(rb'"registered_name"\s*:\s*"(?!null)([^">]{1,80})>')
_USUAL_MODULE = re.compile(
    rb"(?:tf_)?keras(?:\.src)?(?:\.(?:layers|models|optimizers|initializers|losses|metrics|regularizers|constraints|activations|dtype_policies|saving|engine|core|src)[\w.]*)?|tensorflow\.keras[\w.]*"
)
_TF_OPERATORS = (
    b"PyFunc",
    b"EagerPyFunc",
    b"ReadFile",
    b"WriteFile",
    b"MatchingFiles",
    b"PrintV2",
    b"LoadDataset",
    b"SaveV2\x00file",
)


class KerasScanner(Scanner):
    """Model descriptions in JSON, HDF5 and TensorFlow graphs: lambdas and calls out of Keras are flagged; a plain description is code, as it
    names what is to be built."""

    name = "keras"
    rules_version = "1"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format not in {"text", "hdf5", ""}:
            return
        data = bytes(content.data[:_LOOK_BYTES])
        if all(mark in data for mark in _IS_KERAS):
            yield Finding(
                "keras.description", Verdict.CODE, "It describes a Keras model: opening it builds what it names."
            )
            if _LAMBDA.search(data):
                yield Finding(
                    "keras.lambda",
                    Verdict.FLAGGED,
                    "A layer is a lambda or loads code of its own: opening it runs that code.",
                )
            for module in sorted({found.group(1) for found in _MODULE.finditer(data)})[:20]:
                if not _USUAL_MODULE.fullmatch(module):
                    shown = module.decode(errors="replace")
                    is_attack = shown.split(".")[0] in {
                        "os",
                        "subprocess",
                        "shutil",
                        "sys",
                        "importlib",
                        "runpy",
                        "posix",
                        "socket",
                    }
                    verdict = Verdict.MALICIOUS if is_attack else Verdict.FLAGGED
                    yield Finding("keras.module", verdict, f"It calls for {shown!r}, which is not a part of Keras.")
            for name in sorted({found.group(1) for found in _NAMED.finditer(data)})[:20]:
                yield Finding(
                    "keras.custom", Verdict.FLAGGED, f"It needs the custom object {name.decode(errors='replace')!r}."
                )
        if content.format == "hdf5":
            if b"tensorflow" in data and b"lambda" in data.lower() and not _LAMBDA.search(data):
                yield Finding("keras.lambda", Verdict.FLAGGED, "The HDF5 file mentions lambdas.")
            yield Finding(
                "keras.hdf5", Verdict.UNKNOWN, "HDF5 is not read to its end here: keep the weights as safetensors."
            )
        elif content.format == "" and (b"saved_model" in data[:65536] or b"serving_default" in data):
            for operator in _TF_OPERATORS:
                if operator in data:
                    yield Finding(
                        "keras.operator",
                        Verdict.FLAGGED,
                        f"The graph has the operator {operator.decode(errors='replace')}, which acts outside of it.",
                    )
