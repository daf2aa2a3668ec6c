"""A document as a file: A4, one typeface, drawn from its row alone, so that it has the same bytes each time.

The typeface has Latin, Greek and Cyrillic letters; any other is drawn as a question mark, and the page of the document shows it."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from django.contrib.staticfiles import finders
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, VAlign
from fpdf.fonts import FontFace

from common.errors import Unavailable
from common.money import format_money
from market.invoice_queries import Document
from market.invoices import Party

_INK, _SOFT, _RULE = (24, 24, 27), (113, 113, 122), (212, 212, 216)
_MARGIN, _WIDTH = 20, 170
_FACTS, _LABEL = 82, 24
"""Millimetres: of the page, of the facts in its head (where they begin, how wide a label is)."""
_FONTS = {"": "vendor/fonts/inter-400.ttf", "B": "vendor/fonts/inter-600.ttf"}


def pdf_of(document: Document) -> bytes:
    """The file of a document. About a fifth of a second. Raises Unavailable where the typeface is not installed."""
    sheet = _Sheet(document)
    sheet.head()
    sheet.parties()
    sheet.lines()
    sheet.sums()
    return bytes(sheet.output())


class _Sheet(FPDF):
    def __init__(self, document: Document) -> None:
        super().__init__(unit="mm", format="A4")
        self.document = document
        for style, name in _FONTS.items():
            self.add_font("inter", style, _font_path(name))
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(auto=True, margin=25)
        self.set_creation_date(document.row.issued_at)
        self.set_title(f"{document.title} {document.row.number}")
        self.set_author(document.issuer.title)
        self.set_lang("en")
        self.c_margin = 0
        self.add_page()

    def footer(self) -> None:
        self.set_y(-15)
        self._say(8, _SOFT)
        what = f"{self.document.title} {self.document.row.number}"
        self.cell(_WIDTH, 5, self._fit(f"{what} · Page {self.page_no()} of {{nb}}"))

    def head(self) -> None:
        """The sender on the left, what it is on the right."""
        issuer, top = self.document.issuer, self.get_y()
        self._say(20, _INK, "B")
        self.set_x(_MARGIN + 100)
        self.cell(70, 9, self.document.title, align="R", new_x="LMARGIN", new_y="TOP")
        self._party(issuer, _MARGIN, top + 1, 95)
        self.set_y(max(self.get_y(), top + 22) + 10)

    def parties(self) -> None:
        """The receiver on the left, number, date and the like on the right."""
        top = self.get_y()
        self._say(8, _SOFT)
        self.cell(95, 5, "To", new_x="LMARGIN", new_y="NEXT")
        self._party(self.document.recipient, _MARGIN, self.get_y(), _FACTS - 6)
        bottom = self.get_y()
        self.set_y(top)
        for label, value in self.document.facts:
            self.set_x(_MARGIN + _FACTS)
            self._say(8, _SOFT)
            self.cell(_LABEL, 5, label)
            self._say(8, _INK)
            self.multi_cell(_WIDTH - _FACTS - _LABEL, 5, self._fit(value), align="R", new_x="LMARGIN", new_y="NEXT")
        self.set_y(max(bottom, self.get_y()) + 10)

    def lines(self) -> None:
        heading = FontFace(emphasis="", color=_SOFT, size_pt=8)
        self._say(9, _INK)
        self.set_draw_color(*_RULE)
        self.set_line_width(0.2)
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=heading,
            col_widths=(82, 24, 34, 30),
            text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"),
            line_height=5,
            padding=(1.8, 0, 1.8, 0),
            v_align=VAlign.T,
            width=_WIDTH,
        ) as table:
            table.row(("Description", "Quantity", "Price", f"Amount, {self.document.row.currency}"))
            for line in self.document.lines:
                amount = format_money(self.document.money(line.total_minor)).rpartition(" ")[0]
                quantity = f"{line.quantity:,} {line.unit}".strip()
                table.row([self._fit(each) for each in (line.description, quantity, line.unit_price, amount)])

    def sums(self) -> None:
        row, sums = self.document.row, list(self.document.sums)
        # the sums are not torn apart
        if self.will_page_break(8 * len(sums) + 20):
            self.add_page()
        self.line(_MARGIN, self.get_y(), _MARGIN + _WIDTH, self.get_y())
        self.ln(3)
        for number, (label, amount) in enumerate(sums):
            is_last = number == len(sums) - 1
            self._say(11 if is_last else 9, _INK, "B" if is_last else "")
            self.set_x(_MARGIN + _FACTS)
            self.cell(30, 7, label)
            self.cell(
                _WIDTH - _FACTS - 30,
                7,
                format_money(self.document.money(amount)),
                align="R",
                new_x="LMARGIN",
                new_y="NEXT",
            )
        self.ln(8)
        self._say(9, _SOFT)
        self.multi_cell(_WIDTH, 5, self._fit(self.document.closing), new_x="LMARGIN", new_y="NEXT")
        if not row.tax_minor:
            self.multi_cell(_WIDTH, 5, "No tax is shown apart.", new_x="LMARGIN", new_y="NEXT")

    def _party(self, party: Party, left: float, top: float, width: float) -> None:
        self.set_xy(left, top)
        self._say(10, _INK, "B")
        self._paragraphs([party.title], left, width)
        self._say(9, _SOFT)
        self._paragraphs([*party.lines, *filter(None, (_tax(party), party.email))], left, width)

    def _paragraphs(self, texts: Iterable[str], left: float, width: float) -> None:
        for text in texts:
            self.set_x(left)
            self.multi_cell(width, 4.6, self._fit(text), align="L", new_x="LMARGIN", new_y="NEXT")

    def _say(self, size: int, colour: tuple[int, int, int], style: str = "") -> None:
        self.set_font("inter", style, size)
        self.set_text_color(*colour)

    def _fit(self, text: str) -> str:
        """`text` in letters that the typeface has."""
        known = self.fonts["inter"].cmap  # type: ignore[union-attr]
        return "".join(each if ord(each) in known else "?" for each in unicodedata.normalize("NFC", text))


def _tax(party: Party) -> str:
    return f"Tax number {party.tax_id}" if party.tax_id else ""


def _font_path(name: str) -> Path:
    found = finders.find(name)
    if not isinstance(found, str):
        raise Unavailable(f"The typeface of invoices is not installed ({name}): run scripts/vendor_static.py.")
    return Path(found)
