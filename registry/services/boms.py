"""What a version is, in the words of two standards: CycloneDX 1.6 for models and algorithms (an ML-BOM), Croissant 1.1 for data.

Digests, sizes and the commit are what this site has read; all else is the owner's claim. Both are the same bytes each time as long as
nothing was added to the version. Lists of files stop at FILES_LIMIT: what is longer is not read by anybody."""

import mimetypes
from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from registry import version_names
from registry.build_queries import withdrawal_of
from registry.models import Build, Measurement, Version
from registry.queries import Entry, all_files, blobs_of
from registry.services.environments import Environment
from registry.states import MeasurementKind, RepoKind

FILES_LIMIT = 1000
_SPDX = {
    each.lower(): each
    for each in (
        "0BSD AFL-3.0 AGPL-3.0-only Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 CC-BY-2.0 CC-BY-3.0 "
        "CC-BY-4.0 CC-BY-NC-4.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CDLA-Permissive-1.0 "
        "CDLA-Permissive-2.0 CDLA-Sharing-1.0 ECL-2.0 EPL-2.0 EUPL-1.2 GPL-2.0-only GPL-3.0-only ISC LGPL-3.0-only MIT "
        "MPL-2.0 MS-PL NCSA ODbL-1.0 ODC-By-1.0 OFL-1.1 PDDL-1.0 PostgreSQL Unlicense WTFPL Zlib"
    ).split()
}
"""Licences by the lower-case ids that cards use. Others are given by name: CycloneDX takes no id that SPDX does not list."""
_CROISSANT_TYPES = {
    "int": "sc:Integer", "float": "sc:Float", "double": "sc:Float", "bool": "sc:Boolean", "date": "sc:Date", "timestamp": "sc:DateTime",
}  # fmt: skip
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of Croissant 1.1, word for word: readers warn of any other."""


def cyclonedx_of(
    version: Version, measurements: list[Measurement], builds: list[Build], environment: Environment, *, site: str
) -> dict[str, Any]:
    """The CycloneDX 1.6 document of a version; `measurements`: all of them, withdrawn ones too; `builds`, withdrawn ones too, are named
    with their digest and their comparison; `environment`: its packages become components; `site` is the address of this site. Reads the
    list of files, no file."""
    repo = version.repo
    corrected = sum(hasattr(each, "withdrawal") for each in measurements)
    revision = 1 + len(measurements) + corrected + sum(1 + len(each.marks.all()) for each in builds)
    measurements = [each for each in measurements if not hasattr(each, "withdrawal")]
    full_name = f"{repo.namespace.name}/{repo.name}"
    files, is_whole = _files(version)
    component: dict[str, Any] = {
        "type": {RepoKind.MODEL: "machine-learning-model", RepoKind.DATASET: "data"}.get(
            RepoKind(repo.kind), "application"
        ),
        "bom-ref": f"{repo.kind}:{full_name}@{version.name}",
        "group": repo.namespace.name,
        "name": repo.name,
        "version": version.name,
        "description": repo.description or None,
        "licenses": [_cyclonedx_licence(version.licence)] if version.licence else None,
        "purl": f"pkg:huggingface/{quote(full_name)}@{version.commit.oid}?repository_url={quote(site, safe='')}",
        "externalReferences": [{"type": "distribution", "url": _page(version, site)}],
        "components": [
            {
                "type": "file",
                "bom-ref": f"file:{entry.path}",
                "name": entry.path,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for entry, digest in files
        ],
        "properties": [
            {"name": "mercato:commit", "value": version.commit.oid},
            {
                "name": "mercato:files",
                "value": f"{version.commit.tree.file_count}{'' if is_whole else ' (not all listed)'}",
            },
            *(
                {"name": f"mercato:environment:{name}", "value": value}
                for name, value in _flat(version.environment)[:200]
            ),
            *(
                {"name": f"mercato:hardware:{each.name}:{name}", "value": str(value)}
                for each in measurements
                if each.kind == MeasurementKind.HARDWARE
                for name, value in each.values.items()
            ),
            *(
                {"name": f"mercato:build:{each.uuid}:{name}", "value": value}
                for each in builds
                for name, value in _told_of_build(each).items()
            ),
        ],
    }
    if repo.kind == RepoKind.MODEL:
        component["modelCard"] = _model_card(version, measurements)
    packages = _packages(environment)
    return _without_none(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{version.uuid}",
            "version": revision,
            "metadata": {
                "timestamp": version.created_at.isoformat(),
                "tools": {"components": [{"type": "application", "name": "Mercato"}]},
                "component": _without_none(component),
            },
            "components": packages or None,
            "dependencies": [{"ref": component["bom-ref"], "dependsOn": [each["bom-ref"] for each in packages]}]
            if packages
            else None,
        }
    )


def _packages(environment: Environment) -> list[dict[str, Any]]:
    """The packages of the environment lock as libraries. What has no exact version has none here either, and says what was asked for."""
    found: dict[str, dict[str, Any]] = {}
    for each in environment.packages:
        purl = f"{each.purl}{f'@{quote(each.version)}' if each.version else ''}" if each.purl else None
        ref = purl or f"package:{each.name}@{each.version}"
        found.setdefault(
            ref,
            _without_none(
                {
                    "type": "library",
                    "bom-ref": ref,
                    "name": each.name,
                    "version": each.version or None,
                    "purl": purl,
                    "properties": [
                        {"name": "mercato:source", "value": environment.path},
                        *([] if each.version else [{"name": "mercato:wanted", "value": each.wanted or "any version"}]),
                    ],
                }
            ),
        )
    return list(found.values())


def croissant_of(version: Version, *, site: str) -> dict[str, Any]:
    """The Croissant 1.1 document of a version; `site` is the address of this site. Reads the list of files, no file."""
    repo = version.repo
    files, is_whole = _files(version)
    parsed = version_names.parse(version.name)
    distribution = [
        {
            "@type": "cr:FileObject",
            "@id": entry.path,
            "name": entry.path,
            "contentUrl": _file_url(version, entry.path, site),
            "contentSize": f"{entry.size_bytes} B",
            "encodingFormat": _media_type(entry.path),
            "sha256": digest,
        }
        for entry, digest in files
    ]
    record_sets = _record_sets(version, {entry.path for entry, _ in files})
    owner = "sc:Organization" if repo.namespace.is_organization else "sc:Person"
    missing = "" if is_whole else f" Only the first {FILES_LIMIT} of {version.commit.tree.file_count} files are listed."
    return _without_none(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.1",
            "name": repo.name,
            "description": (repo.description or f"The dataset {repo.namespace.name}/{repo.name}.") + missing,
            "license": _licence_url(version.licence) if version.licence else "not stated",
            "url": _page(version, site),
            "creator": {"@type": owner, "name": repo.namespace.name, "url": f"{site}/{quote(repo.namespace.name)}"},
            "datePublished": version.created_at.date().isoformat(),
            "version": parsed.semantic.partition("+")[0] if parsed else version.name,
            "citeAs": (
                f"@misc{{{repo.namespace.name}_{repo.name}, author={{{repo.namespace.name}}}, title={{{repo.name}}}, "
                f"version={{{version.name}}}, year={{{version.created_at.year}}}, url={{{_page(version, site)}}}}}"
            ),
            "isLiveDataset": False,
            "keywords": _keywords(version) or None,
            "distribution": distribution,
            "recordSet": record_sets or None,
        }
    )


def _told_of_build(build: Build) -> dict[str, str]:
    mark = withdrawal_of(build)
    return {
        "format": build.format,
        "sha256": build.sha256,
        "files": ", ".join(f"{each.path} sha256:{each.blob.sha256}" for each in build.files.all()),
        "max_difference": f"{build.equivalence['max_difference']:.3g}",
        "label_agreement": f"{build.equivalence['label_agreement']:g}",
        **({"withdrawn": mark.reason} if mark else {}),
    }


def _files(version: Version) -> tuple[list[tuple[Entry, str]], bool]:
    """The first files with their SHA-256 (hex), and whether these are all."""
    entries = list(islice(all_files(version.commit), FILES_LIMIT + 1))
    listed = entries[:FILES_LIMIT]
    blobs = blobs_of(entry for entry in listed if entry.sha256 is None)
    return [(entry, entry.sha256 or blobs[entry.ref].sha256) for entry in listed], len(entries) == len(listed)


def _model_card(version: Version, measurements: list[Measurement]) -> dict[str, Any]:
    repo, signature = version.repo, version.signature if isinstance(version.signature, Mapping) else {}
    config = repo.facts.get("config", {}) if isinstance(repo.facts, Mapping) else {}
    architectures = config.get("architectures") or []
    datasets = repo.card.get("datasets") or [] if isinstance(repo.card, Mapping) else []
    metrics = [(name, values) for name, values in version.metrics.items()]
    metrics += [(each.name, each.values) for each in measurements if each.kind == MeasurementKind.METRIC]
    parameters = {
        "task": str(signature.get("task") or repo.task or "") or None,
        "architectureFamily": str(config.get("model_type") or "") or None,
        "modelArchitecture": str(architectures[0]) if architectures else None,
        "datasets": [
            {"type": "dataset", "name": str(name)[:200]}
            for name in (datasets if isinstance(datasets, list) else [datasets])[:50]
        ]
        or None,
        "inputs": _formats(signature.get("inputs")),
        "outputs": _formats(signature.get("outputs")),
    }
    uses = [line for line in version.intended_use.splitlines() if line.strip()]
    return _without_none(
        {
            "modelParameters": _without_none(parameters) or None,
            "quantitativeAnalysis": {
                "performanceMetrics": [_performance(name, each) for name, each in metrics if isinstance(each, Mapping)]
            }
            if metrics
            else None,
            "considerations": {"useCases": uses} if uses else None,
        }
    )


def _performance(name: str, metric: Mapping[str, Any]) -> dict[str, Any]:
    where = ", ".join(str(metric[key]) for key in ("dataset", "split") if metric.get(key))
    interval = (
        {"lowerBound": str(metric["low"]), "upperBound": str(metric["high"])}
        if metric.get("low") is not None and metric.get("high") is not None
        else None
    )
    return _without_none(
        {"type": name, "value": str(metric.get("value")), "slice": where or None, "confidenceInterval": interval}
    )


def _formats(tensors: object) -> list[dict[str, str]] | None:
    """Of each tensor: name, datatype and shape (-1: any)."""
    found = [
        {"format": f"{each.get('name', '')}: {each.get('datatype', '')}{each.get('shape') or []}"}
        for each in (tensors if isinstance(tensors, list) else [])
        if isinstance(each, Mapping)
    ]
    return found or None


def _record_sets(version: Version, paths: set[str]) -> list[dict[str, Any]]:
    """Tables whose file is named and listed: a field needs a source that exists."""
    signature = version.signature if isinstance(version.signature, Mapping) else {}
    tables = signature.get("tables")
    found = []
    for number, table in enumerate(tables if isinstance(tables, list) else []):
        if not isinstance(table, Mapping) or table.get("file") not in paths:
            continue
        key = f"records-{number}"
        fields = [each for each in table.get("fields") or [] if isinstance(each, Mapping) and each.get("name")]
        found.append(
            {
                "@type": "cr:RecordSet",
                "@id": key,
                "name": str(table.get("name") or table["file"]),
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"{key}/{each['name']}",
                        "name": str(each["name"]),
                        "description": str(each.get("description") or each["name"]),
                        "dataType": _croissant_type(str(each.get("type", ""))),
                        "source": {
                            "fileObject": {"@id": table["file"]},
                            "extract": {"column": str(each["name"])},
                        },
                    }
                    for each in fields
                ],
            }
        )
    return [each for each in found if each["field"]]


def _croissant_type(text: str) -> str:
    if text.startswith("sc:"):
        return text
    return next((kind for start, kind in _CROISSANT_TYPES.items() if text.lower().startswith(start)), "sc:Text")


def _keywords(version: Version) -> list[str]:
    tags = version.repo.card.get("tags") if isinstance(version.repo.card, Mapping) else None
    return [str(tag) for tag in tags[:50]] if isinstance(tags, list) else []


def _cyclonedx_licence(licence: str) -> dict[str, Any]:
    spdx = _SPDX.get(licence.lower())
    return {"license": {"id": spdx} if spdx else {"name": licence}}


def _licence_url(licence: str) -> str:
    spdx = _SPDX.get(licence.lower())
    return f"https://spdx.org/licenses/{spdx}.html" if spdx else licence


def _media_type(path: str) -> str:
    if path.endswith(".parquet"):
        return "application/x-parquet"
    if path.endswith((".jsonl", ".ndjson")):
        return "application/jsonlines"
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def _base(version: Version) -> str:
    repo = version.repo
    prefix = "" if repo.kind == RepoKind.MODEL else f"/{repo.kind}s"
    return f"{prefix}/{quote(repo.namespace.name)}/{quote(repo.name)}"


def _page(version: Version, site: str) -> str:
    return f"{site}{_base(version)}/versions/{quote(version.name)}"


def _file_url(version: Version, path: str, site: str) -> str:
    return f"{site}{_base(version)}/resolve/{version.commit.oid}/{quote(path)}"


def _flat(environment: object, prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in environment.items() if isinstance(environment, Mapping) else ():
        found += _flat(value, f"{prefix}{name}:") if isinstance(value, Mapping) else [(f"{prefix}{name}", str(value))]
    return found


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if each is not None}
