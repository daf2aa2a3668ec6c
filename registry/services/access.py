"""Gated repositories: asking for their content, and answering. Reading itself is opened by a grant; the download never asks here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.actors import Actor
from accounts.directory import people_behind
from accounts.permissions import Action, Level, Scope
from accounts.policies import require_holder
from accounts.services import audit, grants
from accounts.services.grants import Holder
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid, NotFound
from notices.services import notify, notify_users
from registry.models import AccessRequest, Repo
from registry.policies import can, require_repo_by_uuid
from registry.states import AccessState, Gate

REASON_LIMIT = 200
ANSWER_LIMIT = 2000
FIELDS_LIMIT = 30
_LABEL_LIMIT = 200
_OPTIONS_LIMIT = 300
_KINDS = {"text", "checkbox", "date_picker", "country", "select", "ip_location"}
_COUNTRY_LIMIT = 60


@dataclass(frozen=True)
class GateField:
    """One thing that the asker fills in. `kind`: text, checkbox (must be ticked), date_picker, country or select."""

    label: str
    kind: str
    options: tuple[str, ...] = ()
    is_required: bool = True


@dataclass(frozen=True)
class GateForm:
    """What the asker sees: the owner's own words, plain text, and the fields."""

    heading: str
    prompt: str
    button: str
    fields: tuple[GateField, ...]


def form_of(repo: Repo) -> GateForm:
    """The form that the card's front matter describes (`extra_gated_heading`, `…_prompt`, `…_button_content`, `…_fields`). Never
    raises: what cannot be understood is left out."""
    card = repo.card if isinstance(repo.card, dict) else {}
    given = card.get("extra_gated_fields")
    fields = [_field(str(label), about) for label, about in given.items()] if isinstance(given, dict) else []
    return GateForm(
        heading=_text(card.get("extra_gated_heading"), 200),
        prompt=_text(card.get("extra_gated_prompt"), 20_000),
        button=_text(card.get("extra_gated_button_content"), 80),
        fields=tuple(field for field in fields if field is not None)[:FIELDS_LIMIT],
    )


def ask(actor: Actor, repo: Repo, answers: Mapping[str, Any] | None = None, *, holder_name: str = "") -> AccessRequest:
    """Ask to read a gated repository: for oneself, or for `holder_name`, an organisation or one of its teams (`acme`,
    `acme/vision`), which takes the right to buy for it. An automatic gate accepts at once. Asked again while pending, the new
    answers stand; once accepted, nothing changes. The asker's name and e-mail address are shown to the owner. Raises Invalid
    for a repository that is open and for answers that are missing or wrong, Conflict when the asker may read already,
    Forbidden after a rejection."""
    actor.require_authenticated()
    actor.require_scope(Scope.REPO_WRITE)
    if actor.user_id is None:
        raise Forbidden("Only a person can ask for access.")
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_DISCOVER)
    _require_gate(repo)
    holder = _holder_to_ask_for(actor, holder_name)
    if not holder_name and can(actor, repo, Action.REPO_READ):
        raise Conflict("You have access to this repository already.", code="has_access")
    wanted = {"answers": checked_answers(form_of(repo), answers or {}), "asked_by_id": actor.user_id}
    with transaction.atomic():
        _lock(repo)
        request = _request_of(repo, holder)
        if request is not None and request.state == AccessState.ACCEPTED:
            return request
        if request is not None and request.state == AccessState.REJECTED:
            raise Forbidden(f"The owner has rejected this request. {request.reason}".strip(), code="access_rejected")
        if request is None:
            request = AccessRequest(repo=repo, state=AccessState.PENDING, **_columns_of(holder))
        for column, value in wanted.items():
            setattr(request, column, value)
        request.save()
        _record(actor, "registry:access:asked", request, holder)
        if repo.gate == Gate.AUTO:
            _settle(actor, request, holder, AccessState.ACCEPTED)
        else:
            notify(
                repo.namespace_id,
                "access",
                f"{actor.username} asks for access to {_name(repo)} for {_label(holder)}.",
                url=f"/subjects/{repo.kind}/{repo.uuid}",
                key=f"access:{request.uuid}:asked",
            )
    return request


