"""Recalls: the list, opening one, its page, what is done about it, evidence."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor, system
from accounts.permissions import Action
from common.errors import Conflict, Forbidden, Invalid, NotFound
from market import recall_evidence
from market import recall_queries as queries
from market.recall_policies import manages, require_recall
from market.services import recall_actions, recall_retraining, recalls
from registry.policies import require_version
from registry.queries import versions_of
from web.exports import csv_response
from web.forms import submit, uuid_of
from web.links import version_url
from web.market.recall_forms import CHOICES_LIMIT, LiftForm, RecallForm
from web.market.recall_pages import NewRecallPage, RecallPage, RecallsPage, recall_url
from web.render import Request, form_status, render


@require_GET
def recall_list(request: Request) -> HttpResponse:
    page = RecallsPage.of(request.actor, request.GET.get("state", ""), request.GET.get("cursor", ""))
    return render(request, "market/recalls.html", page)


@require_http_methods(["GET", "POST"])
def new_recall(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    given = request.POST.get("version_uuid") or request.GET.get("version") or ""
    # staff recall what they may not even see: they are told of it from outside
    reader = system("recalls") if request.actor.is_staff else request.actor
    version = require_version(reader, uuid_of(given), Action.REPO_DISCOVER)
    if not (request.actor.is_staff or request.actor.may(Action.RECALL_MANAGE, version.repo.namespace_id)):
        raise Forbidden("Only owners and admins of its namespace, and the staff of this site, can recall a version.")
    others = [each for each in versions_of(version.repo)[: CHOICES_LIMIT + 1] if each.pk != version.pk]
    form = RecallForm(others, request.POST or None, initial={"version_uuid": version.uuid, "severity": "warn"})
    if request.method == "POST" and (made := submit(form, recalls.open_recall, request.actor)):
        messages.success(request, "It is recalled. Below stands what that reaches; nobody has been told yet.")
        return HttpResponseRedirect(recall_url(made.uuid))
    title = f"{version.repo.namespace.name}/{version.repo.name} {version.name}"
    page = NewRecallPage(f"Recall {title}", title, version_url(version.repo, version.name), form)
    return render(request, "market/new_recall.html", page, status=form_status(request))


@require_GET
def recall(request: Request, uuid: UUID) -> HttpResponse:
    return _page(request, uuid)


@require_POST
def action(request: Request, uuid: UUID, deed: str) -> HttpResponse:
    """What is done about the whole: one address for each deed."""
    if deed not in _DEEDS:
        raise NotFound("There is no such deed.")
    request.actor.require_authenticated()
    run, said = _DEEDS[deed]
    try:
        run(request.actor, uuid, request.POST)
    except (Conflict, Invalid) as error:
        return _page(request, uuid, status=400, problem=error.message)
    messages.success(request, said)
    return HttpResponseRedirect(recall_url(uuid))


@require_POST
def lifting(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    form = LiftForm(request.POST)
    if submit(form, recalls.lift_recall, request.actor, uuid):
        messages.success(request, "The recall is lifted: all is open as before, and everybody who was told is told.")
        return HttpResponseRedirect(recall_url(uuid))
    return _page(request, uuid, status=400, lift_form=form)


@require_POST
def item(request: Request, uuid: UUID, item_uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    deed, note = request.POST.get("deed", ""), request.POST.get("note", "")
    try:
        if deed == "retrain":
            recall_retraining.retrain_item(request.actor, uuid, item_uuid)
        else:
            recalls.handle_item(request.actor, uuid, item_uuid, deed, text=note)
    except (Conflict, Invalid) as error:
        return _page(request, uuid, status=400, problem=error.message)
    messages.success(request, "A job makes it anew." if deed == "retrain" else "Noted.")
    return HttpResponseRedirect(f"{recall_url(uuid)}#item-{item_uuid}")


@require_GET
def evidence_csv(request: Request, uuid: UUID) -> StreamingHttpResponse:
    found = _taking_part(request.actor, uuid)
    return csv_response(f"recall-{uuid}", recall_evidence.HEADINGS, recall_evidence.csv_rows(request.actor, found))


@require_GET
def evidence_json(request: Request, uuid: UUID) -> StreamingHttpResponse:
    found = _taking_part(request.actor, uuid)
    return StreamingHttpResponse(
        recall_evidence.json_pieces(request.actor, found),
        content_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="recall-{uuid}.json"',
            "Cache-Control": "private, no-store",
        },
    )


def _taking_part(actor: Actor, uuid: UUID) -> Any:
    found = require_recall(actor, uuid)
    if not manages(actor, found) and not queries.sight_of(actor, found).tallies:
        actor.require_authenticated()
        raise Forbidden("This recall reaches nothing of yours.")
    return found


def _page(request: Request, uuid: UUID, *, status: int = 200, **more: Any) -> HttpResponse:
    page = RecallPage.of(
        request.actor,
        require_recall(request.actor, uuid),
        kind=request.GET.get("kind", ""),
        state=request.GET.get("state", ""),
        cursor=request.GET.get("cursor", ""),
        events_cursor=request.GET.get("events", ""),
        **more,
    )
    return render(request, "market/recall.html", page, status=status)


def _percent_of(text: str) -> int:
    """What was entered; 0, which the service refuses, for what is no whole number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0 if text else 100


_Deed = Callable[[Actor, UUID, Any], Any]
_DEEDS: dict[str, tuple[_Deed, str]] = {
    "freeze": (
        lambda actor, uuid, given: recalls.freeze(actor, uuid, scope=given.get("scope", "own")),
        "Sales and calls have stopped.",
    ),
    "change": (
        lambda actor, uuid, given: recalls.change_recall(
            actor,
            uuid,
            reason=given.get("reason"),
            advice=given.get("advice"),
            private_note=given.get("private_note"),
            replacement=uuid_of(given["replacement"]) if given.get("replacement") else None,
        ),
        "That is what everybody reads from now on.",
    ),
    "unfreeze": (lambda actor, uuid, _given: recalls.unfreeze(actor, uuid), "Sales and calls go on."),
    "telling": (
        lambda actor, uuid, _given: recall_actions.tell_everybody(actor, uuid),
        "Everybody whom it concerns is being told.",
    ),
    "retraining": (
        lambda actor, uuid, _given: recall_actions.retrain_own(actor, uuid),
        "Jobs are being opened for what a recipe is known of.",
    ),
    "refunds": (
        lambda actor, uuid, given: recall_actions.refund_holders(
            actor, uuid, seller=given.get("seller", ""), percent=_percent_of(given.get("percent", ""))
        ),
        "Orders are being paid back, one by one.",
    ),
    "walk": (lambda actor, uuid, _given: recalls.ask_walk(actor, uuid), "Looked again what it reaches."),
    "handling": (
        lambda actor, uuid, given: recalls.handle_own(actor, uuid, given.get("deed", ""), text=given.get("note", "")),
        "Noted for everything of yours.",
    ),
    "closure": (lambda actor, uuid, _given: recalls.close_recall(actor, uuid), "The recall is closed."),
    "reopening": (lambda actor, uuid, _given: recalls.reopen_recall(actor, uuid), "The recall is open again."),
}
"""By the last part of the address: the deed, and what is said when it is done."""
