"""The one place that reads the environment. Every name an operator may set is a field here, typed, with its default."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent.parent


def _text(name: str, default: str = "") -> str:
    """The variable's text; one that is set but empty counts as not set."""
    return os.environ.get(name, "").strip() or default


def _flag(name: str, *, default: bool = False) -> bool:
    raw = _text(name, "1" if default else "0").lower()
    if raw not in {"0", "1", "true", "false", "yes", "no"}:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {raw!r}")
    return raw in {"1", "true", "yes"}


def _file(name: str) -> str:
    """The text of the file that a variable names; empty when it is not set."""
    path = os.environ.get(name, "")
    return Path(path).read_text(encoding="utf-8") if path else ""


def _number(name: str, default: int) -> int:
    raw = _text(name, str(default))
    if not raw.isascii() or not raw.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}")
    return int(raw)


def _list(name: str, default: str = "") -> tuple[str, ...]:
    return tuple(part.strip() for part in _text(name, default).split(",") if part.strip())


@dataclass(frozen=True)
class Environment:
    """What the operator has set. Empty strings mean "the embedded default"."""

    data: Path = field(default_factory=lambda: Path(_text("MERCATO_DATA", str(ROOT / "data"))).resolve())
    """Folder of the database, the blobs, the secret key and the spool, unless the URLs below point elsewhere."""
    database_url: str = field(default_factory=lambda: _text("DATABASE_URL"))
    """`postgres://user:password@host:port/name`, or empty: SQLite in the data folder."""
    broker_url: str = field(default_factory=lambda: _text("BROKER_URL"))
    """`redis://…` or `amqp://…`; empty: the worker takes tasks straight from the database."""
    storage_url: str = field(default_factory=lambda: _text("STORAGE_URL"))
    """`file:///folder` or `s3://key:secret@bucket/prefix?endpoint=…&region=…`; empty: `blobs/` in the data folder."""
    secret_key: str = field(default_factory=lambda: _text("SECRET_KEY"))
    """Empty: generated once and kept in the data folder (mode 0600)."""
    public_url: str = field(default_factory=lambda: _text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/"))
    inference_url: str = field(default_factory=lambda: _text("INFERENCE_URL", "http://127.0.0.1:8001").rstrip("/"))
    """Where clients reach the inference process; shown wherever an endpoint is."""
    allowed_hosts: tuple[str, ...] = field(default_factory=lambda: _list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]"))
    trusted_proxy: bool = field(default_factory=lambda: _flag("TRUSTED_PROXY"))
    """True when a proxy of ours sets X-Forwarded-Proto and X-Forwarded-For."""
    email_url: str = field(default_factory=lambda: _text("EMAIL_URL"))
    """`smtp://user:password@host:port?tls=1`; empty: mails are written to `mail/` in the data folder."""
    email_from: str = field(default_factory=lambda: _text("EMAIL_FROM", "Mercato <mercato@localhost>"))
    platform_fee_percent: int = field(default_factory=lambda: _number("PLATFORM_FEE_PERCENT", 10))
    site_terms: str = field(default_factory=lambda: _file("SITE_TERMS_FILE"))
    purchase_approval_days: int = field(default_factory=lambda: _number("PURCHASE_APPROVAL_DAYS", 7))
    payout_every_days: int = field(default_factory=lambda: _number("PAYOUT_EVERY_DAYS", 7))
    payout_holding_days: int = field(default_factory=lambda: _number("PAYOUT_HOLDING_DAYS", 14))
    """How long what was earned stays here, so that a refund finds it."""
    payout_minimum: tuple[str, ...] = field(default_factory=lambda: _list("PAYOUT_MINIMUM", "10"))
    """Less is carried over to the next run: an amount for all currencies, then others for some: `10,JPY=1000`."""
    return_decision_days: int = field(default_factory=lambda: _number("RETURN_DECISION_DAYS", 5))
    """How long a seller has to decide a request for money back, and a buyer to take a declined one to the operator."""
    subscription_notice_days: int = field(default_factory=lambda: _number("SUBSCRIPTION_NOTICE_DAYS", 3))
    subscription_retry_days: tuple[str, ...] = field(default_factory=lambda: _list("SUBSCRIPTION_RETRY_DAYS", "1,3,7"))
    """Days after the first failure on which a renewal is tried again."""
    subscription_grace_days: int = field(default_factory=lambda: _number("SUBSCRIPTION_GRACE_DAYS", 7))
    subscription_end_days: int = field(default_factory=lambda: _number("SUBSCRIPTION_END_DAYS", 30))
    subscription_overage: tuple[str, ...] = field(default_factory=lambda: _list("SUBSCRIPTION_OVERAGE", "50"))
    """Calls beyond a quota are charged before the period ends when they come to so much; written as PAYOUT_MINIMUM."""
    listing_review: bool = field(default_factory=lambda: _flag("LISTING_REVIEW"))
    """True: staff look at every listing that strangers would see before it is published."""
    listing_code: bool = field(default_factory=lambda: _flag("LISTING_CODE", default=True))
    """False: a version that holds code is not listed; true: it is, and says so."""
    payment_backend: str = field(default_factory=lambda: _text("PAYMENT_BACKEND"))
    """Name of a backend of the family `payments`; empty: `stripe` when its key is set, else `credits`."""
    stripe_secret_key: str = field(default_factory=lambda: _text("STRIPE_SECRET_KEY"), repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(default_factory=lambda: _list("STRIPE_WEBHOOK_SECRETS"), repr=False)
    """What Stripe shows for the endpoint `/hooks/payments/stripe`; several while one is being replaced."""
    stripe_api_base: str = field(default_factory=lambda: _text("STRIPE_API_BASE"))
    """Where Stripe's API is; empty: at Stripe. For a server of one's own in tests."""
    stripe_tax: bool = field(default_factory=lambda: _flag("STRIPE_TAX"))
    """Whether Stripe Tax reckons the tax within each price."""
    job_runner: str = field(default_factory=lambda: _text("JOB_RUNNER", "process"))
    """Name of a backend of the family `runners`."""
    job_slots: int = field(default_factory=lambda: _number("JOB_SLOTS", os.cpu_count() or 2))
    """How many jobs may run at once; the others wait, fairly."""
    blind_runs_per_month: int = field(default_factory=lambda: _number("BLIND_RUNS_PER_MONTH", 5))
    """Blind evaluations that a buyer may have of one listing in a calendar month, where its seller sets no other figure; 0: none."""
    trial_calls_per_day: int = field(default_factory=lambda: _number("TRIAL_CALLS_PER_DAY", 0))
    """Calls a day to a listed endpoint that a person may make without buying, where its seller sets no other figure; 0: none."""
    hardware_prices: str = field(default_factory=lambda: _text("HARDWARE_PRICES"))
    """Machines to run models on, as JSON: `[{"name", "currency", "hour_minor", "memory_gb", "is_site"}, …]`."""
    hosting_utilisation_percent: int = field(default_factory=lambda: _number("HOSTING_UTILISATION_PERCENT", 50))
    """How busy such a machine is at most when the cost of running a model oneself is reckoned."""
    blind_rows_max: int = field(default_factory=lambda: _number("BLIND_ROWS_MAX", 10_000))
    """The largest test set of a blind evaluation, in rows."""
    garbage_window_days: int = field(default_factory=lambda: _number("GARBAGE_WINDOW_DAYS", 7))
    """How long files that nothing leads to, and deleted repositories, can be brought back; at least 2."""
    storage_quota_bytes: int = field(default_factory=lambda: _number("STORAGE_QUOTA_BYTES", 0))
    """What each namespace may store unless staff set another figure for it; 0: without limit."""
    inference_memory_bytes: int = field(default_factory=lambda: _number("INFERENCE_MEMORY_BYTES", 2 * 1024**3))
    inference_calls_per_s: int = field(default_factory=lambda: _number("INFERENCE_CALLS_PER_S", 2000))
    """Model calls a second that one token may make on one inference process."""
    cache_url: str = field(default_factory=lambda: _text("CACHE_URL"))
    """`redis://…`, shared by all web processes: rate limits and page fragments; empty: the memory of each process."""
    static_root: str = field(default_factory=lambda: _text("STATIC_ROOT"))
    """Where `collectstatic` puts the files that pages load; empty: `static-collected/` beside the code."""
    web_processes: int = field(default_factory=lambda: _number("WEB_PROCESSES", min(os.cpu_count() or 1, 4)))
    web_threads: int = field(default_factory=lambda: _number("WEB_THREADS", 8))
    """Requests that one web process answers at the same time; uploads and downloads hold one each."""
    metrics_allow: tuple[str, ...] = field(default_factory=lambda: _list("METRICS_ALLOW", "127.0.0.0/8,::1/128"))
    """Networks that may read `/-/metrics`; to all others it does not exist."""
    outgoing_allow: tuple[str, ...] = field(default_factory=lambda: _list("OUTGOING_ALLOW"))
    """Networks, none of the public internet, that requests to addresses people have typed may reach, too."""
    hsts_seconds: int = field(default_factory=lambda: _number("HSTS_SECONDS", 31_536_000))
    """How long browsers insist on HTTPS (production settings only)."""
    log_format: str = field(default_factory=lambda: _text("LOG_FORMAT", "console"))
    """`console` or `json`."""
    log_level: str = field(default_factory=lambda: _text("LOG_LEVEL", "INFO").upper())


def payments_from(env: Environment) -> dict[str, Any]:
    """`BACKEND`: who takes money that is not in a wallet; `OPTIONS`: those of each backend that has some. A backend that is no
    longer the one in use keeps its options: what was paid through it can still be returned."""
    stripe = {
        "secret_key": env.stripe_secret_key,
        "webhook_secrets": env.stripe_webhook_secrets,
        "api_base": env.stripe_api_base,
        "with_tax": env.stripe_tax,
    }
    return {
        "BACKEND": env.payment_backend or ("stripe" if env.stripe_secret_key else "credits"),
        "OPTIONS": {"stripe": stripe},
    }


def mail_from_url(url: str, data: Path) -> dict[str, Any]:
    """Django's mail settings for `url`; files in `data` when it is empty."""
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": data / "mail"}
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"}:
        raise ImproperlyConfigured(f"EMAIL_URL must begin with smtp:// or smtps://, not {parts.scheme}://")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname or "localhost",
        "EMAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": parts.scheme == "smtp" and dict(parse_qsl(parts.query)).get("tls", "1") == "1",
        # A mail server that hangs must not hold a worker for ever.
        "EMAIL_TIMEOUT": 20,
    }


def cache_from_url(url: str) -> dict[str, dict[str, Any]]:
    """Django's cache for `url`; the memory of each process when it is empty. Rate limits count in it, so in the embedded
    default each web process counts for itself."""
    if not url:
        return {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}}
        }
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured("CACHE_URL must begin with redis://, rediss:// or unix://")
    return {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url, "KEY_PREFIX": "mercato"}
    }


def database_from_url(url: str, data: Path) -> dict[str, Any]:
    """Django's database settings for `url`; SQLite in `data` when it is empty."""
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(data / "mercato.sqlite3"),
            # A connection lives as long as its thread serves: opening one and setting its pragmas costs more than a query.
            "CONN_MAX_AGE": 600,
            # IMMEDIATE: a transaction takes the write lock when it begins, so that read-then-write never fails half-way.
            # FULL: money, usage and audit rows survive a power cut (WAL with NORMAL may lose the last commits).
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA cache_size=-32000;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {**database_from_url("", data), "NAME": unquote(parts.path)}
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"DATABASE_URL must begin with postgres:// or sqlite://, not {parts.scheme}://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": dict(parse_qsl(parts.query)),
    }
