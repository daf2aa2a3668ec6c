"""Stories on the running site, told with the tools that people have."""

from tests.spaces.conftest import client_at_home  # noqa: F401 - the Hugging Face client of these stories, kept to itself too