def decide(
    actor: Actor, repo: Repo, state: AccessState | str, *, holder_name: str = "", uuid: UUID | str | None = None,
    reason: str = "",
) -> AccessRequest:  # fmt: skip
    """Accept a request, reject it (with a `reason` that the asker reads) or put it back among the pending ones, at any time. Named by
    its `uuid` or by who is to have access. Accepting opens the grant, the others close it. Needs the right to administer. Raises
    Invalid for a repository without a gate, NotFound for an unknown request and for one in that state already."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    _require_gate(repo)
    if state not in list(AccessState):
        raise Invalid(f"A request can be: {', '.join(AccessState)}.", fields={"state": "unknown"})
    state = AccessState(state)
    if reason and state != AccessState.REJECTED:
        raise Invalid("Only a rejection has a reason.", fields={"reason": "not a rejection"})
    if len(reason) > REASON_LIMIT:
        raise Invalid(f"Give the reason in at most {REASON_LIMIT} characters.", fields={"reason": "too long"})
    with transaction.atomic():
        _lock(repo)
        request = _find(actor, repo, holder_name, uuid)
        if request.state == state:
            raise NotFound(f"There is no such request that is not {state} already.", code="access_unchanged")
        request.reason = reason.strip()
        holder = holder_of(request)
        _settle(actor, request, holder, state)
        _tell(request, holder)
    return request


def grant_access(actor: Actor, repo: Repo, holder_name: str) -> AccessRequest:
    """Let a person, an organisation or a team (`acme/vision`) read a gated repository without their asking. Needs the right to
    administer. Raises Invalid for a repository without a gate and for somebody who has access already, NotFound for nobody."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    _require_gate(repo)
    holder = _named(actor, holder_name)
    if holder in (repo.namespace.user, repo.namespace.organization):
        raise Invalid(f"It belongs to {repo.namespace.name} already.")
    with transaction.atomic():
        _lock(repo)
        request = _request_of(repo, holder) or AccessRequest(
            repo=repo, state=AccessState.PENDING, **_columns_of(holder)
        )
        if request.pk and request.state == AccessState.ACCEPTED:
            raise Invalid(f"{_label(holder)} has access already.", code="has_access")
        _settle(actor, request, holder, AccessState.ACCEPTED)
        _tell(request, holder)
    return request


def withdraw(actor: Actor, repo: Repo, *, holder_name: str = "") -> None:
    """Take one's own wish back, and with it the access that it brought. For an organisation or team it takes the right to buy for
    it. A second call changes nothing; a rejection stays."""
    actor.require_authenticated()
    actor.require_scope(Scope.REPO_WRITE)
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_DISCOVER)
    holder = _holder_to_ask_for(actor, holder_name)
    with transaction.atomic():
        _lock(repo)
        request = _request_of(repo, holder)
        if request is None or request.state == AccessState.REJECTED:
            return
        grants.revoke_for(actor, repo, holder, source=request.source)
        _record(actor, "registry:access:withdrawn", request, holder)
        request.delete()


def checked_answers(form: GateForm, answers: Mapping[str, Any]) -> dict[str, Any]:
    """What was filled in, for the fields of `form` and no others. Raises Invalid with a sentence per field."""
    kept: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in form.fields:
        given = answers.get(field.label)
        if field.kind == "checkbox":
            is_ticked = given is True or (isinstance(given, str) and given.lower() in {"on", "true", "1", "yes"})
            if field.is_required and not is_ticked:
                wrong[field.label] = "this must be agreed to"
            kept[field.label] = is_ticked
            continue
        text = given.strip() if isinstance(given, str) else ""
        if problem := _problem(field, text):
            wrong[field.label] = problem
        elif text:
            kept[field.label] = text
    if wrong:
        raise Invalid(
            "Please fill in: " + "; ".join(f"{label} ({problem})" for label, problem in wrong.items()) + ".",
            fields=wrong,
        )
    return kept


def holder_of(request: AccessRequest) -> Holder:
    """Who is to read."""
    holder = request.user or request.organization or request.team
    assert holder is not None
    return holder


def holder_name_of(request: AccessRequest) -> str:
    """As people write it: `anna`, `acme`, `acme/vision`."""
    return _label(holder_of(request))


def _problem(field: GateField, text: str) -> str:
    if not text:
        return "missing" if field.is_required else ""
    if len(text) > ANSWER_LIMIT or "\x00" in text:
        return f"at most {ANSWER_LIMIT} characters"
    if field.kind == "select" and text not in field.options:
        return "choose one of the list"
    if field.kind == "country" and len(text) > _COUNTRY_LIMIT:
        return "not a country"
    if field.kind == "date_picker":
        try:
            date.fromisoformat(text)
        except ValueError:
            return "a date such as 2026-01-31"
    return ""


def _field(label: str, about: Any) -> GateField | None:
    label = label.strip()
    is_described = isinstance(about, dict)
    kind = about.get("type") if is_described else about
    is_required = not (is_described and about.get("optional") is True)
    options = _options(about.get("options")) if is_described else ()
    if not label or len(label) > _LABEL_LIMIT or not isinstance(kind, str) or kind not in _KINDS:
        return None
    # where somebody is, nobody fills in; and a choice without choices cannot be made
    if kind == "ip_location" or (kind == "select" and not options):
        return None
    return GateField(label, kind, options, is_required)


