"""What the page of signing keys shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from django import forms

from registry.states import KeyAlgorithm
from web.account.forms import RevocationForm
from web.account.pages import OrganizationHead
from web.signing import ALGORITHM_TITLES, MAKING, MAKING_P256, signing_commands

if TYPE_CHECKING:
    from registry.models import SigningKey


@dataclass(frozen=True)
class KeyRow:
    """`state`: active, retired or revoked."""

    key_id: str
    name: str
    algorithm: str
    is_external: bool
    author: str
    created_at: datetime
    version_count: int
    state: str
    since: datetime | None
    reason: str
    pem_href: str
    revoke_href: str
    revoke_form: forms.Form | None

    @classmethod
    def of(cls, owner: str, row: "SigningKey", page_href: str) -> "KeyRow":
        state = "revoked" if row.revoked_at else "retired" if row.retired_at else "active"
        can_revoke = row.revoked_at is None
        return cls(
            key_id=row.key_id,
            name=row.name or "Made by this site",
            algorithm=ALGORITHM_TITLES[KeyAlgorithm(row.algorithm)],
            is_external=row.is_external,
            author=row.created_by.username if row.created_by else "",
            created_at=row.created_at,
            version_count=row.version_count,  # type: ignore[attr-defined]  # annotated by keys_of
            state=state,
            since=row.revoked_at or row.retired_at,
            reason=row.revocation_reason,
            pem_href=f"/api/v1/namespaces/{quote(owner)}/keys/{row.key_id}.pem",
            revoke_href=f"{page_href}/{row.key_id}/revocation" if can_revoke else "",
            revoke_form=RevocationForm(auto_id=f"revoke-{row.key_id[:12]}-%s") if can_revoke else None,
        )


@dataclass(frozen=True)
class KeysPage:
    """`head` is there for an organisation. `can_rotate`: this site holds a key that signs."""

    title: str
    owner: str
    page_href: str
    head: OrganizationHead | None
    keys: list[KeyRow]
    can_rotate: bool
    form: forms.Form
    problem: str
    making: str
    making_p256: str
    ours: str
    theirs: str

    @classmethod
    def of(
        cls,
        owner: str,
        rows: "Sequence[SigningKey]",
        page_href: str,
        head: OrganizationHead | None,
        form: forms.Form,
        problem: str,
    ) -> "KeysPage":
        ours, theirs = signing_commands(f"{owner}/NAME", "VERSION")
        order = {"active": 0, "retired": 1, "revoked": 2}
        keys = sorted((KeyRow.of(owner, row, page_href) for row in rows), key=lambda each: order[each.state])
        return cls(
            title=f"Signing keys of {head.display_name}" if head else "Signing keys",
            owner=owner,
            page_href=page_href,
            head=head,
            keys=keys,
            can_rotate=any(each.state == "active" and not each.is_external for each in keys),
            form=form,
            problem=problem,
            making=MAKING,
            making_p256=MAKING_P256,
            ours=ours,
            theirs=theirs,
        )
