"""What every installation shares: applications, middleware, templates, limits. What an operator may change is in `env.py`."""

from config.settings.env import (
    ROOT,
    Environment,
    cache_from_url,
    database_from_url,
    mail_from_url,
    payments_from,
)
from config.settings.hardware import hardware_prices

ENV = Environment()

BASE_DIR = ROOT
DATA = ENV.data

INSTALLED_APPS = [
    "config",
    "work",
    "accounts",
    "lineage",
    "metering",
    "notices",
    "registry",
    "compute",
    "market",
    "web",
    "api",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]

# guardian's own anonymous user row: ours is accounts.actors.anonymous()
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False

MIDDLEWARE = [
    "config.middleware.RequestContext",
    "config.middleware.ContentSecurityPolicy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "web.middleware.PageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "web.frame.frame",
            ],
        },
    }
]

CACHES = cache_from_url(ENV.cache_url)
DATABASES = {"default": database_from_url(ENV.database_url, DATA)}
STORAGE_URL = ENV.storage_url or f"file://{DATA / 'blobs'}"
BROKER_URL = ENV.broker_url
PUBLIC_URL = ENV.public_url
INFERENCE_URL = ENV.inference_url
JOB_RUNNER = ENV.job_runner
BLIND_RUNS_PER_MONTH = ENV.blind_runs_per_month
TRIAL_CALLS_PER_DAY = ENV.trial_calls_per_day
HARDWARE_PRICES = hardware_prices(ENV.hardware_prices)
HARDWARE_PRICES_ARE_DEFAULT = not ENV.hardware_prices
HOSTING_UTILISATION_PERCENT = min(100, max(1, ENV.hosting_utilisation_percent))
BLIND_ROWS_MAX = max(50, ENV.blind_rows_max)
GARBAGE_WINDOW_DAYS = max(2, ENV.garbage_window_days)
STORAGE_QUOTA_BYTES = ENV.storage_quota_bytes
JOB_SLOTS = ENV.job_slots
INFERENCE_MEMORY_BYTES = ENV.inference_memory_bytes
INFERENCE_CALLS_PER_S = ENV.inference_calls_per_s
PLATFORM_FEE_PERCENT = ENV.platform_fee_percent
PAYOUT_EVERY_DAYS = max(1, ENV.payout_every_days)
SITE_TERMS = ENV.site_terms
PURCHASE_APPROVAL_DAYS = max(1, ENV.purchase_approval_days)
PAYOUT_HOLDING_DAYS = ENV.payout_holding_days
PAYOUT_MINIMUM = ENV.payout_minimum
RETURN_DECISION_DAYS = max(1, ENV.return_decision_days)
SUBSCRIPTION_NOTICE_DAYS = ENV.subscription_notice_days
SUBSCRIPTION_RETRY_DAYS = ENV.subscription_retry_days
SUBSCRIPTION_GRACE_DAYS = ENV.subscription_grace_days
SUBSCRIPTION_END_DAYS = ENV.subscription_end_days
SUBSCRIPTION_OVERAGE = ENV.subscription_overage
LISTING_REVIEW = ENV.listing_review
LISTING_CODE = ENV.listing_code
PAYMENTS = payments_from(ENV)
ALLOWED_HOSTS = list(ENV.allowed_hosts)

LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATICFILES_DIRS = [ROOT / "static"]
STATIC_ROOT = ENV.static_root or ROOT / "static-collected"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA / "files"}},
    # File names carry their digest, so browsers may keep them for ever.
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENV.email_from
_mail = mail_from_url(ENV.email_url, DATA)
EMAIL_BACKEND = _mail.pop("EMAIL_BACKEND")
globals().update(_mail)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_PRESERVE_USERNAME_CASING = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Per address and per account name; the measure is what the Python package index allows.
ACCOUNT_RATE_LIMITS = {"login_failed": "10/5m/ip,10/5m/key", "login": "30/m/ip", "reset_password": "20/m/ip,5/d/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if ENV.trusted_proxy else 0
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.v1.authentication.TokenAuthentication",
        "api.v1.authentication.SessionOfPages",
    ],
    # rights are asked of the policies, by name, in the services; there is no second place for them
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["api.v1.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "api.v1.schema.Schema",
    "EXCEPTION_HANDLER": "api.v1.errors.render_error",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mercato",
    "DESCRIPTION": "The first-party interface of a Mercato installation: everything that its pages can do.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVERS": [{"url": "/"}],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # choices stay where they are used: named enumerations would tie one word of two areas to one name
    "POSTPROCESSING_HOOKS": ["api.v1.schema.add_problem"],
}

# Uploads stream through views that read the request themselves; this bounds forms and JSON only.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# A cookie of its own name: other Django sites on the same host would overwrite "sessionid".
SESSION_COOKIE_NAME = "mercato_session"
CSRF_COOKIE_NAME = "mercato_csrf"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "web.errors.csrf_failure"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
TRUSTED_PROXY = ENV.trusted_proxy
if TRUSTED_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# Everything a page loads comes from this site; there is no inline script or style. `connect-src` names the inference
# process because the try-it form calls it from the browser.
CONTENT_SECURITY_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": f"'self' {INFERENCE_URL}",
    "form-action": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}

# config/logs.py sets the logs up, alike in every process.
LOGGING_CONFIG = None
LOG_FORMAT = ENV.log_format
LOG_LEVEL = ENV.log_level
METRICS_ALLOW = ENV.metrics_allow
OUTGOING_ALLOW = ENV.outgoing_allow
