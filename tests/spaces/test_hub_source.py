"""Files from another hub: a running site of our own, asked over the Hugging Face protocol by the source that imports from hubs."""

import os
from urllib.parse import urlsplit

import pytest

from registry.queries import all_files, blob_of, resolve_revision
from registry.services import fetching, preparations, storage
from tests.factories.market import make_person
from tests.factories.registry import make_repo
from tests.spaces.hf_client import Hub
from tests.support.site import LiveSite

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_dataset_of_a_running_site_comes_with_its_token_only_and_as_it_was(
    db, settings, live_site: LiveSite, tmp_path
) -> None:
    hub = Hub(live_site, live_site.user("giver"), live_site.token("giver"), tmp_path)
    name = f"{hub.user}/given"
    hub.api.create_repo(name, repo_type="dataset", private=True)
    files = {"train/rows.csv": b"id\n1\n", "large.bin": os.urandom(300_000), "ü & +.txt": b"odd\n"}
    for path, content in files.items():
        hub.api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=name, repo_type="dataset")
    settings.OUTGOING_ALLOW = [f"{urlsplit(live_site.url).hostname}/32"]
    ada = make_person("ada").actor
    repo = make_repo(ada, "taken")
    told = {"endpoint": live_site.url, "repo": name}
    refused = fetching.prepare_content(preparations.ask_for_preparation(ada, repo, "hub", told).pk)
    assert refused.state == "failed"
    told["token"] = live_site.token("giver")
    done = fetching.prepare_content(preparations.ask_for_preparation(ada, repo, "hub", told).pk)
    assert (done.state, done.problem) == ("done", "")
    entries = list(all_files(resolve_revision(repo, "main")))
    taken = {entry.path: storage.read_blob(blob_of(entry), entry.size_bytes) for entry in entries}
    assert files.items() <= taken.items()
