"""What common licences allow and ask, for machines: one line each, read from the licence's own text at the address beside it.

The letters: `c` commercial use, `d` derivatives, `r` redistribution, `h` hosting as a service; `s` derivatives stay under the same
licence, `a` attribution. A licence that is not here is unknown, and what is unknown is not sold. Where a licence sets conditions
that these six terms cannot hold (a limit on the number of users, uses that are forbidden), `note` says so in a sentence."""

from dataclasses import dataclass
from enum import StrEnum


class Term(StrEnum):
    """The first four are permissions, the last two duties."""

    COMMERCIAL_USE = "commercial_use"
    DERIVATIVES = "derivatives"
    REDISTRIBUTION = "redistribution"
    HOSTING = "hosting"
    SHARE_ALIKE = "share_alike"
    ATTRIBUTION = "attribution"


PERMISSIONS = (Term.COMMERCIAL_USE, Term.DERIVATIVES, Term.REDISTRIBUTION, Term.HOSTING)
DUTIES = (Term.SHARE_ALIKE, Term.ATTRIBUTION)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a licence allows (the first four) and asks (the last two)."""

    commercial_use: bool
    derivatives: bool
    redistribution: bool
    hosting: bool
    share_alike: bool
    attribution: bool

    def says(self, term: Term) -> bool:
        return bool(getattr(self, term))


@dataclass(frozen=True, slots=True)
class Standard:
    """A licence that the site knows by itself. `is_spdx`: its key is one of the SPDX list."""

    key: str
    terms: Terms
    url: str
    note: str = ""

    @property
    def is_spdx(self) -> bool:
        return self.url.startswith(_SPDX)


_SPDX = "https://spdx.org/licenses/"
_CC = "https://creativecommons.org/licenses/"
_USES = "It forbids certain uses, listed in its text; they bind everybody further down."

# SPDX keys; the text of each is at https://spdx.org/licenses/<key>.html
_LISTED = """
0BSD cdrh--
AFL-3.0 cdrh-a
AGPL-3.0-only cdrhsa
AGPL-3.0-or-later cdrhsa
Apache-1.1 cdrh-a
Apache-2.0 cdrh-a
Artistic-2.0 cdrh-a
BlueOak-1.0.0 cdrh-a
BSD-2-Clause cdrh-a
BSD-3-Clause cdrh-a
BSD-3-Clause-Clear cdrh-a
BSD-4-Clause cdrh-a
BSL-1.0 cdrh-a
BUSL-1.1 -dr--a
C-UDA-1.0 cdrh-a
CC-BY-1.0 cdrh-a
CC-BY-2.0 cdrh-a
CC-BY-2.5 cdrh-a
CC-BY-3.0 cdrh-a
CC-BY-4.0 cdrh-a
CC-BY-SA-1.0 cdrhsa
CC-BY-SA-2.0 cdrhsa
CC-BY-SA-2.5 cdrhsa
CC-BY-SA-3.0 cdrhsa
CC-BY-SA-4.0 cdrhsa
CC-BY-ND-1.0 c-rh-a
CC-BY-ND-2.0 c-rh-a
CC-BY-ND-2.5 c-rh-a
CC-BY-ND-3.0 c-rh-a
CC-BY-ND-4.0 c-rh-a
CC-BY-NC-1.0 -drh-a
CC-BY-NC-2.0 -drh-a
CC-BY-NC-2.5 -drh-a
CC-BY-NC-3.0 -drh-a
CC-BY-NC-4.0 -drh-a
CC-BY-NC-SA-1.0 -drhsa
CC-BY-NC-SA-2.0 -drhsa
CC-BY-NC-SA-2.5 -drhsa
CC-BY-NC-SA-3.0 -drhsa
CC-BY-NC-SA-4.0 -drhsa
CC-BY-NC-ND-1.0 --rh-a
CC-BY-NC-ND-2.0 --rh-a
CC-BY-NC-ND-2.5 --rh-a
CC-BY-NC-ND-3.0 --rh-a
CC-BY-NC-ND-4.0 --rh-a
CC-PDDC cdrh--
CC0-1.0 cdrh--
CDDL-1.0 cdrhsa
CDLA-Permissive-1.0 cdrh-a
CDLA-Permissive-2.0 cdrh-a
CDLA-Sharing-1.0 cdrhsa
ECL-2.0 cdrh-a
EPL-1.0 cdrhsa
EPL-2.0 cdrhsa
EUPL-1.1 cdrhsa
EUPL-1.2 cdrhsa
GFDL-1.3-only cdrhsa
GFDL-1.3-or-later cdrhsa
GPL-2.0-only cdrhsa
GPL-2.0-or-later cdrhsa
GPL-3.0-only cdrhsa
GPL-3.0-or-later cdrhsa
ISC cdrh-a
LGPL-2.1-only cdrhsa
LGPL-2.1-or-later cdrhsa
LGPL-3.0-only cdrhsa
LGPL-3.0-or-later cdrhsa
LPPL-1.3c cdrh-a
MIT cdrh-a
MIT-0 cdrh--
MPL-2.0 cdrhsa
MS-PL cdrh-a
NCSA cdrh-a
ODbL-1.0 cdrhsa
ODC-By-1.0 cdrh-a
OFL-1.1 cdrhsa
OGL-UK-3.0 cdrh-a
OSL-3.0 cdrhsa
PDDL-1.0 cdrh--
PolyForm-Noncommercial-1.0.0 -drh-a
PostgreSQL cdrh-a
PSF-2.0 cdrh-a
Python-2.0 cdrh-a
SSPL-1.0 cdr-sa
Unlicense cdrh--
Vim cdrhsa
W3C cdrh-a
WTFPL cdrh--
X11 cdrh-a
Zlib cdrh--
"""

# Licences of models that SPDX does not list, by the names that hubs give them, each with the text that was read.
_OTHERS = (
    ("apple-amlr", "-drh-a", "https://huggingface.co/apple/OpenELM/blob/main/LICENSE", "Research only."),
    ("bigcode-openrail-m", "cdrh-a", "https://www.bigcode-project.org/docs/pages/model-license/", _USES),
    (
        "bigscience-bloom-rail-1.0",
        "cdrh-a",
        "https://bigscience.huggingface.co/blog/the-bigscience-rail-license",
        _USES,
    ),
    ("bigscience-openrail-m", "cdrh-a", "https://www.licenses.ai/blog/2022/8/26/bigscience-open-rail-m-license", _USES),
    ("creativeml-openrail-m", "cdrh-a", "https://github.com/CompVis/stable-diffusion/blob/main/LICENSE", _USES),
    ("gemma", "cdrh-a", "https://ai.google.dev/gemma/terms", _USES),
    (
        "llama2",
        "cdrh-a",
        "https://ai.meta.com/llama/license/",
        "Not for those with more than 700 million monthly users; its output may not better other language models.",
    ),
    (
        "llama3",
        "cdrh-a",
        "https://llama.meta.com/llama3/license/",
        "Not for those with more than 700 million monthly users.",
    ),
    (
        "llama3.1",
        "cdrh-a",
        "https://llama.meta.com/llama3_1/license/",
        "Not for those with more than 700 million monthly users.",
    ),
    (
        "llama3.2",
        "cdrh-a",
        "https://www.llama.com/llama3_2/license/",
        "Not for those with more than 700 million monthly users.",
    ),
    (
        "llama3.3",
        "cdrh-a",
        "https://www.llama.com/llama3_3/license/",
        "Not for those with more than 700 million monthly users.",
    ),
    (
        "llama4",
        "cdrh-a",
        "https://www.llama.com/llama4/license/",
        "Not for those with more than 700 million monthly users.",
    ),
    (
        "openrail++",
        "cdrh-a",
        "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
        _USES,
    ),
)

ALIASES = {
    "artistic": "Artistic-2.0", "bsd": "BSD-3-Clause", "cc0": "CC0-1.0", "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0", "cdla-sharing-1.0": "CDLA-Sharing-1.0", "c-uda": "C-UDA-1.0",
    "gfdl": "GFDL-1.3-or-later", "ms-pl": "MS-PL", "odbl": "ODbL-1.0", "odc-by": "ODC-By-1.0", "ofl": "OFL-1.1",
    "pddl": "PDDL-1.0", "psf": "PSF-2.0",
}  # fmt: skip
"""Names that hubs and cards use for one licence of the list, in lower case."""

TAKES_OVER: dict[str, frozenset[str]] = {
    "CC-BY-SA-1.0": frozenset({"CC-BY-SA-2.0", "CC-BY-SA-2.5", "CC-BY-SA-3.0", "CC-BY-SA-4.0"}),
    "CC-BY-SA-2.0": frozenset({"CC-BY-SA-2.5", "CC-BY-SA-3.0", "CC-BY-SA-4.0"}),
    "CC-BY-SA-2.5": frozenset({"CC-BY-SA-3.0", "CC-BY-SA-4.0"}),
    "CC-BY-SA-3.0": frozenset({"CC-BY-SA-4.0"}),
    "CC-BY-SA-4.0": frozenset({"GPL-3.0-only", "GPL-3.0-or-later"}),
    "CC-BY-NC-SA-2.0": frozenset({"CC-BY-NC-SA-2.5", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"}),
    "CC-BY-NC-SA-2.5": frozenset({"CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"}),
    "CC-BY-NC-SA-3.0": frozenset({"CC-BY-NC-SA-4.0"}),
    "GPL-2.0-or-later": frozenset(
        {"GPL-2.0-only", "GPL-3.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "AGPL-3.0-or-later"}
    ),
    "GPL-3.0-only": frozenset({"AGPL-3.0-only", "AGPL-3.0-or-later"}),
    "GPL-3.0-or-later": frozenset({"GPL-3.0-only", "AGPL-3.0-only", "AGPL-3.0-or-later"}),
    "AGPL-3.0-or-later": frozenset({"AGPL-3.0-only"}),
    "LGPL-2.1-only": frozenset({"GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"}),
    "LGPL-2.1-or-later": frozenset(
        {
            "LGPL-2.1-only",
            "LGPL-3.0-only",
            "LGPL-3.0-or-later",
            "GPL-2.0-only",
            "GPL-2.0-or-later",
            "GPL-3.0-only",
            "GPL-3.0-or-later",
            "AGPL-3.0-only",
            "AGPL-3.0-or-later",
        }
    ),
    "LGPL-3.0-only": frozenset({"GPL-3.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "AGPL-3.0-or-later"}),
    "LGPL-3.0-or-later": frozenset(
        {"LGPL-3.0-only", "GPL-3.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "AGPL-3.0-or-later"}
    ),
    "MPL-2.0": frozenset(
        {
            "GPL-2.0-or-later",
            "GPL-3.0-only",
            "GPL-3.0-or-later",
            "LGPL-2.1-or-later",
            "LGPL-3.0-only",
            "LGPL-3.0-or-later",
            "AGPL-3.0-only",
            "AGPL-3.0-or-later",
        }
    ),
    "EUPL-1.2": frozenset(
        {
            "EUPL-1.1",
            "GPL-2.0-only",
            "GPL-3.0-only",
            "AGPL-3.0-only",
            "OSL-3.0",
            "EPL-1.0",
            "CC-BY-SA-3.0",
            "MPL-2.0",
            "LGPL-2.1-only",
            "LGPL-3.0-only",
        }
    ),
    "GFDL-1.3-or-later": frozenset({"GFDL-1.3-only"}),
}
"""Beside itself, the licences under which a share-alike licence lets a derivative go: its own later versions and those that its
steward or its text names. https://creativecommons.org/compatiblelicenses/ · https://www.gnu.org/licenses/license-list.html ·
https://www.mozilla.org/MPL/2.0/FAQ/ · https://joinup.ec.europa.eu/collection/eupl/matrix-eupl-compatible-open-source-licences"""


def _terms(letters: str) -> Terms:
    return Terms(*(letter in letters for letter in "cdrhsa"))


STANDARD: dict[str, Standard] = {
    key: Standard(key, _terms(letters), f"{_SPDX}{key}.html")
    for key, letters in (line.split() for line in _LISTED.strip().splitlines())
} | {key: Standard(key, _terms(letters), url, note) for key, letters, url, note in _OTHERS}
"""By key, as it is written."""
