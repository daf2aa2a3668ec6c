"""Forms of repositories. Fields have the names of the services' arguments."""

from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from registry.services.sources import LONGEST_H
from registry.states import Gate, RepoKind, SourceProtocol, Visibility
from web.namespaces import namespace_choices

VISIBILITIES = [
    (Visibility.PRIVATE.value, "Private: only those who have a role or a grant"),
    (Visibility.ORGANIZATION.value, "Organisation: every member may read"),
    (Visibility.PUBLIC.value, "Public: everybody finds it"),
]
GATES = [
    (Gate.OPEN.value, "Open: who sees it may read the files"),
    (Gate.AUTO.value, "Restricted: files need a purchase or a grant"),
    (Gate.MANUAL.value, "By request: a person of the owner decides"),
]


class RepoForm(forms.Form):
    kind = forms.ChoiceField(choices=[(kind.value, kind.value.capitalize()) for kind in RepoKind], label="Kind")
    namespace_name = forms.ChoiceField(label="Owner")
    name = forms.CharField(
        max_length=96, label="Name", help_text="Letters, digits, dot, dash, underscore; it stands in the address."
    )
    description = forms.CharField(
        max_length=400, required=False, label="Description", help_text="One sentence; it stands in lists."
    )
    visibility = forms.ChoiceField(
        choices=VISIBILITIES, label="Who may see it", widget=forms.RadioSelect, initial="private"
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace_name"].choices = namespace_choices(actor, Action.NAMESPACE_PUBLISH)  # type: ignore[attr-defined]


class LoginForm(forms.Form):
    """What the source of an import wants to see. It is never shown again."""

    username = forms.CharField(
        max_length=200,
        required=False,
        label="User name there",
        help_text="Only for a private source; many servers take any name beside a token.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    token = forms.CharField(
        max_length=1000,
        required=False,
        label="Token or password there",
        help_text="One that may only read is enough. It is kept encrypted, as long as it is needed, and never shown again.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class ImportForm(LoginForm):
    protocol = forms.ChoiceField(
        choices=[
            (SourceProtocol.GIT.value, "A git repository: the address that git clone takes"),
            (SourceProtocol.HUB.value, "A repository of a hub that speaks the Hugging Face protocol"),
        ],
        label="What is there",
        widget=forms.RadioSelect,
        initial=SourceProtocol.GIT.value,
    )
    url = forms.CharField(
        max_length=500,
        label="Address",
        help_text="https://git.example.org/team/model.git, or the hub alone: https://hub.example.org",
        widget=forms.URLInput(),
    )
    remote_name = forms.CharField(
        max_length=200, required=False, label="Name at the hub", help_text="owner/name; only for a hub."
    )
    kind = forms.ChoiceField(choices=[(kind.value, kind.value.capitalize()) for kind in RepoKind], label="Kind")
    namespace_name = forms.ChoiceField(label="Owner here")
    name = forms.CharField(max_length=96, label="Name here", help_text="Letters, digits, dot, dash, underscore.")
    visibility = forms.ChoiceField(
        choices=VISIBILITIES, label="Who may see it", widget=forms.RadioSelect, initial="private"
    )
    every_h = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_H,
        label="Follow the source, every … hours",
        help_text="Empty: it is imported once and is yours from then on. Else it is a mirror, which nobody commits to here.",
    )
    field_order = (
        "protocol", "url", "remote_name", "username", "token", "kind", "namespace_name", "name", "visibility", "every_h",
    )  # fmt: skip

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace_name"].choices = namespace_choices(actor, Action.NAMESPACE_PUBLISH)  # type: ignore[attr-defined]


class MirrorForm(LoginForm):
    every_h = forms.IntegerField(min_value=1, max_value=LONGEST_H, label="Look at the source every … hours")
    forgets_login = forms.BooleanField(required=False, label="Forget the present login")
    field_order = ("every_h", "username", "token", "forgets_login")


class SettingsForm(forms.Form):
    description = forms.CharField(
        max_length=400,
        required=False,
        label="Description",
        help_text="One or two sentences; they stand in lists.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    visibility = forms.ChoiceField(choices=VISIBILITIES, label="Who may see it", widget=forms.RadioSelect)
    gate = forms.ChoiceField(choices=GATES, required=False, label="Who may read the files", widget=forms.RadioSelect)


class RenameForm(forms.Form):
    namespace_name = forms.ChoiceField(label="Owner")
    name = forms.CharField(max_length=96, label="Name")

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace_name"].choices = namespace_choices(actor, Action.NAMESPACE_PUBLISH)  # type: ignore[attr-defined]


class QuarantineForm(forms.Form):
    reason = forms.CharField(
        max_length=400, label="Reason", help_text="A sentence that people who want the file will read."
    )


class VersionForm(forms.Form):
    revision = forms.CharField(max_length=200, label="Revision", help_text="A branch or a commit.")
    name = forms.CharField(
        max_length=80,
        label="Version",
        help_text="A semantic version, like 1.0.0, or a date, like 2026-01-31. It cannot be changed afterwards.",
    )
    notes = forms.CharField(
        max_length=20_000,
        required=False,
        label="Notes",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What is new.",
    )
    intended_use = forms.CharField(
        max_length=20_000,
        required=False,
        label="Intended use",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What it is made for, and what not.",
    )
    licence = forms.CharField(
        max_length=80, required=False, label="Licence", help_text="Left empty, the one of the card is taken."
    )


class AliasForm(forms.Form):
    name = forms.CharField(
        max_length=40, label="Alias", help_text="For example champion. Where it points now, it will not any more."
    )


class DeprecationForm(forms.Form):
    message = forms.CharField(max_length=2000, label="Why", widget=forms.Textarea(attrs={"rows": 2}))
    successor = forms.ChoiceField(required=False, label="Take instead")
    due_on = forms.DateField(
        required=False,
        label="Stop using it by",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, names: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["successor"].choices = [("", "No successor"), *((name, name) for name in names)]  # type: ignore[attr-defined]


class YankForm(forms.Form):
    reason = forms.CharField(max_length=2000, label="Why", widget=forms.Textarea(attrs={"rows": 2}))


class MetricForm(forms.Form):
    metric = forms.CharField(max_length=120, label="Metric", help_text="For example accuracy, f1 or rmse.")
    value = forms.FloatField(label="Value", widget=forms.NumberInput(attrs={"step": "any"}))
    low = forms.FloatField(
        required=False, label="Interval from", widget=forms.NumberInput(attrs={"step": "any"}), help_text="95 %."
    )
    high = forms.FloatField(required=False, label="Interval to", widget=forms.NumberInput(attrs={"step": "any"}))
    n = forms.IntegerField(required=False, min_value=0, label="Samples", help_text="How many it was measured on.")
    dataset = forms.CharField(
        max_length=300,
        required=False,
        label="Evaluation data",
        help_text="owner/name@version of a dataset here, or what it is called elsewhere.",
    )
    split = forms.CharField(max_length=300, required=False, label="Split", help_text="For example test.")
    source = forms.CharField(
        max_length=300,
        required=False,
        label="Source",
        help_text="A report, a run or an address that others can look at.",
    )


class HardwareForm(forms.Form):
    hardware = forms.CharField(
        max_length=120, label="Device", help_text="For example one NVIDIA L4, or 2 cores of AMD EPYC."
    )
    batch_size = forms.IntegerField(required=False, min_value=0, label="Batch")
    p50_ms = forms.FloatField(
        required=False, label="Median latency, ms", widget=forms.NumberInput(attrs={"step": "any"})
    )
    p99_ms = forms.FloatField(
        required=False, label="99th percentile, ms", widget=forms.NumberInput(attrs={"step": "any"})
    )
    throughput_per_s = forms.FloatField(
        required=False, label="Throughput, rows a second", widget=forms.NumberInput(attrs={"step": "any"})
    )
    memory_mb = forms.FloatField(
        required=False, min_value=0, max_value=1e9, label="Memory, MB", widget=forms.NumberInput(attrs={"step": "any"})
    )
    runtime = forms.CharField(
        max_length=120, required=False, label="Runtime", help_text="For example onnxruntime 1.32, one thread."
    )
    source = forms.CharField(
        max_length=300,
        required=False,
        label="Source",
        help_text="A report, a run or an address that others can look at.",
    )


class CorrectionForm(forms.Form):
    reason = forms.CharField(max_length=500, label="What is wrong with it")


class SignatureForm(forms.Form):
    bundle = forms.FileField(label="Signature", help_text="The file version.sig that the program has written.")


class ManyFiles(forms.FileField):
    """One file or several, in the order they were chosen."""

    widget = type("ManyFilesInput", (forms.ClearableFileInput,), {"allow_multiple_selected": True})

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        files = data if isinstance(data, list | tuple) and data else [data or None]
        return [super(ManyFiles, self).clean(file, initial) for file in files]


class UploadForm(forms.Form):
    files = ManyFiles(  # type: ignore[assignment]  # hides what only the template of a bound form would read
        label="Files", help_text="Larger folders go faster with the command-line client."
    )
    folder = forms.CharField(max_length=1000, required=False, label="Folder", help_text="Leave empty for the root.")
    summary = forms.CharField(max_length=300, required=False, label="What changes")
