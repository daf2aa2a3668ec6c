"""For the open network: HTTPS only, and nothing that an operator must decide is guessed.

Expects SECRET_KEY or a data folder that outlives the machine, PUBLIC_URL with https, and a proxy of ours in front that ends
TLS, sets X-Forwarded-Proto and X-Forwarded-For, and strips what the client sent under these names (TRUSTED_PROXY=1)."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.settings.computed import secret_key_in
from config.settings.defaults import *  # noqa: F403
from config.settings.defaults import DATA, ENV, PUBLIC_URL

SECRET_KEY = ENV.secret_key or secret_key_in(DATA)
DEBUG = False

if urlsplit(PUBLIC_URL).scheme != "https":
    raise ImproperlyConfigured(f"PUBLIC_URL must begin with https:// in production, not {PUBLIC_URL!r}.")
if not ENV.trusted_proxy:
    raise ImproperlyConfigured(
        "Production needs the proxy that ends TLS: set TRUSTED_PROXY=1 once it sets X-Forwarded-Proto."
    )
ALLOWED_HOSTS = sorted({urlsplit(PUBLIC_URL).hostname or "", *ENV.allowed_hosts})

SECURE_SSL_REDIRECT = True
# Probes and scrapers come from inside, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^-/"]
SECURE_HSTS_SECONDS = ENV.hsts_seconds
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
