"""The signing keys of a person and of an organisation: what there is, adding one, revoking one."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from accounts.policies import require_organization
from registry.services import own_keys, signing
from web.account.forms import KeyForm, RevocationForm
from web.account.key_pages import KeysPage
from web.account.pages import OrganizationHead
from web.forms import submit
from web.render import Request, form_status, render


@never_cache
@require_http_methods(["GET", "POST"])
def keys(request: Request, name: str = "") -> HttpResponse:
    """`name` is the organisation's; empty for one's own."""
    owner, page_href = _owner(request, name)
    form = KeyForm(request.POST or None)
    if request.method == "POST" and (made := submit(form, own_keys.add_key, request.actor, owner)):
        messages.success(request, f"The key {made.name} is added: signatures made with it can be handed in.")
        return HttpResponseRedirect(page_href)
    return _page(request, name, form, status=form_status(request))


@require_POST
def revocation(request: Request, key_id: str, name: str = "") -> HttpResponse:
    owner, page_href = _owner(request, name)
    form = RevocationForm(request.POST)
    if key := submit(form, signing.revoke_key, request.actor, owner, key_id):
        messages.success(request, f"The key {key.name or key.key_id[:12]} is revoked.")
        return HttpResponseRedirect(page_href)
    problem = " ".join(str(error) for errors in form.errors.values() for error in errors)
    return _page(request, name, KeyForm(), problem=f"The key was not revoked: say why. {problem}", status=400)


@require_POST
def rotation(request: Request, name: str = "") -> HttpResponse:
    owner, page_href = _owner(request, name)
    signing.rotate_keys(request.actor, owner)
    messages.success(request, "This site signs with new keys from now on. What was signed stays good.")
    return HttpResponseRedirect(page_href)


def _owner(request: Request, name: str) -> tuple[str, str]:
    """Whose keys these are, and the address of the page."""
    request.actor.require_authenticated()
    if not name:
        return request.actor.username, "/account/keys"
    organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
    return organization.namespace.name, f"/organizations/{organization.namespace.name}/keys"


def _page(request: Request, name: str, form: forms.Form, *, problem: str = "", status: int = 200) -> HttpResponse:
    owner, page_href = _owner(request, name)
    head = None
    if name:
        organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
        head = OrganizationHead.of(organization, request.actor, "signing keys")
    page = KeysPage.of(owner, signing.keys_of(request.actor, owner), page_href, head, form, problem)
    template = "account_area/organization_keys.html" if head else "account_area/keys.html"
    return render(request, template, page, status=status)
