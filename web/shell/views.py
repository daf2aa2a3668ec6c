"""Pages about the site itself."""

from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from web.frame import THEMES
from web.render import Request, render
from web.shell.gallery import GalleryPage


@require_GET
def gallery(request: Request) -> HttpResponse:
    if not (settings.DEBUG or request.actor.is_staff):
        raise Http404
    return render(request, "shell/gallery.html", GalleryPage.of())


@require_POST
def theme(request: Request) -> HttpResponse:
    """The next theme, remembered for a year, back to where one was."""
    current = request.COOKIES.get("theme", "auto")
    following = THEMES[(THEMES.index(current) + 1) % len(THEMES)] if current in THEMES else "light"
    target = request.POST.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponseRedirect(target if is_ours else "/")
    # read by the theme controller too, so not HttpOnly; it holds no secret
    response.set_cookie("theme", following, max_age=31_536_000, samesite="Lax", secure=request.is_secure())
    return response
