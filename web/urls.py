"""All pages, in matching order. Stands last in the site's table: its end takes any two segments."""

from web.account import urls as account
from web.hub import urls as hub
from web.market import urls as market
from web.moving import urls as moving
from web.shell import urls as shell
from web.storage import urls as storage
from web.work import urls as work

urlpatterns = [
    *shell.urlpatterns,
    *account.urlpatterns,
    *market.urlpatterns,
    *work.urlpatterns,
    *storage.urlpatterns,
    *moving.urlpatterns,
    *hub.urlpatterns,
    *hub.last,
]
