"""Documents in a repository that describe it: Croissant for data, CycloneDX for models. They are strangers' claims: read as strict
JSON within limits, never resolved, never followed; what can't be read is passed over with a note."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from common import strict_json
from common.errors import Invalid, TooLarge
from registry.models import Blob, Commit
from registry.queries import Entry, list_tree
from registry.services import storage

BYTES_LIMIT = 1024**2
_DEPTH_LIMIT = 40
_ROOT_LIMIT = 1000
_DOCUMENTS_LIMIT = 5
_TEXT_LIMIT = 4000
_FIELDS_LIMIT = 500
CROISSANT = "Croissant"
CYCLONEDX = "CycloneDX"
_CROISSANT_VERSIONS = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/1.1")
_CYCLONEDX_VERSIONS = ("1.5", "1.6", "1.7")
_CROISSANT_REQUIRED = ("name", "description", "license", "url", "creator", "datePublished", "distribution")
"""The specification's list; the validator of its authors checks less."""

_COMMONS = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/(?P<kind>zero|by(?:-nc)?(?:-sa|-nd)?)/(?P<version>[1-4]\.0)"
)


@dataclass
class Documents:
    """What the documents of one commit say together, the first that says something counts. `notes`: `{path, format, note}`; `tables`:
    `{name, fields: [{name, type, description}]}`."""

    licence: str = ""
    description: str = ""
    task: str = ""
    intended_use: str = ""
    keywords: list[str] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, str]] = field(default_factory=list)


def documents_of(commit: Commit) -> Documents:
    """Read `croissant.json`, `bom.json` and `*.cdx.json` at the root. Never raises for what they hold: the note says what is
    wrong with a document."""
    found = Documents()
    entries, _ = list_tree(commit, limit=_ROOT_LIMIT)
    chosen = [entry for entry in entries if not entry.is_dir and _is_document(entry.name)]
    for entry in chosen[:_DOCUMENTS_LIMIT]:
        kind = CROISSANT if entry.name.lower().endswith("croissant.json") else CYCLONEDX
        try:
            note = read_into(found, kind, _load(entry))
        except (Invalid, TooLarge) as error:
            note = f"Passed over: {error.message}"
        found.notes.append({"path": entry.path, "format": kind, "note": note})
    return found


def read_into(found: Documents, kind: str, document: dict[str, Any]) -> str:
    """Take what one parsed document says; returns a sentence on how it went. Raises Invalid for a document of another kind."""
    return _read_croissant(found, document) if kind == CROISSANT else _read_cyclonedx(found, document)


def _is_document(name: str) -> bool:
    name = name.lower()
    return name in {"croissant.json", "bom.json"} or name.endswith((".cdx.json", ".croissant.json"))


def _load(entry: Entry) -> dict[str, Any]:
    if entry.size_bytes > BYTES_LIMIT:
        raise TooLarge(f"it is larger than {BYTES_LIMIT} bytes.")
    raw = storage.read_blob(Blob.objects.get(pk=entry.ref), BYTES_LIMIT)
    return strict_json.loads_object(raw, max_bytes=BYTES_LIMIT, max_depth=_DEPTH_LIMIT)


def _read_croissant(found: Documents, document: dict[str, Any]) -> str:
    conforms = document.get("conformsTo") or document.get("dct:conformsTo")
    if conforms not in _CROISSANT_VERSIONS or not str(document.get("@type", "")).endswith("Dataset"):
        raise Invalid("it is not a Croissant 1.0 or 1.1 description of a dataset.")
    found.licence = found.licence or _licence(document.get("license"))
    found.description = found.description or _text(document.get("description"))
    found.keywords = found.keywords or [
        _text(each)[:80] for each in _list(document.get("keywords"))[:50] if _text(each)
    ]
    for record_set in _list(document.get("recordSet"))[:50]:
        fields = [
            {
                "name": _text(each.get("name") or each.get("@id"))[:200],
                "type": ", ".join(_text(kind)[:80] for kind in _list(each.get("dataType"))[:4]),
                "description": _text(each.get("description"))[:400],
            }
            for each in _objects(record_set, "field")
        ]
        if isinstance(record_set, dict) and fields:
            name = _text(record_set.get("name") or record_set.get("@id"))[:200]
            found.tables.append({"name": name, "fields": fields})
    missing = [name for name in _CROISSANT_REQUIRED if not document.get(name)]
    return f"Read. Croissant also requires {', '.join(missing)}." if missing else "Read."


def _read_cyclonedx(found: Documents, document: dict[str, Any]) -> str:
    if document.get("bomFormat") != "CycloneDX" or str(document.get("specVersion")) not in _CYCLONEDX_VERSIONS:
        raise Invalid(f"it is not a CycloneDX bill of materials of version {', '.join(_CYCLONEDX_VERSIONS)}.")
    metadata = document.get("metadata")
    subject = metadata.get("component") if isinstance(metadata, dict) else None
    models = [each for each in [subject, *_list(document.get("components"))[:_FIELDS_LIMIT]] if _is_model(each)]
    if not models:
        return "Read. It describes no machine-learning model, so nothing was taken from it."
    model = models[0]
    for each in _objects(model, "licenses"):
        licence = each.get("license")
        text = each.get("expression") or (
            (licence.get("id") or licence.get("name")) if isinstance(licence, dict) else ""
        )
        found.licence = found.licence or _licence(text)
    found.description = found.description or _text(model.get("description"))
    card = model.get("modelCard")
    card = card if isinstance(card, dict) else {}
    parameters, considerations = card.get("modelParameters"), card.get("considerations")
    if isinstance(parameters, dict):
        found.task = found.task or _text(parameters.get("task"))[:80]
    if isinstance(considerations, dict):
        uses = [_text(each) for each in _list(considerations.get("useCases"))[:20]]
        found.intended_use = found.intended_use or "\n".join(filter(None, uses))[:_TEXT_LIMIT]
    return "Read."


def _is_model(component: Any) -> bool:
    return isinstance(component, dict) and component.get("type") == "machine-learning-model"


def _objects(value: Any, key: str) -> Iterator[dict[str, Any]]:
    items = _list(value.get(key))[:_FIELDS_LIMIT] if isinstance(value, dict) else []
    return (each for each in items if isinstance(each, dict))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _licence(value: Any) -> str:
    """The id that cards use, also out of the address of a licence."""
    text = _text(value[0] if isinstance(value, list) and value else value).lower()
    if commons := _COMMONS.search(text):
        return "cc0-1.0" if commons["kind"] == "zero" else f"cc-{commons['kind']}-{commons['version']}"
    if "apache.org/licenses/license-2.0" in text:
        return "apache-2.0"
    return (text.rstrip("/").rsplit("/", 1)[-1].removesuffix(".html") if "://" in text else text)[:80]


def _text(value: Any) -> str:
    if isinstance(value, dict):  # a language map, or an object with a name
        value = value.get("en") or value.get("name") or value.get("@value")
    return " ".join(value.split())[:_TEXT_LIMIT] if isinstance(value, str) else ""
