"""The form of a job, made from its recipe: one field for each input and each parameter, with the recipe's own limits."""

from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from backends.programs.catalogue import Parameter, ParameterType, Recipe
from registry.policies import readable_repos, visible_versions
from registry.queries import in_use
from web.namespaces import namespace_choices

if TYPE_CHECKING:
    from registry.models import Version

VERSIONS_OFFERED = 200


class JobForm(forms.Form):
    """Fields: namespace; `input_<name>` of versions; the target where the recipe makes something; `p_<name>` of parameters, those
    without a default first."""

    namespace = forms.ChoiceField(label="On behalf of")

    def __init__(self, actor: Actor, recipe: Recipe, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recipe = recipe
        self.fields["namespace"].choices = namespace_choices(actor, Action.NAMESPACE_RUN)  # type: ignore[attr-defined]
        for each in recipe.inputs:
            versions = version_choices(actor, each.kind)
            label = each.name.capitalize()
            choices = versions if each.required else [("", "none"), *versions]
            self.fields[f"input_{each.name}"] = forms.ChoiceField(
                choices=choices, required=each.required, label=label, help_text=each.help
            )
        if recipe.produces not in {"report", "build"}:
            self.fields["target"] = forms.CharField(
                max_length=96,
                label="Result goes to",
                help_text=f"Name of a {recipe.produces}; it is made, private, if missing.",
            )
            self.fields["version_name"] = forms.CharField(
                max_length=80, required=False, label="Version", help_text="Empty: the next number."
            )
        for parameter in sorted(recipe.parameters, key=lambda each: each.default is not None):
            self.fields[f"p_{parameter.name}"] = _field_of(parameter)

    @property
    def parameters(self) -> dict[str, Any]:
        """What was given; an empty field leaves the recipe's default."""
        given = {name.removeprefix("p_"): value for name, value in self.cleaned_data.items() if name.startswith("p_")}
        return {name: value for name, value in given.items() if value not in (None, "")}

    @property
    def inputs(self) -> dict[str, str]:
        given = {
            name.removeprefix("input_"): value for name, value in self.cleaned_data.items() if name.startswith("input_")
        }
        return {name: value for name, value in given.items() if value}

    @property
    def target(self) -> dict[str, str] | None:
        name = self.cleaned_data.get("target")
        return {"kind": self.recipe.produces, "name": name} if name else None


def version_choices(actor: Actor, kind: str) -> list[tuple[str, str]]:
    """The newest versions that the actor may read, by uuid; withdrawn ones are not offered. One query."""
    return [(str(each.uuid), title_of(each)) for each in versions_offered(actor, kind)]


def versions_offered(actor: Actor, kind: str) -> "list[Version]":
    """What `version_choices` names."""
    versions = visible_versions(actor).filter(repo__kind=kind, repo__in=readable_repos(actor).values("pk"))
    return list(in_use(versions).order_by("-created_at", "-pk")[:VERSIONS_OFFERED])


def title_of(version: "Version") -> str:
    return f"{version.repo.namespace.name}/{version.repo.name} {version.name}"


def _field_of(parameter: Parameter) -> forms.Field:
    common: dict[str, Any] = {
        "label": parameter.name.replace("_", " ").capitalize(),
        "help_text": parameter.help,
        "initial": parameter.default,
        "required": parameter.default is None,
    }
    if parameter.choices:
        return forms.ChoiceField(choices=[(each, each) for each in parameter.choices], **common)
    if parameter.type == ParameterType.INTEGER:
        low = int(parameter.low) if parameter.low is not None else None
        high = int(parameter.high) if parameter.high is not None else None
        return forms.IntegerField(min_value=low, max_value=high, **common)
    if parameter.type == ParameterType.NUMBER:
        return forms.FloatField(
            min_value=parameter.low, max_value=parameter.high, widget=forms.NumberInput(attrs={"step": "any"}), **common
        )
    if parameter.type == ParameterType.BOOLEAN:
        return forms.BooleanField(**{**common, "required": False})
    return forms.CharField(max_length=2000, **common)
