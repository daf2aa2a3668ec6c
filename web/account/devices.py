"""The page where a person lets a program in that waits with a code."""

from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.services import devices
from common.errors import NotFound
from web.forms import put_into
from web.render import Request, form_status, render


class CodeForm(forms.Form):
    code = forms.CharField(max_length=20, label="Code", help_text="Eight letters, such as BCDF-GHJK.")


@dataclass(frozen=True)
class DevicePage:
    """`found`: a program waits with `code`; else the form asks for one."""

    title: str
    form: forms.Form
    found: bool = False
    code: str = ""
    address: str = ""
    days: int = devices.TOKEN_LIFETIME.days


@never_cache
@require_http_methods(["GET", "POST"])
def device(request: Request) -> HttpResponse:
    """Type the code, see what asks, answer. The link that the program shows fills the code in and changes nothing by itself."""
    request.actor.require_authenticated()
    given = request.POST or request.GET
    form = CodeForm(given if "code" in given else None)
    if not form.is_valid():
        return _shown(request, DevicePage("Let a program in", form))
    code = form.cleaned_data["code"]
    try:
        if request.method == "POST":
            is_approved = request.POST.get("answer") == "yes"
            devices.answer_login(request.actor, code, is_approved=is_approved)
            said = "The program is signed in: you can close this page." if is_approved else "The program was refused."
            messages.success(request, said)
            return HttpResponseRedirect("/account/tokens" if is_approved else "/account/devices")
        login = devices.find_login(request.actor, code)
    except NotFound as error:
        put_into(form, error)
        return _shown(request, DevicePage("Let a program in", form))
    shown = f"{login.user_code[:4]}-{login.user_code[4:]}"
    return _shown(request, DevicePage("Let a program in?", form, found=True, code=shown, address=login.address))


def _shown(request: Request, page: DevicePage) -> HttpResponse:
    return render(request, "account_area/device.html", page, status=form_status(request))
