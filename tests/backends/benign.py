"""Files as honest people publish them, written by the libraries that they use."""

import csv
import gzip
import io
import json
import pickle  # noqa: TID251 - written here, never read
import struct
import wave
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.numpy import save
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.backends.hostile import code_cell, gguf, gguf_text, notebook, tarred, zipped


@dataclass(frozen=True)
class Case:
    make: Callable[[], bytes]
    is_data: bool


def _rng(number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def _array(number: int) -> np.ndarray:
    kinds = [np.float32, np.float64, np.float16, np.int8, np.int32, np.int64, np.uint8, np.bool_, np.complex64]
    shape = tuple(_rng(number).integers(1, 7, size=number % 4 + 1))
    return (_rng(number).random(shape) * 100).astype(kinds[number % len(kinds)])


def _npy(number: int) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(["a", "bé"]) if number % 10 == 9 else _array(number))
    return out.getvalue()


def _npz(number: int) -> bytes:
    out = io.BytesIO()
    write = np.savez_compressed if number % 2 else np.savez
    write(out, **{f"layer{each}": _array(number + each) for each in range(3)})
    return out.getvalue()


def _safetensors(number: int) -> bytes:
    metadata = {"format": "pt"} if number % 2 else None
    return save(
        {
            f"model.layer.{each}.weight": _array(number * 7 + each)
            for each in range(1 + number % 5)
            if (number * 7 + each) % 9 != 8
        }
        or {"w": np.ones(3, dtype=np.float32)},
        metadata,
    )


