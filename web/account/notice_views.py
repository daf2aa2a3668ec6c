"""Notices: the list, reading, preferences, and the link that ends mails."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import queries
from common.errors import Invalid
from notices import services as notices
from notices.services import preferences, unsubscribing
from web.account.notice_pages import NoticesPage, PreferencesForm, PreferencesPage, UnsubscribePage
from web.forms import put_into
from web.render import Request, form_status, render


@require_GET
def notice_list(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    page = NoticesPage.of(
        request.actor,
        topic=request.GET.get("topic", ""),
        is_unread=request.GET.get("unread") == "1",
        cursor=request.GET.get("cursor", ""),
    )
    return render(request, "account_area/notices.html", page)


@require_POST
def reading(request: Request, uuid: UUID | None = None) -> HttpResponse:
    """Marks one as read, or all."""
    notices.mark_read(request.actor, uuid)
    back = request.POST.get("next", "")
    is_ours = back.startswith("/notices") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return HttpResponseRedirect(back if is_ours else "/notices")


@require_http_methods(["GET", "POST"])
def preference_list(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    form = PreferencesForm(request.actor, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            preferences.set_preferences(
                request.actor, form.chosen, hour=form.cleaned_data["hour"], weekday=form.cleaned_data["weekday"]
            )
        except Invalid as error:
            put_into(form, error)
        else:
            messages.success(request, "Your choices are saved.")
            return HttpResponseRedirect("/notices/preferences")
    page = PreferencesPage("How you are told", form, queries.user_of(request.actor).timezone)
    return render(request, "account_area/notice_preferences.html", page, status=form_status(request))


@csrf_exempt  # mail programs send it, with no more than the signed address
@never_cache
@require_http_methods(["GET", "POST"])
def unsubscribe(request: Request, token: str) -> HttpResponse:
    """Opening the link changes nothing: programs that look at mails open every link. The button, or one POST by a mail program, does."""
    if request.method == "POST":
        ended = preferences.unsubscribe(token)
    else:
        unsubscribing.read_token(token)
        ended = ""
    return render(request, "account_area/unsubscribe.html", UnsubscribePage("No more mails", ended))
