"""The same call in three languages, ready to copy. The token is left for the reader to put in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compute.endpoint_queries import Addresses


@dataclass(frozen=True)
class Sample:
    language: str
    text: str


def samples_of(where: Addresses, example: Mapping[str, Any]) -> list[Sample]:
    """`example` is the body of a call; without one, a hint stands in its place."""
    body = json.dumps(example or {"inputs": []})
    return [
        Sample("curl", _CURL.format(url=where.infer, body=body.replace("'", "'\\''"))),
        Sample("Python", _PYTHON.format(url=where.infer, body=_python(example))),
        Sample(
            "Python, Triton client",
            _TRITON.format(host=where.site.partition("://")[2], model=where.model, body=_python(example)),
        ),
        Sample("JavaScript", _JAVASCRIPT.format(url=where.infer, body=body)),
    ]


def _python(example: Mapping[str, Any]) -> str:
    return repr(json.loads(json.dumps(example or {"inputs": []})))


_CURL = """curl {url} \\
  -H "Authorization: Bearer $MERCATO_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{body}'"""

_PYTHON = """import os

import requests

body = {body}
answer = requests.post(
    "{url}",
    headers={{"Authorization": "Bearer " + os.environ["MERCATO_TOKEN"]}},
    json=body,
    timeout=30,
)
answer.raise_for_status()
print(answer.json()["outputs"])"""

_TRITON = """import os

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import triton_to_np_dtype

body = {body}
client = triton.InferenceServerClient("{host}")
inputs = []
for tensor in body["inputs"]:
    value = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
    data = np.array(tensor["data"], dtype=triton_to_np_dtype(tensor["datatype"]))
    value.set_data_from_numpy(data.reshape(tensor["shape"]))
    inputs.append(value)
headers = {{"Authorization": "Bearer " + os.environ["MERCATO_TOKEN"]}}
answer = client.infer("{model}", inputs, headers=headers)
print(answer.get_response())"""

_JAVASCRIPT = """const answer = await fetch("{url}", {{
  method: "POST",
  headers: {{ Authorization: `Bearer ${{process.env.MERCATO_TOKEN}}`, "Content-Type": "application/json" }},
  body: JSON.stringify({body}),
}});
if (!answer.ok) throw new Error(await answer.text());
console.log((await answer.json()).outputs);"""
