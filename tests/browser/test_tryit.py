"""The try-it form of an endpoint, in a real browser against the running inference process."""

import json
import secrets
import subprocess
import sys

import pytest
from huggingface_hub import HfApi

from tests.support.api import Person
from tests.support.inference import eventually
from tests.support.onnx_models import picking

pytestmark = pytest.mark.browser

SIGNATURE = {
    "task": "picking",
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 3], "columns": ["length", "width", "height"]},
        {"name": "rows", "datatype": "INT64", "shape": [-1]},
    ],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3], "classes": ["small", "medium", "large"]}],
    "example": {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.25, 0.5, 0.125]},
            {"name": "rows", "datatype": "INT64", "shape": [1], "data": [0]},
        ]
    },
}


@pytest.fixture(scope="module")
def owner(live_site, tmp_path_factory) -> Person:
    """Has an endpoint `<name>/picks`, found by everybody, that answers with the row of `x` that is asked for."""
    person = Person(live_site, live_site.user(f"picks-{secrets.token_hex(3)}"))
    folder = tmp_path_factory.mktemp("picks")
    (folder / "model.onnx").write_bytes(picking())
    repo = f"{person.name}/picks"
    hub = HfApi(endpoint=live_site.url, token=person.token)
    hub.create_repo(repo)
    hub.upload_folder(repo_id=repo, folder_path=folder)
    version = person.post(f"repos/model/{repo}/versions", {"name": "1.0", "signature": SIGNATURE})["uuid"]
    person.post("endpoints", {"namespace": person.name, "name": "picks", "version": version, "visibility": "public"})
    here = f"endpoints/{person.name}/picks"
    eventually(lambda: person.get(here)["state"] == "ready", what="the endpoint is ready")
    return person


@pytest.fixture
def form(owner, visitor):
    """The owner, on a phone at night, in front of the form."""
    me = visitor(width=390, scheme="dark")
    me.sign_in(owner.name)
    me.go(f"/endpoints/{owner.name}/picks")
    return me


def test_answer_is_shown(form):
    page, output, problem = form.page, form.page.locator("[data-output]"), form.page.locator("[data-problem]")
    run = page.get_by_role("button", name="Run")
    run.click()
    output.wait_for()
    assert output.locator("tbody tr").all_inner_texts() == ["medium\t0.5", "small\t0.25", "large\t0.125"]
    assert "Answered in" in output.inner_text()
    form.check()
    page.get_by_label("length").fill("7.5")
    run.click()
    output.get_by_role("cell", name="7.5").wait_for()
    assert output.locator("tbody tr").first.inner_text() == "small\t7.5"
    page.get_by_label("width").fill("")
    assert "Fill in width, row 1: a number is missing." in problem.inner_text()
    assert not output.is_visible()
    run.click()
    assert problem.is_visible()
    page.get_by_label("width").fill("1")
    assert not problem.is_visible()


def test_reason_why_there_is_no_answer_is_shown(form):
    page, output, problem = form.page, form.page.locator("[data-output]"), form.page.locator("[data-problem]")
    run = page.get_by_role("button", name="Run")
    page.get_by_text("The request", exact=True).click()
    body = page.get_by_label("Body of the request, JSON")
    page.get_by_label("length").fill("2")
    sent = body.input_value()
    # there is no row 5: the model itself fails
    body.fill(sent.replace('"data":[0]', '"data":[5]'))
    assert body.input_value() != sent
    with form.expects_refusal():
        run.click()
        problem.wait_for()
    why = problem.inner_text()
    assert why.startswith("There is no answer.")
    assert len(why.splitlines()[-1]) > 20
    assert not output.is_visible()
    form.check()
    body.fill("{nonsense")
    with form.expects_refusal():
        run.click()
        page.wait_for_function("text => !document.querySelector('[data-problem]').innerText.includes(text)", arg=why)
        problem.wait_for()
    page.get_by_label("length").fill("1")
    assert "not JSON any more" in problem.inner_text()
    body.fill(sent)
    page.get_by_label("length").fill("3")
    run.click()
    output.wait_for()
    assert not problem.is_visible()


def test_without_the_right_there_is_no_form_and_a_lost_right_is_told(owner, form, visitor, live_site):
    guest = live_site.user(f"guest-{secrets.token_hex(3)}")
    other = visitor()
    other.sign_in(guest)
    other.go(f"/endpoints/{owner.name}/picks")
    assert other.page.get_by_role("heading", name="Calling takes a right").is_visible()
    assert other.page.get_by_role("button", name="Run").count() == 0
    # shared, and taken back while the page is open
    form.page.get_by_label("Share with").fill(guest)
    form.page.get_by_role("button", name="Share", exact=True).click()
    form.page.get_by_text(f"It is shared with {guest} now.").wait_for()
    form.check()
    other.go(f"/endpoints/{owner.name}/picks")
    run = other.page.get_by_role("button", name="Run")
    run.wait_for()
    form.page.get_by_role("button", name=f"Take back from {guest}").click()
    form.page.get_by_text("The share is taken back.").wait_for()
    with other.expects_refusal():
        run.click()
        other.page.locator("[data-problem]").wait_for()
    assert "You may not call this endpoint any more" in other.page.locator("[data-problem]").inner_text()
    other.check()


def test_samples_say_what_the_form_says_and_answer_alike(owner, form, tmp_path):
    """curl, requests, the Triton client and fetch, as they stand on the page after the input was changed."""
    page = form.page
    page.get_by_label("length").fill("4.5")
    page.get_by_role("button", name="Add a row").click()
    page.get_by_label("height, row 2").fill("9")
    form.check()
    samples = dict(
        zip(
            page.locator("[data-sample] .code-head span").all_text_contents(),
            page.locator("[data-sample] code").all_text_contents(),
            strict=True,
        )
    )
    programs = {
        "curl": ["bash", "-c", samples["curl"] + " --silent --fail"],
        "Python": [sys.executable, "-c", samples["Python"]],
        "Python, Triton client": [sys.executable, "-c", samples["Python, Triton client"]],
        "JavaScript": ["node", "--input-type=module", "-e", samples["JavaScript"]],
    }
    said = {
        name: subprocess.run(
            ["env", f"MERCATO_TOKEN={owner.token}", *program], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for name, program in programs.items()
    }
    assert json.loads(said["curl"])["outputs"][0]["data"] == [4.5, 0.5, 0.125]
    assert json.loads(said["Python"]) == json.loads(said["JavaScript"]) == json.loads(said["curl"])["outputs"]
    assert said["Python, Triton client"].strip() == "y [[4.5, 0.5, 0.125]]"


def test_rows_come_from_a_spreadsheet_and_from_a_file(form):
    page, problem = form.page, form.page.locator("[data-problem]")
    paste = """([field, text]) => {
        const data = new DataTransfer();
        data.setData("text/plain", text);
        field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }"""
    field = page.get_by_label("length, row 1").element_handle()
    page.evaluate(paste, [field, "1\t2\t3\n4\t5\t6"])
    sent = json.loads(page.locator("[data-body]").input_value())["inputs"][0]
    assert (sent["shape"], sent["data"]) == ([2, 3], [1, 2, 3, 4, 5, 6])
    upload = page.locator("[data-csv]")
    upload.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b'height,"length",width\n3,1,2\n'})
    page.wait_for_function("document.querySelector('[data-body]').value.includes('[1,2,3]')")
    upload.set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": b"height,length\n3,1\n"})
    problem.wait_for()
    assert "The file has no column width." in problem.inner_text()
