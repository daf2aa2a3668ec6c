"""Forms of blind evaluations. Fields have the names of the services' arguments where they can."""

from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from backends.blind.metrics import METRICS
from common.ids import new_uuid
from market.certificates import DOCUMENT_BYTES
from market.services.blind import MOST_RUNS
from registry.policies import visible_versions
from web.namespaces import acting_namespaces

if TYPE_CHECKING:
    from market.models import Listing

CHOICES = 200


class EvaluateForm(forms.Form):
    """`test_set` is `uuid:namespace`: whose test set it is, for them the evaluation is made. `key` is made when the page is shown, so that a
    form sent twice asks once."""

    test_set = forms.ChoiceField(
        label="Test set",
        help_text="A version of a dataset of yours. It stays private: neither the seller nor anybody else learns its name or its rows.",
    )
    metric = forms.ChoiceField(
        label="Metric",
        choices=[
            ("Models that name classes", [(each.name, each.title) for each in METRICS.values() if each.is_share]),
            (
                "Models that predict numbers",
                [(each.name, each.title) for each in METRICS.values() if not each.is_share],
            ),
        ],
    )
    target = forms.CharField(
        max_length=200,
        required=False,
        label="Column of the answers",
        help_text="Of a table. Leave it empty when the column has the name that the model was trained with.",
    )
    file = forms.CharField(
        max_length=1000, required=False, label="Table", help_text="Its path, when the dataset holds several."
    )
    key = forms.CharField(max_length=80, widget=forms.HiddenInput)

    def __init__(self, actor: Actor, listing: "Listing", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"initial": {"key": f"page:{new_uuid()}"}, **kwargs})
        buyers = [each for each in acting_namespaces(actor, Action.NAMESPACE_RUN) if each.pk != listing.namespace_id]
        found = visible_versions(actor).filter(
            repo__kind="dataset", repo__namespace_id__in=[each.pk for each in buyers]
        )
        self.fields["test_set"].choices = [  # type: ignore[attr-defined]
            (
                f"{version.uuid}:{version.repo.namespace.name}",
                f"{version.repo.namespace.name}/{version.repo.name}, version {version.name}",
            )
            for version in found.order_by("-created_at", "-pk")[:CHOICES]
        ]


class RunsForm(forms.Form):
    runs = forms.IntegerField(
        min_value=0,
        max_value=MOST_RUNS,
        required=False,
        label="Runs for each buyer and month",
        help_text="0 closes the listing to blind evaluation; empty: as the site says.",
    )


class VerifyForm(forms.Form):
    document = forms.CharField(
        required=False,
        label="Certificate",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "mono"}),
        help_text="The whole text of the file.",
    )
    file = forms.FileField(required=False, label="Or the file itself")
    public_key = forms.CharField(
        max_length=4000,
        required=False,
        label="Public key",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        help_text="PEM text, for a certificate of another site. Empty: the keys of this site.",
    )

    def clean(self) -> dict[str, Any]:
        """Gives `text` and `public_pem`."""
        cleaned = super().clean() or {}
        given = cleaned.get("file")
        text = given.read(DOCUMENT_BYTES + 1) if given else cleaned.get("document", "")
        if not text:
            raise forms.ValidationError("Paste the certificate, or choose its file.")
        return {"text": text, "public_pem": cleaned.get("public_key", "")}