def _onnx(number: int) -> bytes:
    width = number % 5 + 1
    weight = helper.make_tensor("w", TensorProto.FLOAT, [width], [float(each) for each in range(width)])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [width]) for name in "xy"]
    kinds = ["Add", "Mul", "Sub", "Div"]
    nodes = [helper.make_node(kinds[number % 4], ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    graph = helper.make_graph(nodes, f"graph{number}", ends[:1], ends[1:], [weight])
    model = helper.make_model(
        graph,
        producer_name="torch",
        opset_imports=[helper.make_opsetid("", 13 + number % 8), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    return model.SerializeToString()


def _frame(number: int) -> pd.DataFrame:
    rows = 5 + number * 3
    rng = _rng(number)
    return pd.DataFrame(
        {
            "id": range(rows),
            "price": rng.random(rows).round(2),
            "name": [f"ware {each}" for each in range(rows)],
            "day": pd.date_range("2024-01-01", periods=rows),
        }
    )


def _parquet(number: int) -> bytes:
    out = io.BytesIO()
    _frame(number).to_parquet(out, compression=["snappy", "gzip", "zstd", None][number % 4])
    return out.getvalue()


def _arrow(number: int) -> bytes:
    table = pa.Table.from_pandas(_frame(number))
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _csv(number: int) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=",;\t"[number % 3])
    writer.writerow(["sepal length", "sepal width", "species", "note"])
    for each in range(20):
        writer.writerow([each / 7, each * number, "setosa", 'said "yes", then left'])
    return out.getvalue().encode()


def _json(number: int) -> bytes:
    documents: list[object] = [
        {
            "architectures": ["BertForMaskedLM"],
            "hidden_size": 64 * number,
            "model_type": "bert",
            "torch_dtype": "float32",
        },
        {
            "version": "1.0",
            "truncation": None,
            "model": {"type": "BPE", "vocab": {f"tok{each}": each for each in range(200)}},
        },
        [{"instruction": "Say why.", "output": f"Because of {number}."}],
        {"chat_template": "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{% endfor %}"},
        {"bos_token": "<s>", "eos_token": "</s>", "model_max_length": 2048},
    ]
    return json.dumps(documents[number % 5], indent=number % 3 or None).encode()


def _jsonl(number: int) -> bytes:
    return b"".join(
        json.dumps({"text": f"line {each} of {number} — naïve", "label": each % 2}).encode() + b"\n"
        for each in range(50)
    )


def _picture(number: int) -> bytes:
    form, mode = [("PNG", "RGB"), ("JPEG", "RGB"), ("WEBP", "RGB"), ("PNG", "L"), ("PNG", "RGBA")][number % 5]
    channels = {"RGB": 3, "RGBA": 4}.get(mode)
    shape = (20 + number, 30) + ((channels,) if channels else ())
    out = io.BytesIO()
    Image.fromarray(_rng(number).integers(0, 256, shape, dtype=np.uint8), mode).save(out, form)
    return out.getvalue()


def _sound(number: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1 + number % 2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(_rng(number).integers(-3000, 3000, 800, dtype=np.int16).tobytes())
    return out.getvalue()


_TEXTS = (
    "---\nlicense: mit\ntags:\n- vision\n---\n# Digits\n\nA small model. Use it so:\n\n```python\nimport torch\nfrom digits import load\n\nmodel = load()\n```\n",
    "*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n",
    ".env\n*.pyc\n__pycache__/\n.DS_Store\n",
    "numpy==2.0\ntorch>=2.1\n# for tests\npytest\n",
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software.\n",
    "name: train\nsteps:\n  - run: fit\n    with:\n      epochs: 10\n",
    "The quick brown fox.\nI am fine.\nNothing to import here.\n",
    "[PAD]\n[UNK]\n[CLS]\nthe\n##ing\n0\n1\n.\n",
    "@article{smith2024, title={On digits}, author={Smith, A.}, year={2024}}\n",
    "id\ttext\n1\tdef of the word class: return to it\n2\timport duty\n",
    "你好，世界\nпривет\nمرحبا\n",
    "0 0.51 0.42 0.1 0.2\n1 0.3 0.3 0.05 0.05\n",
    ".",
    "N.\n",
    "c. 1850\nlondon\n(see i. 4)\n",
    "# Changelog\n\n- remove `os.system`, use subprocess\n- from torch import nn no longer works\n",
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#09f"/></svg>',
    "\ufeffa,b\r\n1,2\r\n",
    "AWS keys look like AKIAIOSFODNN7EXAMPLE; set HF_TOKEN in your environment.\nUse postgres://user:password@localhost/db\n",
    "line\n" * 5000,
)


def _gguf(number: int) -> bytes:
    keys = [
        ("general.architecture", gguf_text("llama")),
        ("general.alignment", struct.pack("<II", 4, 32)),
        ("llama.block_count", struct.pack("<II", 4, number)),
        ("general.is_fine", struct.pack("<IB", 7, 1)),
        ("tokenizer.ggml.scores", struct.pack("<IIQ", 9, 6, 3) + struct.pack("<3f", 1, 2, 3)),
        (
            "tokenizer.ggml.tokens",
            struct.pack("<IIQ", 9, 8, 2) + b"".join(struct.pack("<Q", 1) + each for each in (b"a", b"b")),
        ),
        (
            "tokenizer.chat_template",
            gguf_text("{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"),
        ),
    ]
    table = b"".join(
        struct.pack("<Q", 4) + f"t{each:03d}".encode() + struct.pack("<IQQIQ", 2, 32, 2, kind, offset)
        for each, (kind, offset) in enumerate([(0, 0), (8, 256)])
    )
    head = gguf(tensors=2, keys=keys, tail=table)
    return head + bytes(-len(head) % 32) + bytes(256) + bytes(68)


def _archive(number: int) -> bytes:
    members = {"a/data.csv": _csv(number), "a/one.png": _picture(number * 5), "README.md": b"# Data\n"}
    return [
        lambda: zipped(members),
        lambda: zipped(members, kind=zipfile.ZIP_STORED),
        lambda: tarred(members),
        lambda: tarred(members, mode="w:gz"),
        lambda: gzip.compress(_jsonl(number)),
        lambda: zipped({"inner.zip": zipped(members)}),
    ][number % 6]()


def _torch(number: int) -> bytes:
    modules = [
        torch.nn.Linear(4, 3),
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.LSTM(3, 4),
        torch.nn.BatchNorm1d(5),
        torch.nn.Embedding(5, 3),
    ]
    out = io.BytesIO()
    state = modules[number % 5].state_dict()
    torch.save(
        state if number % 2 else {"state_dict": state, "epoch": number, "lr": 0.1},
        out,
        _use_new_zipfile_serialization=number % 4 != 3,
    )
    return out.getvalue()


def _joblib(number: int) -> bytes:
    x, y = _rng(number).random((20, 3)), np.arange(20) % 2
    models = [
        LogisticRegression(),
        RandomForestClassifier(3),
        Ridge(),
        SVC(),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ]
    model = models[number % 5].fit(x, y)
    if number % 3 == 2:
        return pickle.dumps(model)
    out = io.BytesIO()
    joblib.dump(model, out, compress=[0, 3][number % 3])
    return out.getvalue()


def _pickled(number: int) -> bytes:
    values: list[object] = [{"a": 1, "b": [1, 2]}, OrderedDict(a=1), _array(number), _frame(2), {1, 2, 3}]
    return pickle.dumps(values[number % 5], protocol=2 + number % 4)


_SOURCES = (
    b"import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n",
    b"# SPDX-License-Identifier: Apache-2.0\nimport os\n\nPATH = os.environ['HOME']\n\n\ndef main():\n    return PATH\n",
    b"#!/usr/bin/env bash\nset -e\npip install -r requirements.txt\n",
    b"/* Licensed under the MIT License */\n#include <stdio.h>\n#include <math.h>\nint main(void) {\n return 0;\n}\n",
    b'package main\n\nimport (\n\t"fmt"\n)\n\nfunc main() {\n\tfmt.Println(1)\n}\n',
    b"const a = 1\nlet b = 2\nexport default function x() {}\nimport y from 'y'\n",
)


def _notebook(number: int) -> bytes:
    return notebook(
        {"cell_type": "markdown", "source": "# Digits", "metadata": {}},
        code_cell(f"print({number})"),
        code_cell("x", data={"text/html": "<table><tr><td>1</td></tr></table>", "text/plain": "1"}),
    )


def cases() -> dict[str, Case]:
    """Every case by name; the bytes are made when they are asked for."""
    return dict(_cases())


def _cases() -> Iterator[tuple[str, Case]]:
    makers: list[tuple[str, Callable[[int], bytes], int, bool]] = [
        ("npy", _npy, 30, True),
        ("npz", _npz, 12, True),
        ("safetensors", _safetensors, 25, True),
        ("onnx", _onnx, 25, True),
        ("gguf", _gguf, 8, True),
        ("parquet", _parquet, 24, True),
        ("arrow", _arrow, 10, True),
        ("csv", _csv, 15, True),
        ("json", _json, 20, True),
        ("jsonl", _jsonl, 10, True),
        ("picture", _picture, 30, True),
        ("sound", _sound, 8, True),
        ("text", lambda number: _TEXTS[number].encode(), len(_TEXTS), True),
        ("archive", _archive, 18, True),
        ("torch", _torch, 20, False),
        ("sklearn", _joblib, 20, False),
        ("pickle", _pickled, 20, False),
        ("source", lambda number: _SOURCES[number], len(_SOURCES), False),
        ("notebook", _notebook, 6, False),
    ]
    for name, make, count, is_data in makers:
        for number in range(count):
            yield f"{name} {number}", Case(lambda make=make, number=number: make(number), is_data)
