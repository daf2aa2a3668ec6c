"""Forms of buyer reviews and reports. Fields have the names of the services' arguments."""

from typing import TYPE_CHECKING, Any

from django import forms

from market.services.buyer_reviews import TEXT_LIMIT, TITLE_LIMIT
from market.services.moderation import REASON_LIMIT, REASONS, REPORT_LIMIT

if TYPE_CHECKING:
    from market.models import BuyerReview
    from market.proofs import Proof

STARS = {5: "5: excellent", 4: "4: good", 3: "3: fair", 2: "2: poor", 1: "1: bad"}


class BuyerReviewForm(forms.Form):
    """What one has said already stands in it. Who buys for one namespace alone is not asked for which."""

    buyer = forms.ChoiceField(label="For", required=False)
    version = forms.ChoiceField(label="Version that was used", required=False)
    stars = forms.TypedChoiceField(
        label="Stars", coerce=int, choices=list(STARS.items()), widget=forms.RadioSelect, initial=5
    )
    title = forms.CharField(max_length=TITLE_LIMIT, label="In a few words")
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        required=False,
        label="What was it used for, and how did it do?",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Markdown. Everybody who sees the listing reads it, with your name and how much you used it, as a band.",
    )

    def __init__(self, proofs: "list[Proof]", own: "list[BuyerReview]", data: Any = None) -> None:
        buyers = sorted({proof.buyer for proof in proofs} | {review.buyer.name for review in own}, key=str.lower)
        first = own[0] if own else None
        said = {"stars": first.stars, "title": first.title, "text": first.text} if first else {}
        # how much is said where it is clear whose use it is
        usage = proofs[0].used if len(proofs) == 1 else {}
        versions = [name for proof in proofs for name in proof.used] + [review.version for review in own]
        choices = [(name, f"{name} ({usage[name]})" if name in usage else name) for name in dict.fromkeys(versions)]
        super().__init__(data, initial={**said, "buyer": first.buyer.name if first else ""})
        self.fields["buyer"].choices = [(name, name) for name in buyers]  # type: ignore[attr-defined]
        self.fields["version"].choices = choices  # type: ignore[attr-defined]
        if len(buyers) <= 1:
            del self.fields["buyer"]


class AnswerForm(forms.Form):
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        label="Your answer",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Markdown. There is one answer; earlier wordings stay readable.",
    )


class ReportForm(forms.Form):
    reason = forms.ChoiceField(choices=list(REASONS.items()), label="What is wrong with it?")
    text = forms.CharField(
        max_length=REPORT_LIMIT, required=False, label="In your words", widget=forms.Textarea(attrs={"rows": 3})
    )


class ModerationForm(forms.Form):
    reason = forms.CharField(
        max_length=REASON_LIMIT, label="Reason", help_text="Its author and who reported it read it."
    )
