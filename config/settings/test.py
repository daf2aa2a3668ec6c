"""Settings of the tests: a data folder of this process alone, a fixed key, fast password hashing, everything else as
installed."""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="mercato-tests-")
# Each test process has its own, whatever the operator's environment names: a test never touches a real installation.
os.environ["MERCATO_DATA"] = _folder
os.environ.pop("STORAGE_URL", None)

from config.settings.defaults import *  # noqa: E402, F403
from config.settings.defaults import DATA, DATABASES  # noqa: E402

_owner = os.getpid()


def _forget() -> None:
    if os.getpid() == _owner:
        shutil.rmtree(_folder, ignore_errors=True)


atexit.register(_forget)

SECRET_KEY = "tests-only-key-" + "0" * 50
DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["*"]
# Static files are looked up when asked for. Each test client loads the middleware anew, and reading all of them took a second.
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# The ring of a broker is tested where a test starts one; elsewhere `run_due` takes the tasks from the database.
BROKER_URL = ""
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": f"tests-{_owner}"}}

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: threads and processes of a test then meet as they do in an installation. No power cut matters.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL;PRAGMA synchronous=OFF;"
else:
    # A pooled connection would outlive its test and hold the lock that the next one waits for.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
