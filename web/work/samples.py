"""The same call in three languages, ready to copy. The token is left for the reader to put in, as an environment variable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compute.endpoint_queries import Addresses

BODY = "%BODY%"
"""Where the page puts the request as it stands in the form (static/js/controllers/snippets.js)."""
LONGEST = 1500
"""Characters of a request that stands in a sample; a longer one is read from the file `request.json`."""


@dataclass(frozen=True)
class Sample:
    """`text` has the example as its request; `inline` has BODY in its place, `from_file` reads it from a file. `syntax`: in which
    language the request is written, shell, python or javascript."""

    language: str
    text: str
    syntax: str = "shell"
    inline: str = ""
    from_file: str = ""


def samples_of(where: Addresses, example: Mapping[str, Any]) -> list[Sample]:
    """`example` is the body of a call; without one, a hint stands in its place."""
    body = json.loads(json.dumps(example or {"inputs": []}))
    scheme, _, host = where.site.partition("://")
    named = {
        "%URL%": where.infer,
        "%HOST%": host,
        "%MODEL%": where.model,
        "%SSL%": ", ssl=True" if scheme == "https" else "",
    }
    found = []
    for language, syntax, template, inline, from_file in _TEMPLATES:
        given, filed = (_filled(template, named | {"%GIVEN%": each}) for each in (inline, from_file))
        is_long = len(json.dumps(body)) > LONGEST
        text = filed if is_long else given.replace(BODY, _WRITTEN[syntax](body))
        found.append(Sample(language, text, syntax, given, filed))
    return found


def _filled(text: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


_WRITTEN = {
    "shell": lambda body: json.dumps(body).replace("'", "'\\''"),
    "python": repr,
    "javascript": json.dumps,
}

_CURL = """curl %URL% \\
  -H "Authorization: Bearer $MERCATO_TOKEN" \\
  -H "Content-Type: application/json" \\
  --data-binary %GIVEN%"""

_PYTHON = """import json
import os

import requests

body = %GIVEN%
answer = requests.post(
    "%URL%",
    headers={"Authorization": "Bearer " + os.environ["MERCATO_TOKEN"]},
    json=body,
    timeout=30,
)
answer.raise_for_status()
print(json.dumps(answer.json()["outputs"]))"""

_TRITON = """import json
import os

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import triton_to_np_dtype

body = %GIVEN%
client = triton.InferenceServerClient("%HOST%"%SSL%)
inputs = []
for tensor in body["inputs"]:
    value = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
    data = np.array(tensor["data"], dtype=triton_to_np_dtype(tensor["datatype"]))
    value.set_data_from_numpy(data.reshape(tensor["shape"]))
    inputs.append(value)
headers = {"Authorization": "Bearer " + os.environ["MERCATO_TOKEN"]}
answer = client.infer("%MODEL%", inputs, headers=headers)
for output in answer.get_response()["outputs"]:
    print(output["name"], answer.as_numpy(output["name"]).tolist())"""

_JAVASCRIPT = """import { readFile } from "node:fs/promises";

const body = %GIVEN%;
const answer = await fetch("%URL%", {
  method: "POST",
  headers: { Authorization: `Bearer ${process.env.MERCATO_TOKEN}`, "Content-Type": "application/json" },
  body: JSON.stringify(body),
});
if (!answer.ok) throw new Error(await answer.text());
console.log(JSON.stringify((await answer.json()).outputs));"""

_READ = 'json.load(open("request.json"))'
_TEMPLATES = (
    ("curl", "shell", _CURL, f"'{BODY}'", "@request.json"),
    ("Python", "python", _PYTHON, BODY, _READ),
    ("Python, Triton client", "python", _TRITON, BODY, _READ),
    ("JavaScript", "javascript", _JAVASCRIPT, BODY, 'JSON.parse(await readFile("request.json", "utf8"))'),
)
