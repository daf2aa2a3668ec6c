"""What the pages with forms of a repository show."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.conf import settings

from accounts.actors import Actor
from registry.services.repos import storage_of
from web.hub.heads import RepoHead
from web.links import repo_url
from web.moving.pages import Exports
from web.sharing import Sharing

if TYPE_CHECKING:
    from registry.models import Repo


@dataclass(frozen=True)
class NewRepoPage:
    title: str
    form: forms.Form
    login_command: str
    create_command: str

    @classmethod
    def of(cls, form: forms.Form) -> "NewRepoPage":
        site = f"HF_ENDPOINT={settings.PUBLIC_URL}"
        return cls("New repository", form, f"{site} hf auth login", f"{site} hf upload OWNER/NAME FOLDER")


@dataclass(frozen=True)
class SettingsPage:
    title: str
    head: RepoHead
    form: forms.Form
    sharing: Sharing
    rename_form: forms.Form
    rename_href: str
    delete_href: str
    stored_bytes: int
    exports: Exports

    @classmethod
    def of(
        cls, repo: "Repo", actor: Actor, form: forms.Form, rename_form: forms.Form, share_form: forms.Form
    ) -> "SettingsPage":
        head = RepoHead.of(repo, actor, "settings")
        return cls(
            f"Settings of {head.full_name}",
            head,
            form,
            Sharing.of(repo, share_form, repo_url(repo)),
            rename_form,
            repo_url(repo, "renaming"),
            repo_url(repo, "deletion"),
            storage_of(repo),
            Exports.of(actor, repo_url(repo, "exports"), repo=repo),
        )


@dataclass(frozen=True)
class UploadPage:
    title: str
    head: RepoHead
    branch: str
    form: forms.Form
    tree_href: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, branch: str, form: forms.Form) -> "UploadPage":
        head = RepoHead.of(repo, actor, "files")
        return cls(f"Upload to {head.full_name}", head, branch, form, repo_url(repo, "tree", branch))
