"""Pages of imports and mirrors."""

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from registry.policies import require_repo
from registry.services import sources
from registry.services.sources import Wanted
from web.forms import submit
from web.hub.forms import ImportForm, LoginForm, MirrorForm
from web.hub.sources import ImportPage, SourcePage
from web.links import repo_url
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from registry.models import Repo


@require_http_methods(["GET", "POST"])
def new_import(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    form = ImportForm(request.actor, request.POST or None, initial={"kind": request.GET.get("kind", "model")})
    if request.method == "POST" and (repo := submit(form, _asked, request)):
        return HttpResponseRedirect(repo_url(repo, "source"))
    return render(request, "hub/import_repository.html", ImportPage.of(form), status=form_status(request))


@require_http_methods(["GET", "POST"])
def source(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    """How an import or a mirror is going; a POST changes a mirror."""
    if request.method == "GET":
        repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
        return _page(request, repo)
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    form = MirrorForm(request.POST)
    if submit(form, _changed, request, repo):
        messages.success(request, "The mirror is changed.")
        return HttpResponseRedirect(repo_url(repo, "source"))
    return _page(request, repo, mirror_form=form, status=400)


@require_POST
def run(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    form = LoginForm(request.POST)
    if submit(form, _run, request, repo):
        return HttpResponseRedirect(repo_url(repo, "source"))
    return _page(request, repo, login_form=form, status=400)


@require_POST
def stop(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_ADMIN)
    sources.stop(request.actor, repo)
    messages.success(request, "This is an ordinary repository now.")
    return HttpResponseRedirect(repo_url(repo))


def _asked(
    request: Request, *, kind: str, namespace_name: str, name: str, visibility: str, every_h: int | None, **more: str
) -> "Repo":
    wanted = Wanted(every_h=every_h or 0, **more)
    return sources.import_repo(request.actor, kind, namespace_name, name, wanted, visibility=visibility)


def _run(request: Request, repo: "Repo", *, username: str, token: str) -> Any:
    """A form without a token keeps the login that there is."""
    login = {"username": username, "token": token} if token else {}
    return sources.run_now(request.actor, repo, **login)


def _changed(request: Request, repo: "Repo", *, every_h: int, username: str, token: str, forgets_login: bool) -> Any:
    login = {"username": "", "token": ""} if forgets_login else {"username": username, "token": token} if token else {}
    return sources.update_mirror(request.actor, repo, every_h=every_h, **login)


def _page(request: Request, repo: "Repo", *, status: int = 200, **given: Any) -> HttpResponse:
    page = SourcePage.of(repo, request.actor, sources.source_of(repo), **given)
    return render(request, "hub/source.html", page, status=status)
