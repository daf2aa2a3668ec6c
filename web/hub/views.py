"""Pages of repositories: who and what, what to show, how."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from accounts.policies import require_namespace
from registry import queries
from registry.comparison.naming import ref_of
from registry.errors import EntryNotFound
from registry.policies import can, require_repo
from registry.services import exports, quarantine, reading, repos, sharing, storage
from web.exports import csv_response
from web.forms import submit
from web.hub.addresses import place_of
from web.hub.commits import CommitPage
from web.hub.forms import QuarantineForm, RenameForm, RepoForm, SettingsForm, UploadForm
from web.hub.history import history_rows
from web.hub.lineage import LineagePage
from web.hub.pages import BrowsePage, CardPage, CommitsPage, FilePage, FolderPage, NamespacePage
from web.hub.previews import IMAGE_BYTES, image_type
from web.hub.safety import SafetyPage
from web.hub.settings import NewRepoPage, SettingsPage, UploadPage
from web.hub.uploads import commit_files, delete_file
from web.links import compare_url, repo_url
from web.render import Request, form_status, render, render_part
from web.sharing import REPO_LEVELS, ShareForm, share_with, take_back

if TYPE_CHECKING:
    from registry.models import Repo


@require_GET
def browse(request: Request, kind: str) -> HttpResponse:
    page = BrowsePage.of(request.actor, kind, request.GET)
    return render(request, "hub/browse.html", page)


@require_GET
def namespace(request: Request, name: str) -> HttpResponse:
    owner = require_namespace(request.actor, name)
    return render(request, "hub/namespace.html", NamespacePage.of(request.actor, owner))


@require_http_methods(["GET", "POST"])
def new_repo(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    form = RepoForm(request.actor, request.POST or None, initial={"kind": request.GET.get("kind", "model")})
    if request.method == "POST" and (repo := submit(form, repos.create_repo, request.actor)):
        return HttpResponseRedirect(repo_url(repo))
    return render(request, "hub/new.html", NewRepoPage.of(form), status=form_status(request))


@require_GET
def card(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    return render(request, "hub/card.html", CardPage.of(repo, request.actor))


@require_GET
def tree(request: Request, kind: str, namespace: str, name: str, rest: str = "") -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    page = FolderPage.of(repo, request.actor, place_of(repo, rest), request.GET.get("cursor", ""))
    return render(request, "hub/tree.html", page)


@require_GET
def blob(request: Request, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    place = place_of(repo, rest)
    if queries.entry_at(place.commit, place.path).is_dir:
        return HttpResponseRedirect(repo_url(repo, "tree", place.revision, place.path))
    reading.note_reading(request.actor, repo, place.commit)
    return render(request, "hub/file.html", FilePage.of(repo, request.actor, place))


@require_GET
def preview(request: Request, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """The preview of a file as a fragment, while the sandbox makes it."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    place = place_of(repo, rest)
    if queries.entry_at(place.commit, place.path).is_dir:
        raise EntryNotFound("A folder has no preview.")
    return render_part("hub/_preview.html", FilePage.of(repo, request.actor, place))


