"""Sharing one thing with people, organisations and teams: the form, the list, what both post to. The same for repositories and
endpoints; the services that share are theirs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages

from accounts import queries
from accounts.permissions import Level
from accounts.policies import holder_by_uuid, require_holder
from accounts.services.grants import SHARE
from web.forms import submit, uuid_of
from web.links import namespace_url
from web.render import Request

REPO_LEVELS = [
    (Level.READ.codename, "Read: find it, download the files"),
    (Level.WRITE.codename, "Write: also upload, commit and publish versions"),
    (Level.ADMIN.codename, "Administer: also settings, sharing and deletion"),
]
ENDPOINT_LEVELS = [
    (Level.USE.codename, "Call: their calls are metered, and cost them nothing"),
    (Level.WRITE.codename, "Operate: also move, stop and start it, and see its use"),
    (Level.ADMIN.codename, "Administer: also who finds it, sharing and deletion"),
]


class ShareForm(forms.Form):
    holder = forms.CharField(
        max_length=200,
        label="Share with",
        help_text="The name of a person or of an organisation; a team as organisation/team.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    level = forms.ChoiceField(label="What they may do", widget=forms.RadioSelect)

    def __init__(self, levels: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"initial": {"level": levels[0][0]}, **kwargs})
        self.fields["level"].choices = levels  # type: ignore[attr-defined]


@dataclass(frozen=True)
class ShareRow:
    """`reference` is what the form that takes the share back sends."""

    kind: str
    name: str
    href: str
    level: str
    since: datetime
    reference: str


@dataclass(frozen=True)
class Sharing:
    """Names for `base/_sharing.html`. `other_count`: holders of rights that were bought."""

    form: forms.Form
    shares: list[ShareRow]
    other_count: int
    add_href: str
    remove_href: str

    @classmethod
    def of(cls, obj: Any, form: forms.Form, base: str) -> "Sharing":
        """`base` is the address of the thing's page. Four queries."""
        words = {value: label.partition(":")[0].lower() for value, label in form.fields["level"].choices}  # type: ignore[attr-defined]
        return cls(
            form,
            [
                ShareRow(
                    each.kind,
                    each.name,
                    namespace_url(each.name.partition("/")[0]),
                    words.get(each.level.codename, each.level.codename),
                    each.since,
                    f"{each.kind}:{each.uuid}",
                )
                for each in queries.shares_of(obj, SHARE)
            ],
            queries.count_other_holders(obj, SHARE),
            f"{base}/shares",
            f"{base}/shares/removal",
        )


def share_with(request: Request, form: ShareForm, obj: Any, share: Callable[..., None]) -> bool:
    """Do what the form says through the service `share`; False, with the reason in the form, when it was refused."""

    def deed(*, holder: str, level: str) -> bool:
        share(request.actor, obj, require_holder(request.actor, holder), Level[level.upper()])
        return True

    if not submit(form, deed):
        return False
    messages.success(request, f"It is shared with {form.cleaned_data['holder'].strip()} now.")
    return True


def take_back(request: Request, obj: Any, unshare: Callable[..., int]) -> None:
    """Take back the share that a row of the list names. A second time changes nothing."""
    kind, _, uuid = request.POST.get("holder", "").partition(":")
    unshare(request.actor, obj, holder_by_uuid(kind, uuid_of(uuid)))
    messages.success(request, "The share is taken back. It has ended everywhere.")
