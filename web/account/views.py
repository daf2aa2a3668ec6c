"""Pages of one's own account and of organisations."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import queries
from accounts.permissions import Action
from accounts.policies import require_organization, require_team
from accounts.services import identity, invitations, members, profile, teams, tokens
from web.account import pages
from web.account.forms import (
    InvitationForm,
    OrganizationForm,
    OrganizationSettingsForm,
    ProfileForm,
    TeamForm,
    TokenForm,
)
from web.forms import submit
from web.render import Request, form_status, render


@require_http_methods(["GET", "POST"])
def account(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    user = queries.user_of(request.actor)
    form = ProfileForm(request.POST or None, initial={"display_name": user.display_name, "timezone": user.timezone})
    if request.method == "POST" and submit(form, profile.update_profile, request.actor):
        messages.success(request, "Your profile is saved.")
        return HttpResponseRedirect("/account")
    return render(request, "account_area/profile.html", pages.FormPage("Profile", form), status=form_status(request))


@never_cache
@require_http_methods(["GET", "POST"])
def access_tokens(request: Request) -> HttpResponse:
    """The text of a new token is in the answer to the request that made it and nowhere else."""
    request.actor.require_authenticated()
    form = TokenForm(request.POST or None, initial={"expires_at": "90"})
    made = submit(form, tokens.issue, request.actor) if request.method == "POST" else None
    if made:
        page = pages.TokensPage.of(request.actor, TokenForm(initial={"expires_at": "90"}), secret=made[1])
        return render(request, "account_area/tokens.html", page, status=201)
    page = pages.TokensPage.of(request.actor, form)
    return render(request, "account_area/tokens.html", page, status=form_status(request))


@require_POST
def token_revocation(request: Request, uuid: UUID) -> HttpResponse:
    token = tokens.revoke(request.actor, uuid)
    messages.success(request, f"{token.name} is revoked, in every process, from now on.")
    return HttpResponseRedirect("/account/tokens")


@require_GET
def organizations(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "account_area/organizations.html", pages.OrganizationsPage.of(request.actor))


@require_http_methods(["GET", "POST"])
def new_organization(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    form = OrganizationForm(request.POST or None)
    if request.method == "POST" and submit(form, identity.create_organization, request.actor):
        return HttpResponseRedirect(f"/organizations/{form.cleaned_data['name']}")
    page = pages.FormPage("New organisation", form)
    return render(request, "account_area/new_organization.html", page, status=form_status(request))


@require_http_methods(["GET", "POST"])
def member_list(request: Request, name: str) -> HttpResponse:
    needed = Action.NAMESPACE_MANAGE if request.method == "POST" else Action.NAMESPACE_READ
    organization = require_organization(request.actor, name, needed)
    form = InvitationForm(request.POST or None)
    if request.method == "POST" and submit(form, invitations.invite, request.actor, organization):
        messages.success(request, f"An invitation is on its way to {form.cleaned_data['email']}.")
        return HttpResponseRedirect(f"/organizations/{name}")
    page = pages.MembersPage.of(organization, request.actor, form)
    return render(request, "account_area/members.html", page, status=form_status(request))


@require_POST
def member_role(request: Request, name: str, username: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
    membership = members.change_role(request.actor, organization, username, request.POST.get("role", ""))
    messages.success(request, f"{username} is {membership.role} now.")
    return HttpResponseRedirect(f"/organizations/{name}")


@require_POST
def member_removal(request: Request, name: str, username: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_READ)
    members.remove_member(request.actor, organization, username)
    messages.success(request, f"{username} is no longer a member.")
    left = username.lower() == request.actor.username.lower()
    return HttpResponseRedirect("/organizations" if left else f"/organizations/{name}")


@require_POST
def invitation_withdrawal(request: Request, name: str, uuid: UUID) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
    invitations.withdraw(request.actor, organization, uuid)
    return HttpResponseRedirect(f"/organizations/{name}")


@require_http_methods(["GET", "POST"])
def team_list(request: Request, name: str) -> HttpResponse:
    needed = Action.NAMESPACE_MANAGE if request.method == "POST" else Action.NAMESPACE_READ
    organization = require_organization(request.actor, name, needed)
    form = TeamForm(request.POST or None)
    if request.method == "POST" and submit(form, teams.create_team, request.actor, organization):
        return HttpResponseRedirect(f"/organizations/{name}/teams")
    page = pages.TeamsPage.of(organization, request.actor, form)
    return render(request, "account_area/teams.html", page, status=form_status(request))


@require_POST
def team_member(request: Request, name: str, team_name: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
    teams.add_to_team(
        request.actor, require_team(request.actor, organization, team_name), request.POST.get("username", "")
    )
    return HttpResponseRedirect(f"/organizations/{name}/teams")


@require_POST
def team_member_removal(request: Request, name: str, team_name: str, username: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_READ)
    teams.remove_from_team(request.actor, require_team(request.actor, organization, team_name), username)
    return HttpResponseRedirect(f"/organizations/{name}/teams")


@require_POST
def team_deletion(request: Request, name: str, team_name: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
    teams.delete_team(request.actor, require_team(request.actor, organization, team_name))
    messages.success(request, f"The team {team_name} is gone, with what was granted to it.")
    return HttpResponseRedirect(f"/organizations/{name}/teams")


@require_http_methods(["GET", "POST"])
def organization_settings(request: Request, name: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_MANAGE)
    present = {"display_name": organization.display_name, "description": organization.description}
    form = OrganizationSettingsForm(request.POST or None, initial=present)
    if request.method == "POST" and submit(form, profile.update_organization, request.actor, organization):
        messages.success(request, "The settings are saved.")
        return HttpResponseRedirect(f"/organizations/{name}/settings")
    page = pages.OrganizationSettingsPage.of(organization, request.actor, form)
    return render(request, "account_area/organization_settings.html", page, status=form_status(request))


@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: Request, secret: str) -> HttpResponse:
    """Joining is a deed, so the link of the mail shows a button and changes nothing by itself."""
    request.actor.require_authenticated()
    if request.method == "POST":
        membership = invitations.accept(request.actor, secret)
        name = membership.organization.namespace.name
        messages.success(request, f"You are {membership.role} of {name} now.")
        return HttpResponseRedirect(f"/organizations/{name}")
    return render(request, "account_area/invitation.html", pages.InvitationPage("Join an organisation", secret))