@require_GET
def image(request: Request, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """A picture of the repository, shown in its page: only formats without script, only what its first bytes prove."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    place = place_of(repo, rest)
    entry = queries.entry_at(place.commit, place.path)
    quarantine.require_free(repo, [] if entry.is_dir else [entry.ref], actor=request.actor)
    raw = (
        b""
        if entry.is_dir or entry.size_bytes > IMAGE_BYTES
        else storage.read_blob(queries.blob_of(entry), IMAGE_BYTES)
    )
    media_type = image_type(raw)
    if not media_type:
        raise EntryNotFound("This is not a picture that can be shown.")
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(raw, content_type=media_type, headers={**headers, "Cache-Control": "private, max-age=3600"})


@require_GET
def commits(request: Request, kind: str, namespace: str, name: str, rest: str = "") -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    return render(request, "hub/commits.html", CommitsPage.of(repo, request.actor, place_of(repo, rest)))


@require_GET
def commit(request: Request, kind: str, namespace: str, name: str, oid: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    page = CommitPage.of(repo, request.actor, queries.resolve_revision(repo, oid))
    return render(request, "hub/commit.html", page)


@require_GET
def newest_compared(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    """The two newest versions of a repository, on the page where any versions are compared."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    newest = list(queries.versions_of(repo)[:2])
    for version in newest:
        version.repo = repo
    return HttpResponseRedirect(compare_url([ref_of(version) for version in reversed(newest)]))


@require_GET
def metric_csv(request: Request, kind: str, namespace: str, name: str) -> HttpResponseBase:
    """One metric over all versions, the oldest first."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    metric = request.GET.get("metric", "")
    header = ["version", "published", "metric", "value", "low", "high", "samples", "on"]
    return csv_response(f"{metric}-of-{repo.name}", header, history_rows(repo, metric))


@require_GET
def lineage(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    return render(request, "hub/lineage.html", LineagePage.of(repo, request.actor, request.GET.get("version", "")))


@require_http_methods(["GET", "POST"])
def settings(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    form = SettingsForm(request.POST or None, initial=_present(repo))
    if request.method == "POST" and submit(form, repos.update_settings, request.actor, repo):
        messages.success(request, "The settings are saved.")
        return HttpResponseRedirect(repo_url(repo, "settings"))
    return _settings(request, repo, form=form, status=form_status(request))


@require_POST
def rename(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    form = RenameForm(request.actor, request.POST)
    if renamed := submit(form, repos.rename_repo, request.actor, repo):
        messages.success(request, f"It is called {renamed.namespace.name}/{renamed.name} now.")
        return HttpResponseRedirect(repo_url(renamed, "settings"))
    return _settings(request, repo, rename_form=form, status=400)


@require_POST
def shares(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    form = ShareForm(REPO_LEVELS, request.POST)
    if share_with(request, form, repo, sharing.share):
        return HttpResponseRedirect(repo_url(repo, "settings") + "#sharing")
    return _settings(request, repo, share_form=form, status=400)


@require_POST
def share_removal(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    take_back(request, repo, sharing.unshare)
    # one may give up the share that one came in with
    is_admin = can(request.actor, repo, Action.REPO_ADMIN)
    return HttpResponseRedirect(repo_url(repo, "settings") + "#sharing" if is_admin else f"/{repo.kind}s")


@require_POST
def ask_for_export(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    exports.ask_for_export(request.actor, repo=repo)
    messages.success(request, "The archive is being made; you will be told.")
    return HttpResponseRedirect(repo_url(repo, "settings") + "#exports")


@require_POST
def delete(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    repos.delete_repo(request.actor, repo)
    messages.success(request, f"{repo.namespace.name}/{repo.name} is deleted. Staff can bring it back.")
    return HttpResponseRedirect(f"/{repo.kind}s")


@require_http_methods(["GET", "POST"])
def upload(request: Request, kind: str, namespace: str, name: str, branch: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    form = UploadForm(request.POST or None, request.FILES or None, initial={"folder": request.GET.get("folder", "")})
    if request.method == "POST" and submit(form, commit_files, request.actor, repo, branch):
        messages.success(request, "The files are in.")
        return HttpResponseRedirect(repo_url(repo, "tree", branch, form.cleaned_data["folder"].strip("/")))
    return render(
        request, "hub/upload.html", UploadPage.of(repo, request.actor, branch, form), status=form_status(request)
    )


@require_GET
def safety(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    return render(request, "hub/safety.html", SafetyPage.of(repo, request.actor))


@require_POST
def quarantines(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    """Hold a file back."""
    needed = Action.REPO_READ if request.actor.is_staff else Action.REPO_ADMIN
    repo = require_repo(request.actor, kind, namespace, name, needed)
    revision = request.POST.get("revision") or f"refs/heads/{repo.default_branch}"
    entry = queries.entry_at(queries.resolve_revision(repo, revision), request.POST.get("path", ""))
    form = QuarantineForm(request.POST)
    if submit(form, quarantine.quarantine_file, request.actor, repo, entry):
        messages.success(request, f"{entry.name} is under quarantine.")
    else:
        messages.error(request, "Say why, in a sentence: the file is not under quarantine yet.")
    return HttpResponseRedirect(repo_url(repo, "blob", revision, entry.path) + "#safety")


@require_POST
def release(request: Request, kind: str, namespace: str, name: str, uuid: UUID) -> HttpResponse:
    """Let a file go again."""
    needed = Action.REPO_READ if request.actor.is_staff else Action.REPO_ADMIN
    repo = require_repo(request.actor, kind, namespace, name, needed)
    form = QuarantineForm(request.POST)
    if submit(form, quarantine.release, request.actor, uuid):
        messages.success(request, "The file is free again.")
    else:
        messages.error(request, "Say why, in a sentence: the file is still under quarantine.")
    return HttpResponseRedirect(repo_url(repo, "safety"))


@require_POST
def deletion(request: Request, kind: str, namespace: str, name: str, branch: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    path = request.POST.get("path", "")
    delete_file(request.actor, repo, branch, path)
    messages.success(request, f"{path} is deleted; earlier commits still hold it.")
    return HttpResponseRedirect(repo_url(repo, "tree", branch))


def _settings(
    request: Request,
    repo: "Repo",
    *,
    form: SettingsForm | None = None,
    rename_form: RenameForm | None = None,
    share_form: ShareForm | None = None,
    status: int = 200,
) -> HttpResponse:
    named = {"namespace_name": repo.namespace.name, "name": repo.name}
    page = SettingsPage.of(
        repo,
        request.actor,
        form or SettingsForm(initial=_present(repo)),
        rename_form or RenameForm(request.actor, initial=named),
        share_form or ShareForm(REPO_LEVELS),
    )
    return render(request, "hub/settings.html", page, status=status)


def _present(repo: "Repo") -> dict[str, str]:
    return {"description": repo.description, "visibility": repo.visibility, "gate": repo.gate}
