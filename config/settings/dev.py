"""The embedded default: one machine, plain HTTP on loopback, everything in the data folder."""

from config.settings.computed import secret_key_in
from config.settings.defaults import *  # noqa: F403
from config.settings.defaults import DATA, ENV

SECRET_KEY = ENV.secret_key or secret_key_in(DATA)
DEBUG = False
