"""Forms of people and organisations. Fields have the names of the services' arguments."""

import zoneinfo
from datetime import datetime, timedelta
from typing import Any

from django import forms

from accounts.permissions import Role, Scope
from common.clock import now

SCOPES = [
    (Scope.REPO_READ.value, "Read repositories: list, download"),
    (Scope.REPO_WRITE.value, "Write repositories: upload, commit, publish versions"),
    (Scope.JOB_RUN.value, "Run jobs and manage endpoints"),
    (Scope.ENDPOINT_USE.value, "Call endpoints"),
    (Scope.MARKET_BUY.value, "Buy, and see the wallet"),
    (Scope.MARKET_SELL.value, "Sell: listings and earnings"),
    (Scope.ACCOUNT_READ.value, "Read the account"),
    (Scope.ACCOUNT_MANAGE.value, "Manage the account, organisations and tokens"),
    (Scope.ALL.value, "Everything you may do yourself"),
]
LIFETIMES = [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "One year"), ("", "No end")]
ROLES = [
    (Role.MEMBER.value, "Member: sees what is shared with the organisation"),
    (Role.BUYER.value, "Buyer: buys, sees the wallet"),
    (Role.APPROVER.value, "Approver: buys, approves purchases, sets limits and caps"),
    (Role.PUBLISHER.value, "Publisher: uploads, runs jobs, deploys"),
    (Role.REVIEWER.value, "Reviewer: reads everything, decides what is listed"),
    (Role.ADMIN.value, "Admin: everything but owners"),
    (Role.OWNER.value, "Owner: everything"),
]


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, label="Name", help_text="What it is for, such as laptop or nightly job.")
    scopes = forms.MultipleChoiceField(choices=SCOPES, label="What it may do", widget=forms.CheckboxSelectMultiple)
    expires_at = forms.ChoiceField(choices=LIFETIMES, required=False, initial="90", label="Ends after")

    def clean_expires_at(self) -> datetime | None:
        days = self.cleaned_data["expires_at"]
        return now() + timedelta(days=int(days)) if days else None


class ProfileForm(forms.Form):
    display_name = forms.CharField(max_length=120, required=False, label="Name for people")
    timezone = forms.ChoiceField(label="Time zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(zoneinfo.available_timezones())
        self.fields["timezone"].choices = [(zone, zone.replace("_", " ")) for zone in zones]  # type: ignore[attr-defined]


class OrganizationForm(forms.Form):
    name = forms.CharField(
        max_length=96, label="Name", help_text="Letters, digits, dot, dash, underscore; it stands in addresses."
    )
    display_name = forms.CharField(max_length=120, required=False, label="Name for people")


class OrganizationSettingsForm(forms.Form):
    display_name = forms.CharField(max_length=120, label="Name for people")
    description = forms.CharField(
        max_length=2000, required=False, label="About", widget=forms.Textarea(attrs={"rows": 4})
    )


class InvitationForm(forms.Form):
    email = forms.EmailField(label="E-mail address")
    role = forms.ChoiceField(choices=ROLES, label="Role")


class TeamForm(forms.Form):
    name = forms.CharField(max_length=96, label="New team")


class KeyForm(forms.Form):
    name = forms.CharField(max_length=80, label="Name", help_text="What it lies on: build server, token in the safe.")
    public_key = forms.CharField(
        max_length=4000,
        label="Public key",
        widget=forms.Textarea(
            attrs={"rows": 5, "spellcheck": "false", "placeholder": "-----BEGIN PUBLIC KEY-----", "class": "mono"}
        ),
        help_text="PEM, Ed25519 or ECDSA P-256. Never the private one.",
    )


class RevocationForm(forms.Form):
    reason = forms.CharField(max_length=500, label="Why", help_text="Everybody can read it.")
