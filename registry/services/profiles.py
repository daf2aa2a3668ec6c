"""What datasets hold: statistics, samples, and whether a version keeps the rules it brings along. Made in the sandbox when a version is
published or somebody looks, once for each state of the files."""

from typing import Any

from django.db import transaction

from backends.datasets.rules import PATH, Rule, Wrong, parse
from backends.datasets.sandboxed import profile_files
from common.errors import Conflict, Invalid, NotFound
from registry.errors import EntryNotFound
from registry.models import Commit, DatasetPicture, DatasetProfile
from registry.queries import read_text
from registry.services.cards import FRONT_MATTER_LIMIT, read_yaml
from registry.services.datafiles import copy, select
from registry.services.sandboxes import sandbox
from work.door import enqueue

RULES = "profile-2"
"""Raised when profiles are made differently; what was made by older rules is made again."""
BROKEN_SAID = 5


def profile_of(commit: Commit) -> DatasetProfile | None:
    """What the files of a commit hold; None while that is being found out, which the first call asks for. The caller has checked the
    right to read."""
    found = known_profile(commit)
    if found is None:
        enqueue("registry.profile_dataset", commit.pk, key=f"profile-dataset:{commit.pk}")
    return found


def known_profile(commit: Commit) -> DatasetProfile | None:
    """`profile_of` without asking for it."""
    return DatasetProfile.objects.filter(repo_id=commit.repo_id, tree_oid=commit.tree.oid, rules=RULES).first()


def profile_dataset(commit_id: int) -> DatasetProfile:
    """Look into the files of a commit and keep what they hold. Safe to repeat, and beside itself: one row for each tree and rules."""
    commit = Commit.objects.select_related("tree").filter(pk=commit_id).first()
    if commit is None:
        raise NotFound("This commit is gone.")
    known = known_profile(commit)
    if known is not None:
        return known
    rules, problem = _rules_of(commit)
    chosen = select(commit)
    with sandbox("profile") as place:
        local = copy(chosen.entries, place.copies)
        made = profile_files(place.runner, place.work, place.copies, local, rules, key=place.key)
    content: dict[str, Any] = {**made.content, "coverage": chosen.coverage, "rules_problem": problem}
    is_valid = None
    if rules or problem:
        is_valid = not problem and "problem" not in content and all(each["passed"] for each in content["validation"])
    with transaction.atomic():
        profile, is_new = DatasetProfile.objects.get_or_create(
            repo_id=commit.repo_id,
            tree_oid=commit.tree.oid,
            rules=RULES,
            defaults={"content": content, "is_valid": is_valid},
        )
        if is_new:
            DatasetPicture.objects.bulk_create(
                [DatasetPicture(profile=profile, number=number, content=raw) for number, raw in made.pictures.items()]
            )
    return profile


def has_blocking_rules(commit: Commit) -> bool:
    """Whether the files bring rules without which no version is published; rules that cannot be used block nothing."""
    return any(rule.blocks for rule in _rules_of(commit)[0])


def require_rules_kept(commit: Commit) -> None:
    """Before a version of a dataset is published. Raises Invalid with the blocking rules that its data break, Conflict while that is
    being found out, which the first call asks for: call it without a transaction open."""
    if not has_blocking_rules(commit):
        return
    profile = profile_of(commit)
    if profile is None:
        raise Conflict(
            "The data are being held against their blocking rules: publish again in some seconds.", code="rules_pending"
        )
    if problem := profile.content.get("problem"):
        raise Invalid(
            f"The data have rules that block a version, and could not be held against them: {problem}",
            code="rules_broken",
        )
    broken = [each for each in profile.content["validation"] if each["blocks"] and not each["passed"]]
    if broken:
        said = "; ".join(_said(each) for each in broken[:BROKEN_SAID])
        more = f"; and {len(broken) - BROKEN_SAID} more" if len(broken) > BROKEN_SAID else ""
        raise Invalid(f"No version is published of data that break a blocking rule: {said}{more}.", code="rules_broken")


def _said(result: dict[str, Any]) -> str:
    """A broken demand: its rule, what it demands, where, and in how many rows or files it is not so."""
    where = f" ({result['where']})" if result["where"] else ""
    if result["problem"]:
        return f"rule {result['rule']}, {result['demand']}{where}: {result['problem'].rstrip('.')}"
    return f"rule {result['rule']}, {result['demand']}{where}: {result['failed']:,} of {result['checked']:,} are not so"


def picture_of(commit: Commit, number: int) -> bytes:
    """The thumbnail of a sample. The caller has checked the right to read. Raises NotFound."""
    found = DatasetPicture.objects.filter(
        profile__repo_id=commit.repo_id, profile__tree_oid=commit.tree.oid, profile__rules=RULES, number=number
    ).first()
    if found is None:
        raise NotFound("There is no such picture.")
    return bytes(found.content)


def _rules_of(commit: Commit) -> tuple[list[Rule], str]:
    """The rules the files bring along, and what is wrong with them."""
    try:
        text = read_text(commit, PATH, limit=FRONT_MATTER_LIMIT + 1)
    except EntryNotFound:
        return [], ""
    try:
        return parse(read_yaml(text)), ""
    except Invalid as error:
        return [], f"{PATH} {error.message}"
    except Wrong as error:
        return [], str(error)
