"""The figures that scanning is held to: of hostile files none is called safe, of benign files none malicious. Nothing is ever loaded."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from backends import catalogue
from backends.contracts.scanners import FileReport, Verdict
from backends.scanners.walk import inspect
from tests.backends import benign, hostile

SCANNERS = [catalogue.load("scanners", name) for name in catalogue.listing("scanners")]


def reports(folder: Path, cases: dict) -> dict[str, FileReport]:
    found = {}
    for name, make in cases.items():
        path = folder / "file"
        path.write_bytes(make())
        found[name] = inspect(path, SCANNERS)
    return found


def test_no_hostile_file_is_called_safe(tmp_path: Path) -> None:
    seen: list[str] = []

    def note(event: str, _: object) -> None:
        # importing a module reads its compiled code that way, too
        if event in {"pickle.find_class", "marshal.loads"} and not sys._getframe(1).f_code.co_filename.startswith(
            "<frozen"
        ):
            seen.append(event)

    sys.addaudithook(note)
    cases = hostile.cases()
    seen.clear()
    found = reports(tmp_path, cases)
    assert len(cases) >= 250
    assert [name for name, report in found.items() if report.verdict is Verdict.DATA_ONLY] == []
    assert [name for name, report in found.items() if not report.findings] == []
    assert set(seen) == set()


def test_attacks_are_called_by_their_name(tmp_path: Path) -> None:
    """What calls something that only attacks call is malicious, in whatever it is wrapped; the few that also serve honest pickles are
    flagged."""
    cases = {
        name: make
        for name, make in hostile.cases().items()
        if name.startswith(("call of", "wrapped: gzip", "wrapped: zip of"))
    }
    found = Counter(report.verdict for report in reports(tmp_path, cases).values())
    assert found[Verdict.UNKNOWN] + found[Verdict.CODE] == 0
    assert found[Verdict.MALICIOUS] >= 90


@pytest.mark.parametrize("kind", hostile.SECRETS)
def test_secrets_are_found_and_not_repeated(tmp_path: Path, kind: str) -> None:
    secret = hostile.SECRETS[kind]
    path = tmp_path / "file"
    path.write_text(f"one\ntwo\n{secret}\n")
    report = inspect(path, SCANNERS)
    found = [each for each in report.findings if each.rule == "secrets.secret"]
    assert found != []
    assert {each.place for each in found} == {"line 3"}
    assert report.verdict is Verdict.FLAGGED
    assert all(secret[-12:] not in each.message for each in found)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[benign.Case, FileReport]]:
    folder = tmp_path_factory.mktemp("benign")
    cases = benign.cases()
    return {
        name: (case, report)
        for (name, case), report in zip(
            cases.items(), reports(folder, {name: case.make for name, case in cases.items()}).values(), strict=True
        )
    }


def test_no_benign_file_is_called_malicious(judged: dict[str, tuple[benign.Case, FileReport]]) -> None:
    assert len(judged) >= 300
    assert {name: report.findings for name, (_, report) in judged.items() if report.verdict is Verdict.MALICIOUS} == {}


def test_data_is_called_data(judged: dict[str, tuple[benign.Case, FileReport]]) -> None:
    data = {name: report for name, (case, report) in judged.items() if case.is_data}
    wrong = {
        name: (report.format, report.findings)
        for name, report in data.items()
        if report.verdict is not Verdict.DATA_ONLY
    }
    assert len(data) >= 200
    assert len(wrong) <= len(data) / 100, wrong


def test_programs_are_not_called_data(judged: dict[str, tuple[benign.Case, FileReport]]) -> None:
    programs = {name: report.verdict for name, (case, report) in judged.items() if not case.is_data}
    assert [name for name, verdict in programs.items() if verdict is Verdict.DATA_ONLY] == []
