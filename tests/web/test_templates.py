"""What holds for all templates, components, styles and controllers."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import Resolver404, resolve

from web.faces import face_svg
from web.frame import SECTIONS
from web.shell.gallery import component, component_names
from web.templatetags import ui

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
INLINE = re.compile(r"""\sstyle\s*=|<style|\son[a-z]+\s*=\s*["']|<script(?![^>]*\ssrc=)|javascript:""", re.IGNORECASE)
LINES_OF_A_CONTROLLER = 100


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_no_script_or_style_in_the_page_itself(path):
    assert INLINE.findall(path.read_text()) == []


@pytest.mark.parametrize("name", component_names())
def test_component_says_what_it_takes_and_shows_its_examples(name):
    made = component(name)
    assert made.examples
    assert made.about.endswith(".")
    assert made.parameters
    assert all(example.html.strip() for example in made.examples)
    assert "{% comment %}" in (ROOT / "templates" / "components" / f"{name}.html").read_text()


def test_controllers_stay_small():
    long = [
        path.name
        for path in (ROOT / "static/js").rglob("*.js")
        if len(path.read_text().splitlines()) > LINES_OF_A_CONTROLLER
    ]
    assert long == []


def test_style_sheet_names_every_file_of_components():
    named = set(re.findall(r'url\("components/([a-z]+)\.css"\)', (ROOT / "static/css/site.css").read_text()))
    assert named == {path.stem for path in (ROOT / "static/css/components").glob("*.css")}


def test_colours_are_tokens():
    found = {
        path.name: colours
        for path in (ROOT / "static/css").rglob("*.css")
        if path.name != "tokens.css" and (colours := re.findall(r"#[0-9a-fA-F]{3,8}(?=[;\s,)])", path.read_text()))
    }
    # white behind a QR code is what cameras need, in any theme
    assert found == {"shell.css": ["#fff"]}


def test_navigation_leads_somewhere():
    dead = []
    for _, href, _ in SECTIONS:
        try:
            resolve(href)
        except Resolver404:
            dead.append(href)
    assert dead == []


def test_face_is_the_same_for_ever():
    assert face_svg("a", "model") == face_svg("a", "model")
    assert (
        len({face_svg(str(n), kind) for n in range(50) for kind in ("model", "dataset", "algorithm", "endpoint")})
        == 200
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "1000 kB"),
        (999_950, "1.0 MB"),
        (1_250_000_000, "1.2 GB"),
    ],
)
def test_sizes(value, text):
    assert ui.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.97216, "0.9722"), (12, "12"), (1234567, "1,234,567"), (0.00001234, "1.234e-05"), (None, "–")],
)
def test_numbers(value, text):
    assert ui.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "250 ms"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (None, "–")]
)
def test_durations(value, text):
    assert ui.duration(value) == text
