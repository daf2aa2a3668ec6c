"""The page of comparisons and what it asks for."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from common.errors import DomainError, Invalid, TooMany
from market.prices import compare_offers
from registry.services import studies, trials
from web.exports import csv_response
from web.hub.compare import Wanted, compare_page, csv_header, csv_rows, studies_part
from web.hub.trials import ask
from web.render import Request, render, render_part


@require_GET
def compare(request: Request) -> HttpResponse:
    return render(request, "hub/compare.html", compare_page(request.actor, Wanted.of(request.actor, request.GET)))


@require_GET
def compare_csv(request: Request) -> HttpResponseBase:
    """The table of the comparison, whole."""
    wanted = _wanted(request, request.GET)
    comparison = compare_offers(request.actor, wanted.versions, wanted.base)
    names = "-".join(version.name for version in wanted.versions)
    return csv_response(f"compare-{names}", csv_header(comparison), csv_rows(comparison))


@require_http_methods(["GET", "POST"])
def compare_studies(request: Request) -> HttpResponse:
    """Charts and weights as a fragment, while a worker finds them out; posted to, that is asked for."""
    if request.method == "POST":
        return _ask_studies(request)
    wanted = _wanted(request, request.GET)
    comparison = compare_offers(request.actor, wanted.versions, wanted.base)
    return render_part("hub/_compare_studies.html", studies_part(request.actor, wanted, comparison))


@require_GET
def answers_of(request: Request) -> HttpResponse:
    """The answers to an input as a fragment, while versions are being asked."""
    page = compare_page(request.actor, _wanted(request, request.GET))
    return render_part("hub/_compare_answers.html", page.trial)


@require_POST
def trial(request: Request) -> HttpResponse:
    """Ask the versions with an input; or, with the uuid of one that was given, those that have not been asked with it."""
    request.actor.require_authenticated()
    wanted = _wanted(request, request.POST)
    given = {name: str(value) for name, value in request.POST.items()}
    try:
        if given.get("form") == "again":
            made = trials.trial_of(wanted.trial)
            trials.ask_versions(request.actor, made, wanted.versions)
        else:
            made = ask(request.actor, wanted.versions, given, request.FILES)
    except (Invalid, TooMany) as error:
        page = compare_page(request.actor, wanted, problem=error.message, given=given)
        return render(request, "hub/compare.html", page, status=error.status)
    return HttpResponseRedirect(wanted.href(trial=str(made.uuid)) + "#answers")


def _ask_studies(request: Request) -> HttpResponse:
    """Have speed and memory, or weights, found out for the versions that the reader may read."""
    request.actor.require_authenticated()
    wanted = _wanted(request, request.POST)
    base = wanted.versions[wanted.base]
    problems = []
    for version in wanted.versions:
        try:
            if request.POST.get("study") == "speed":
                studies.ask_speed(request.actor, version)
            elif version is not base:
                studies.ask_weights(request.actor, base, version)
        except DomainError as error:
            problems.append(error.message)
    for problem in dict.fromkeys(problems):
        messages.warning(request, problem)
    return HttpResponseRedirect(wanted.href() + "#studies")


def _wanted(request: Request, asked: QueryDict) -> Wanted:
    """Raises Invalid unless there are two versions."""
    wanted = Wanted.of(request.actor, asked)
    if len(wanted.versions) < 2:
        raise Invalid("Name at least two versions to compare.", fields={"v": "too few"})
    return wanted
