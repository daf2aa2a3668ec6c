"""Datasets of many files, in small: what a change costs follows the change and not the repository. The figures at a million files are
those of bench/million_files.py."""

import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry.models import TreePage
from registry.queries import head_of
from registry.services import storage
from registry.services.commits import AddFile
from registry.services.datafiles import select
from tests.factories.market import make_person
from tests.factories.registry import commit, make_repo


@pytest.fixture
def ada(db):
    return make_person("ada").actor


def filled(ada, name: str, files: int):
    repo = make_repo(ada, name)
    blob = storage.store_bytes(b"a picture")
    commit(ada, repo, *(AddFile(f"train/{number % 3}/{number:06d}.png", blob) for number in range(files)))
    return repo


def test_change_of_one_file_costs_the_same_in_a_large_dataset(ada):
    costs = {}
    other = storage.store_bytes(b"another picture")
    for name, files in (("small", 30), ("large", 9000)):
        repo = filled(ada, name, files)
        before = TreePage.objects.count()
        with CaptureQueriesContext(connection) as queries:
            commit(ada, repo, AddFile("train/0/000003.png", other))
        costs[name] = (len(queries), TreePage.objects.count() - before)
        assert head_of(repo).tree.file_count == files + 1
    # the root, the folder of the split, the folder of the class: a page each
    assert costs["large"][1] == costs["small"][1] == 3
    # listings of more pages are read in one more query, by 64
    assert costs["large"][0] <= costs["small"][0] + 2


def test_memory_of_commits_follows_their_size_and_not_the_dataset(ada):
    repo = make_repo(ada, "growing")
    blob = storage.store_bytes(b"a picture")
    peaks = []
    for batch in range(6):
        operations = [AddFile(f"train/{batch:03d}/{number:06d}.png", blob) for number in range(1000)]
        tracemalloc.start()
        commit(ada, repo, *operations)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert head_of(repo).tree.file_count == 6001
    assert peaks[-1] < 1.5 * peaks[1]


def test_files_to_look_at_are_chosen_fairly_and_the_same_each_time(ada, monkeypatch):
    monkeypatch.setattr("registry.services.datafiles.FILES_LIMIT", 60)
    repo = filled(ada, "many", 600)
    commit(ada, repo, AddFile("labels.csv", storage.store_bytes(b"a,b\n1,2\n")))
    chosen = select(head_of(repo))
    paths = [entry.path for entry in chosen.entries]
    assert (chosen.file_count, len(paths), chosen.is_whole) == (602, 60, False)
    assert "labels.csv" in paths
    assert all(sum(path.startswith(f"train/{label}/") for path in paths) > 8 for label in range(3))
    assert [entry.path for entry in select(head_of(repo)).entries] == paths
