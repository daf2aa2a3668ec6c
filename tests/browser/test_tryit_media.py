"""Pictures, sounds and arrays in the try-it form, and what was found drawn on the picture, in a real browser."""

import io
import json
import secrets
import struct
import wave

import numpy as np
import pytest
from huggingface_hub import HfApi
from PIL import Image

from tests.support.api import Person
from tests.support.inference import eventually
from tests.support.onnx_models import hearing, seeing

pytestmark = pytest.mark.browser

SEEING = {
    "task": "object-detection",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8], "image": {"scale": 1 / 255}}],
    "outputs": [
        {"name": "colours", "datatype": "FP32", "shape": [-1, 3], "classes": ["red", "green", "blue"]},
        {"name": "boxes", "datatype": "FP32", "shape": [2, 4], "role": "boxes"},
        {"name": "scores", "datatype": "FP32", "shape": [2], "role": "scores"},
        {"name": "labels", "datatype": "INT64", "shape": [2], "role": "labels", "classes": ["cat", "dog"]},
    ],
}
HEARING = {
    "task": "audio-classification",
    "inputs": [{"name": "sound", "datatype": "FP32", "shape": [-1, 4000], "audio": {"sample_rate": 8000}}],
    "outputs": [{"name": "loudness", "datatype": "FP32", "shape": [-1, 1]}],
}


@pytest.fixture(scope="module")
def owner(live_site, tmp_path_factory) -> Person:
    person = Person(live_site, live_site.user(f"media-{secrets.token_hex(3)}"))
    hub = HfApi(endpoint=live_site.url, token=person.token)
    for name, model, signature in (("sees", seeing(), SEEING), ("hears", hearing(), HEARING)):
        folder = tmp_path_factory.mktemp(name)
        (folder / "model.onnx").write_bytes(model)
        hub.create_repo(f"{person.name}/{name}")
        hub.upload_folder(repo_id=f"{person.name}/{name}", folder_path=folder)
        made = person.post(f"repos/model/{person.name}/{name}/versions", {"name": "1.0", "signature": signature})
        person.post("endpoints", {"namespace": person.name, "name": name, "version": made["uuid"]})
        here = f"endpoints/{person.name}/{name}"
        eventually(lambda here=here: person.get(here)["state"] == "ready", what="the endpoint is ready")
    return person


@pytest.fixture
def me(owner, visitor):
    found = visitor()
    found.sign_in(owner.name)
    return found


def test_picture_is_read_and_what_is_found_is_drawn_on_it(owner, me):
    me.go(f"/endpoints/{owner.name}/sees")
    page, output = me.page, me.page.locator("[data-output]")
    drawing = io.BytesIO()
    Image.new("RGB", (40, 20), (255, 0, 0)).save(drawing, "PNG")
    red = {"name": "red.png", "mimeType": "image/png", "buffer": drawing.getvalue()}
    page.get_by_label("Picture image").set_input_files(red)
    page.locator(".try-preview").wait_for()
    page.get_by_role("button", name="Run").click()
    output.locator("canvas").wait_for()
    rows = output.locator("tbody tr").all_inner_texts()
    assert rows == ["dog\t90.0 %\t1, 1, 4, 6", "red\t100.0 %", "green\t0.0 %", "blue\t0.0 %"]
    assert "Not drawn: 1 with a score below 25 %." in output.inner_text()
    assert output.locator("canvas").get_attribute("height") == "320"
    me.check()
    page.get_by_label("Picture image").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.locator("[data-problem]").wait_for()
    assert "not a picture" in page.locator("[data-problem]").inner_text()


def test_sound_is_resampled_and_an_array_is_read(owner, me):
    me.go(f"/endpoints/{owner.name}/hears")
    page, output = me.page, me.page.locator("[data-output]")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(struct.pack("<h", 16_384) * 2 * 16_000)
    page.get_by_label("Sound sound").set_input_files(
        {"name": "a.wav", "mimeType": "audio/wav", "buffer": sound.getvalue()}
    )
    page.get_by_text("4,000 samples").wait_for()
    sent = json.loads(page.locator("[data-body]").input_value())["inputs"][0]
    assert (sent["shape"], len(sent["data"])) == ([1, 4000], 4000)
    page.get_by_role("button", name="Run").click()
    output.wait_for()
    assert float(output.locator("tbody td").inner_text()) == pytest.approx(0.5, abs=0.01)
    assert page.get_by_role("button", name="Save request.json").is_visible()
    assert "@request.json" in page.locator("[data-sample=shell] code").inner_text()
    me.check()
    page.get_by_text("sound from a file").click()
    array = io.BytesIO()
    np.save(array, np.full(4000, 0.25, dtype="f4"))
    npy = {"name": "a.npy", "mimeType": "application/octet-stream", "buffer": array.getvalue()}
    page.get_by_label("File with sound").set_input_files(npy)
    page.wait_for_function("document.querySelector('[data-body]').value.includes('[0.25,0.25')")
    np.save(short := io.BytesIO(), np.zeros((2, 7)))
    page.get_by_label("File with sound").set_input_files({**npy, "buffer": short.getvalue()})
    page.locator("[data-problem]").wait_for()
    assert "the shape 2 × 7, but the model takes any × 4000" in page.locator("[data-problem]").inner_text()