def _options(given: Any) -> tuple[str, ...]:
    found = []
    for option in given[:_OPTIONS_LIMIT] if isinstance(given, list) else ():
        value = option.get("value", option.get("label")) if isinstance(option, dict) else option
        if isinstance(value, str | int | float) and str(value).strip():
            found.append(str(value).strip()[:_LABEL_LIMIT])
    return tuple(dict.fromkeys(found))


def _text(value: Any, limit: int) -> str:
    return value.strip()[:limit] if isinstance(value, str) else ""


def _require_gate(repo: Repo) -> None:
    if repo.gate == Gate.OPEN:
        raise Invalid(f"{_name(repo)} is not gated: whoever sees it can read it.", code="not_gated")


def _holder_to_ask_for(actor: Actor, holder_name: str) -> Holder:
    """The actor, or the organisation or team they may speak for."""
    holder = require_holder(actor, holder_name or actor.username)
    if _kind(holder) == "user":
        if holder.pk != actor.user_id:
            raise Forbidden("You can ask for yourself, or for an organisation where you may buy.")
        return holder
    organization: Any = getattr(holder, "organization", holder)
    if not actor.may(Action.NAMESPACE_BUY, organization.namespace.pk):
        raise Forbidden(f"You may not ask for access in the name of {organization.namespace.name}.")
    return holder


def _named(actor: Actor, holder_name: str) -> Holder:
    try:
        return require_holder(actor, holder_name)
    except Invalid as error:
        raise NotFound(error.message) from error


def _find(actor: Actor, repo: Repo, holder_name: str, uuid: UUID | str | None) -> AccessRequest:
    if uuid is not None:
        request = AccessRequest.objects.filter(repo=repo, uuid=uuid).first()
    else:
        request = _of_name(repo, holder_name) or _request_of(repo, _named(actor, holder_name))
    if request is None:
        raise NotFound("There is no such access request.")
    request.repo = repo
    return request


def _of_name(repo: Repo, holder_name: str) -> AccessRequest | None:
    """The request of a team, by its name: whoever administers the repository has read it in the list, member or not."""
    owner, slash, team = holder_name.strip().partition("/")
    if not slash:
        return None
    return AccessRequest.objects.filter(
        repo=repo, team__organization__namespace__name__iexact=owner, team__name__iexact=team
    ).first()


def _request_of(repo: Repo, holder: Holder) -> AccessRequest | None:
    request = AccessRequest.objects.filter(repo=repo, **_columns_of(holder)).first()
    if request is not None:
        request.repo = repo
    return request


def _kind(holder: Holder) -> str:
    """user, organization or team: also the name of the column."""
    return type(holder).__name__.lower()


def _columns_of(holder: Holder) -> dict[str, Any]:
    return {_kind(holder): holder}


def _lock(repo: Repo) -> None:
    """One deed at a time on a repository's requests."""
    Repo.objects.select_for_update(no_key=True).get(pk=repo.pk)


def _settle(actor: Actor, request: AccessRequest, holder: Holder, state: AccessState) -> None:
    request.state, request.decided_at, request.decided_by_id = state, now(), actor.user_id
    if state != AccessState.REJECTED:
        request.reason = ""
    request.save()
    if state == AccessState.ACCEPTED:
        grants.grant(actor, request.repo, holder, Level.READ, source=request.source)
    else:
        grants.revoke_for(actor, request.repo, holder, source=request.source)
    _record(actor, "registry:access:decided", request, holder)


def _tell(request: AccessRequest, holder: Holder) -> None:
    repo = request.repo
    said = {
        AccessState.ACCEPTED: f"You can now read {_name(repo)} ({_label(holder)}).",
        AccessState.REJECTED: f"Access to {_name(repo)} was refused ({_label(holder)}). {request.reason}".strip(),
        AccessState.PENDING: f"Access to {_name(repo)} was taken back for now ({_label(holder)}).",
    }[AccessState(request.state)]
    asker = [request.asked_by_id] if request.asked_by_id else []
    notify_users([*people_behind(holder), *asker], "access", said, url=f"/subjects/{repo.kind}/{repo.uuid}")


def _record(actor: Actor, tag: str, request: AccessRequest, holder: Holder) -> None:
    audit.record(
        actor,
        tag,
        "repo",
        request.repo.uuid,
        namespace_id=request.repo.namespace_id,
        holder=f"{_kind(holder)}:{holder.uuid}",
        state=str(request.state),
    )


def _name(repo: Repo) -> str:
    return f"{repo.namespace.name}/{repo.name}"


def _label(holder: Any) -> str:
    match _kind(holder):
        case "user":
            return str(holder.username)
        case "team":
            return f"{holder.organization.namespace.name}/{holder.name}"
        case _:
            return str(holder.namespace.name)
