"""The component gallery: every template in `templates/components/` with the named examples that stand beside it.

An example file `<name>.examples.yaml` has `about`, `parameters` (name: meaning) and `examples` (name: values). Values under a
key that ends in `_html` are passed as safe markup under the name without the ending; a mapping `form` makes a bound field, a list `form_fields` a whole form with the general `error`."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from django import forms
from django.conf import settings
from django.template import loader
from django.utils.safestring import SafeString, mark_safe

FOLDER = settings.BASE_DIR / "templates" / "components"
FIELDS: dict[str, type[forms.Field]] = {
    "text": forms.CharField,
    "number": forms.IntegerField,
    "check": forms.BooleanField,
    "file": forms.FileField,
    "choice": forms.ChoiceField,
}


@dataclass(frozen=True)
class Example:
    name: str
    html: SafeString


@dataclass(frozen=True)
class Component:
    name: str
    about: str
    parameters: list[tuple[str, str]]
    examples: list[Example]
    layout: str


@dataclass(frozen=True)
class GalleryPage:
    title: str
    components: list[Component]

    @classmethod
    def of(cls) -> "GalleryPage":
        return cls("Components", [component(name) for name in component_names()])


@cache
def component_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.html") if not path.stem.startswith("_")))


def component(name: str) -> Component:
    """Read and render the examples of one component."""
    written = yaml.safe_load((FOLDER / f"{name}.examples.yaml").read_text("utf-8"))
    examples = [
        Example(title, mark_safe(loader.render_to_string(f"components/{name}.html", _values(values))))  # noqa: S308 - a template
        for title, values in written["examples"].items()
    ]
    return Component(
        name, written["about"], list(written["parameters"].items()), examples, written.get("layout", "line")
    )


def _values(values: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key.endswith("_html"):
            given[key.removesuffix("_html")] = mark_safe(value)  # noqa: S308 - from our own example file
        elif key == "form":
            given["field"] = _field(**value)
        elif key == "form_fields":
            given["form"] = _form({f"field_{i}": field for i, field in enumerate(value)}, values.get("error", ""))
        else:
            given[key] = value
    return given


def _field(value: str = "", error: str = "", **options: Any) -> forms.BoundField:
    form = _form({"example": options}, data={"example": value} if value or error else None)
    if error:
        form.add_error("example", error)
    return form["example"]


def _form(fields: dict[str, dict[str, Any]], error: str = "", data: dict[str, str] | None = None) -> forms.Form:
    form_class = type("ExampleForm", (forms.Form,), {name: _made(**options) for name, options in fields.items()})
    prefix = next(iter(fields.values()))["label"].replace(" ", "-").lower()
    form: forms.Form = form_class({} if error and data is None else data, auto_id=f"{prefix}-%s")
    if error:
        form.add_error(None, error)
    return form


def _made(kind: str, *, is_radio: bool = False, is_area: bool = False, **options: Any) -> forms.Field:
    if is_radio:
        options["widget"] = forms.RadioSelect
    if is_area:
        options["widget"] = forms.Textarea
    return FIELDS[kind](**options)
