"""Whether a listing is ready to be published: a list of checks, each with a sentence that says what to do. Pure: what there is to know
is gathered by `market/ready_queries.py`."""

from collections.abc import Callable
from dataclasses import dataclass

from market.states import SubjectKind
from registry.states import Verdict


@dataclass(frozen=True)
class Facts:
    """What the checks look at. `edit_page`, `subject_page`: addresses on this site."""

    kind: SubjectKind
    edit_page: str
    subject_page: str
    subject_name: str
    channel: str
    version: str = ""
    """Name of the version that is offered now; empty when there is none on the channel."""
    is_serving: bool = True
    """Endpoints: whether it answers calls."""
    is_withdrawn: bool = False
    """Endpoints: whether the version it serves was withdrawn."""
    verdict: Verdict = Verdict.UNKNOWN
    is_scanned: bool = False
    is_held: bool = False
    """Whether a file of it is under quarantine."""
    has_card: bool = False
    licence: str = ""
    plan_count: int = 0
    has_example: bool = False
    support_contact: str = ""
    is_code_allowed: bool = True


@dataclass(frozen=True)
class Check:
    """`key` is stable, for programs; `link` leads to where it is mended."""

    key: str
    is_ok: bool
    sentence: str
    link: str


def has_version(facts: Facts) -> Check:
    if facts.kind == SubjectKind.ENDPOINT:
        if facts.is_withdrawn:
            said = f"The endpoint serves version {facts.version}, which was withdrawn: deploy another."
        elif facts.is_serving and facts.version:
            said = f"The endpoint answers with version {facts.version}."
        else:
            said = "The endpoint does not answer calls yet: wait until it is ready, or look at its page."
        is_ok = facts.is_serving and bool(facts.version) and not facts.is_withdrawn
        return Check("version", is_ok, said, facts.subject_page)
    said = (
        f"Version {facts.version} is handed over."
        if facts.version
        else "There is no version on this channel: publish one in the repository; withdrawn ones do not count."
    )
    return Check("version", bool(facts.version), said, facts.subject_page)


def has_card(facts: Facts) -> Check:
    said = (
        f"The card of {facts.subject_name} says what it is."
        if facts.has_card
        else f"Write a README.md with some text in {facts.subject_name} and publish a version with it: buyers read it first."
    )
    return Check("card", facts.has_card, said, facts.subject_page)


def has_licence(facts: Facts) -> Check:
    said = (
        f"The licence is {facts.licence}."
        if facts.licence
        else "Name a licence, here or in the card: without one nobody may use what they buy."
    )
    return Check("licence", bool(facts.licence), said, f"{facts.edit_page}#id_licence")


def has_clean_scan(facts: Facts) -> Check:
    page = facts.subject_page
    if not facts.version:
        return Check("scan", False, "Scanning waits for a version.", page)
    if facts.is_held:
        return Check("scan", False, f"A file of version {facts.version} is under quarantine: it can't be sold.", page)
    if not facts.is_scanned:
        return Check("scan", False, f"Version {facts.version} is being scanned: come back in a minute.", page)
    if facts.verdict == Verdict.DATA_ONLY:
        return Check("scan", True, f"Version {facts.version} holds nothing but data.", page)
    if facts.verdict == Verdict.CODE:
        said = (
            f"Version {facts.version} contains code; its page says so."
            if facts.is_code_allowed
            else f"Version {facts.version} contains code, which this site does not list: publish a version of data only."
        )
        return Check("scan", facts.is_code_allowed, said, page)
    said = {
        Verdict.UNKNOWN: f"Scanning does not know what is in version {facts.version}: use formats that can be examined.",
        Verdict.FLAGGED: f"Scanning flagged version {facts.version}: take out what it found and publish another version.",
        Verdict.MALICIOUS: f"Scanning calls version {facts.version} malicious: it can't be sold.",
    }[facts.verdict]
    return Check("scan", False, said, page)


def has_plan(facts: Facts) -> Check:
    said = (
        f"{facts.plan_count} plan{'' if facts.plan_count == 1 else 's'} on sale."
        if facts.plan_count
        else "Add a plan, a free one perhaps: nobody can order a listing without one."
    )
    return Check("plan", facts.plan_count > 0, said, f"{facts.edit_page}#add-plan")


def has_example(facts: Facts) -> Check | None:
    """Only what is called needs one."""
    if facts.kind != SubjectKind.ENDPOINT:
        return None
    said = (
        "There is an example input."
        if facts.has_example
        else "Give an example input: it is the first thing that somebody who wants to call it looks for."
    )
    return Check("example", facts.has_example, said, f"{facts.edit_page}#id_example_input")


def has_support(facts: Facts) -> Check:
    said = (
        f"Buyers turn to {facts.support_contact}."
        if facts.support_contact
        else "Say where buyers get help: a mail address or an https address."
    )
    return Check("support", bool(facts.support_contact), said, f"{facts.edit_page}#id_support_contact")


CHECKS: tuple[Callable[[Facts], Check | None], ...] = (
    has_version,
    has_card,
    has_licence,
    has_clean_scan,
    has_plan,
    has_example,
    has_support,
)
"""In the order they are shown. Whatever else has to hold before a listing is published (the licences along its lineage) is one more
function here, and what it looks at one more field of `Facts`."""


def checks_of(facts: Facts) -> list[Check]:
    """Every check that applies, passed or not."""
    return [check for examine in CHECKS if (check := examine(facts)) is not None]
