"""What the page about the content of a dataset shows: statistics, samples, rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts.actors import Actor
from registry import queries
from registry.services import profiles
from web.hub.addresses import Place
from web.hub.heads import RepoHead
from web.hub.histograms import HEIGHT, WIDTH, Bar, Bars, Tile, bars_of, shares, short
from web.hub.pages import Option
from web.links import repo_url, with_query

if TYPE_CHECKING:
    from registry.models import DatasetProfile, Repo

ROWS = 25
FAILURES = 50
VERSIONS = 100
LAYOUTS = {
    "coco": "Pictures with boxes (COCO)",
    "yolo": "Pictures with boxes (YOLO)",
    "voc": "Pictures with boxes (Pascal VOC)",
    "masks": "Pictures with masks",
    "images": "Pictures",
    "images by class": "Pictures by class",
    "audio": "Sound",
    "audio by class": "Sound by class",
    "tables": "Tables",
    "text": "Text",
    "files": "Files of no known layout",
}


@dataclass(frozen=True)
class Figure:
    label: str
    value: str


@dataclass(frozen=True)
class ColumnView:
    name: str
    type: str
    bars: Bars | None
    figures: list[Figure]
    top: list[tuple[str, int, int]]
    """Value, count, and its share of the most frequent one in per cent."""


@dataclass(frozen=True)
class TableView:
    table: str
    split: str
    rows: int
    column_count: int
    form: str
    note: str
    columns: list[ColumnView]
    names: list[tuple[str, str]]
    sample: list[tuple[int, list[str | None]]]
    sample_note: str
    next_href: str
    first_href: str


@dataclass(frozen=True)
class MediaSplit:
    split: str
    tiles: list[Tile]
    charts: list[tuple[str, Bars]]
    classes: list[tuple[str, int, int]]
    class_count: int


@dataclass(frozen=True)
class Thumb:
    href: str
    file_href: str
    path: str
    label: str
    detail: str


@dataclass(frozen=True)
class Wave:
    path: str
    file_href: str
    label: str
    detail: str
    bars: list[Bar]


@dataclass(frozen=True)
class TextSample:
    path: str
    file_href: str
    label: str
    text: str


@dataclass(frozen=True)
class Check:
    demand: str
    where: str
    passed: bool
    figures: str
    problem: str
    examples: list[str]
    blocks: bool


@dataclass(frozen=True)
class Warned:
    """Something a person should know: leaks, copies, damaged files."""

    title: str
    text: str
    examples: list[str]


@dataclass(frozen=True)
class DataPage:
    """`state` is waiting, failed or shown."""

    title: str
    head: RepoHead
    here: str
    revision: str
    revisions: list[Option]
    state: str
    problem: str
    layout: str
    coverage: str
    is_whole: bool
    made_at: datetime | None
    validity: str
    rules_problem: str
    checks: list[Check]
    failed_count: int
    splits: list[Option]
    tables: list[Option]
    table: TableView | None
    media: list[MediaSplit]
    media_title: str
    thumbs: list[Thumb]
    waves: list[Wave]
    texts: list[TextSample]
    annotations: list[MediaSplit]
    warnings: list[Warned]
    compare_href: str
    sql_href: str
    derive_href: str
    api_href: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, place: Place, asked: Mapping[str, str]) -> "DataPage":
        """The content at a revision, which is looked into when nobody has yet."""
        head = RepoHead.of(repo, actor, "data")
        profile = profiles.profile_of(place.commit)
        content = profile.content if profile else {}
        here = repo_url(repo, "data", place.revision)
        versions = list(queries.versions_of(repo)[:VERSIONS])
        revisions = [
            Option(
                repo_url(repo, "data", repo.default_branch), repo.default_branch, place.revision == repo.default_branch
            )
        ]
        revisions += [
            Option(repo_url(repo, "data", each.name), each.name, each.name == place.revision) for each in versions
        ]
        names = _splits(content)
        split = asked.get("split", "") if asked.get("split", "") in names else ""
        tables, table = _tables(here, content, asked, split)
        media, media_title = _media(content, split)
        coverage = content.get("coverage", {})
        failed = [each for each in content.get("validation", []) if not each["passed"]]
        passed = [each for each in content.get("validation", []) if each["passed"]]
        return cls(
            title=f"Data of {head.full_name}",
            head=head,
            here=with_query(here, **{key: asked.get(key, "") for key in ("table", "split", "row")}),
            revision=place.revision,
            revisions=revisions,
            state="waiting" if profile is None else "failed" if content.get("problem") else "shown",
            problem=content.get("problem", ""),
            layout=LAYOUTS.get(content.get("layout", ""), content.get("layout", "")),
            coverage=_coverage(coverage),
            is_whole=coverage.get("read_files") == coverage.get("files"),
            made_at=profile.created_at if profile else None,
            validity=validity_of(profile),
            rules_problem=content.get("rules_problem", ""),
            checks=[_check(each) for each in [*failed, *passed][:FAILURES]],
            failed_count=len(failed),
            splits=[Option(with_query(here, split=name), name or "all splits", name == split) for name in ["", *names]]
            if len(names) > 1
            else [],
            tables=tables,
            table=table,
            media=media,
            media_title=media_title,
            thumbs=_thumbs(repo, place, content, split),
            waves=_waves(repo, place, content, split),
            texts=[
                TextSample(
                    each["path"], repo_url(repo, "blob", place.revision, each["path"]), each["label"], each["text"]
                )
                for each in (content.get("text") or {"samples": []})["samples"]
                if split in {"", each["split"]}
            ][:10],
            annotations=_annotations(content, split),
            warnings=_warnings(content),
            sql_href=repo_url(repo, "sql", place.revision) if content.get("tables") else "",
            derive_href=repo_url(repo, "derivations") if versions and head.can_write else "",
            compare_href=repo_url(repo, "data-compare") if len(versions) > 1 else "",
            api_href=with_query(
                f"/api/v1/repos/{repo.kind}/{repo.namespace.name}/{repo.name}/profile", revision=place.revision
            ),
        )


def validity_of(profile: "DatasetProfile | None") -> str:
    """kept, broken, none (no rules), or empty while nobody has looked."""
    if profile is None:
        return ""
    return {True: "kept", False: "broken", None: "none"}[profile.is_valid]


def _coverage(found: Mapping[str, int]) -> str:
    if not found:
        return ""
    if found["read_files"] == found["files"]:
        return f"Measured on all {found['files']:,} files."
    return (
        f"Measured on a fair sample of {found['read_files']:,} of {found['files']:,} files; counts are of the sample."
    )


def _splits(content: Mapping[str, Any]) -> list[str]:
    names = [each["split"] for each in content.get("tables", [])]
    for key in ("images", "audio", "text", "annotations"):
        names += [each["split"] for each in (content.get(key) or {"splits": []})["splits"]]
    order = ["train", "validation", "test"]
    return sorted(set(names), key=lambda name: (order.index(name) if name in order else len(order), name))


def _key_of(table: Mapping[str, Any]) -> str:
    return f"{table['table']}:{table['split']}:{table['form']}"


def _name_of(table: Mapping[str, Any], *, has_forms: bool) -> str:
    parts = [table["table"], table["split"] if table["split"] != "all" else "", table["form"] if has_forms else ""]
    return " · ".join(part for part in parts if part)


def _tables(
    here: str, content: Mapping[str, Any], asked: Mapping[str, str], split: str
) -> tuple[list[Option], TableView | None]:
    found = [each for each in content.get("tables", []) if split in {"", each["split"]}]
    if not found:
        return [], None
    # with several tables of one split, or several splits, one is shown and the others are a click away
    wanted = asked.get("table", "")
    chosen = next((each for each in found if _key_of(each) == wanted), None)
    chosen = chosen or next((each for each in found if each["split"] == "train"), found[0])
    # the same table may be there as CSV and as Parquet
    has_forms = len({(each["table"], each["split"]) for each in found}) < len(found)
    options = [
        Option(with_query(here, table=_key_of(each), split=split), _name_of(each, has_forms=has_forms), each is chosen)
        for each in found
    ]
    sample = chosen["sample"]
    raw = asked.get("row", "1")
    start = min(int(raw) - 1, max(0, len(sample) - 1)) if raw.isascii() and raw.isdigit() and 0 < len(raw) < 6 else 0
    start = max(0, start)
    shown = sample[start : start + ROWS]
    address = {"table": _key_of(chosen), "split": split}
    names = [(each["name"], each["type"]) for each in chosen["columns"][:60]]
    return options if len(options) > 1 else [], TableView(
        table=chosen["table"],
        split=chosen["split"],
        rows=chosen["rows"],
        column_count=chosen["column_count"],
        form=chosen["form"],
        note=chosen["note"],
        columns=[_column(each, chosen["rows"]) for each in chosen["columns"]],
        names=names,
        sample=[(start + number, row) for number, row in enumerate(shown, 1)],
        sample_note=f"Rows {start + 1:,} to {start + len(shown):,} of {chosen['rows']:,}; the first {len(sample):,} can be looked at here."
        if shown
        else "It has no rows.",
        next_href=with_query(here, **address, row=start + ROWS + 1) + "#rows" if start + ROWS < len(sample) else "",
        first_href=with_query(here, **address) + "#rows" if start else "",
    )


def _column(found: Mapping[str, Any], rows: int) -> ColumnView:
    kind = found["kind"]
    figures = []
    if rows:
        nulls = found["nulls"] / rows
        figures.append(Figure("empty", f"{nulls:.1%}" if found["nulls"] else "none"))
    figures.append(Figure("distinct", f"{'about ' if found['is_estimate'] else ''}{found['distinct']:,}"))
    if kind in {"integer", "number"}:
        figures += [Figure(name, short(found.get(key))) for name, key in (("mean", "mean"), ("deviation", "std"))]
        quantiles = found.get("quantiles") or []
        figures += [Figure("median", short(quantiles[2]))] if len(quantiles) == 5 else []
        figures += [Figure("not finite", f"{found['not_finite']:,}")] if found.get("not_finite") else []
    elif kind == "time":
        figures += [Figure("from", str(found.get("from") or "–")[:19]), Figure("to", str(found.get("to") or "–")[:19])]
    elif found.get("length"):
        length = found["length"]
        figures += [Figure("length", f"{short(length['min'])} to {short(length['max'])}")]
    top = found.get("top") or []
    # a column of names has a most frequent value, too, but it tells nothing
    top = top[:5] if kind != "integer" and top and (top[0][1] > 1 or len(top) < 5) else []
    histogram = found.get("histogram")
    bars = bars_of(histogram, found["name"], is_time=kind == "time") if histogram and histogram["counts"] else None
    return ColumnView(found["name"], found["type"].lower()[:60], bars, figures, shares(top))


def _chart(name: str, summary: Mapping[str, Any]) -> list[tuple[str, Bars]]:
    histogram = summary.get("histogram")
    return [(name, bars_of(histogram, name))] if histogram and summary["count"] else []


def _media(content: Mapping[str, Any], split: str) -> tuple[list[MediaSplit], str]:
    for key, title, build in (
        ("images", "Pictures", _images_split),
        ("audio", "Sound", _audio_split),
        ("text", "Text", _text_split),
    ):
        if content.get(key):
            return [build(each) for each in content[key]["splits"] if split in {"", each["split"]}], title
    return [], ""


def _images_split(each: Mapping[str, Any]) -> MediaSplit:
    tiles = [Tile("Pictures", f"{each['count']:,}", ", ".join(f"{name} {n:,}" for name, n in each["formats"][:3]))]
    tiles.append(Tile("Damaged", f"{each['corrupt']:,}", "cannot be decoded", "danger" if each["corrupt"] else ""))
    tiles.append(Tile("Blurred", f"{each['blurred']:,}", "sharpness below 0.01"))
    tiles.append(Tile("Colours", ", ".join(name for name, _ in each["modes"][:3]) or "–", "modes of pixels"))
    charts = (
        _chart("width in pixels", each["width"])
        + _chart("height in pixels", each["height"])
        + _chart("sharpness", each["sharpness"])
    )
    return MediaSplit(each["split"], tiles, charts, shares(each["classes"][:20]), each["class_count"])


def _audio_split(each: Mapping[str, Any]) -> MediaSplit:
    minutes = each["total_s"] / 60
    tiles = [Tile("Clips", f"{each['count']:,}", ", ".join(f"{name} {n:,}" for name, n in each["formats"][:3]))]
    tiles.append(Tile("Length", f"{minutes:,.1f} min" if minutes >= 1 else f"{each['total_s']:,.1f} s", "all together"))
    tiles.append(Tile("Damaged", f"{each['corrupt']:,}", "cannot be decoded", "danger" if each["corrupt"] else ""))
    tiles.append(
        Tile(
            "Rate",
            ", ".join(f"{int(rate):,} Hz" for rate, _ in each["rates"][:2] if rate.isdigit()) or "–",
            f"{each['silent']:,} silent",
        )
    )
    return MediaSplit(
        each["split"], tiles, _chart("seconds", each["duration_s"]), shares(each["classes"][:20]), each["class_count"]
    )


def _text_split(each: Mapping[str, Any]) -> MediaSplit:
    tiles = [Tile(name.capitalize(), f"{each[name]:,}") for name in ("files", "lines", "words", "characters")]
    return MediaSplit(each["split"], tiles, _chart("words in a file", each["words_per_file"]), [], 0)


def _annotations(content: Mapping[str, Any], split: str) -> list[MediaSplit]:
    found = content.get("annotations")
    if not found:
        return []
    is_mask = found["format"] == "masks"
    views = []
    for each in found["splits"]:
        if split not in {"", each["split"]}:
            continue
        tiles = [Tile("Masks" if is_mask else "Objects", f"{each['objects']:,}", f"in {each['images']:,} pictures")]
        tiles.append(Tile("Without any", f"{each['without_objects']:,}", "pictures"))
        if not is_mask:
            tiles.append(
                Tile(
                    "Odd boxes",
                    f"{each['odd_boxes']:,}",
                    "empty, or beyond the picture",
                    "danger" if each["odd_boxes"] else "",
                )
            )
        charts = _chart("objects in a picture", each["per_image"])
        charts += _chart("marked part of a picture" if is_mask else "part of the picture in a box", each["area"])
        classes = shares(each["classes"][:20])
        views.append(
            MediaSplit(
                each["split"],
                tiles,
                charts,
                [(f"value {name}" if is_mask else name, n, part) for name, n, part in classes],
                len(each["classes"]),
            )
        )
    return views


def _thumbs(repo: "Repo", place: Place, content: Mapping[str, Any], split: str) -> list[Thumb]:
    found = [each for each in (content.get("images") or {"samples": []})["samples"] if split in {"", each["split"]}]
    return [
        Thumb(
            repo_url(repo, "data-pictures", place.commit.oid, str(each["picture"])),
            repo_url(repo, "blob", place.revision, each["path"]),
            each["path"],
            each["label"],
            f"{each['width']} × {each['height']}",
        )
        for each in found
    ]


def _waves(repo: "Repo", place: Place, content: Mapping[str, Any], split: str) -> list[Wave]:
    waves = []
    for each in (content.get("audio") or {"samples": []})["samples"]:
        if split not in {"", each["split"]}:
            continue
        step = WIDTH / max(1, len(each["peaks"]))
        bars = []
        for at, peak in enumerate(each["peaks"]):
            height = max(0.6, HEIGHT * min(1.0, abs(peak)))
            bars.append(
                Bar(f"{at * step:.2f}", f"{(HEIGHT - height) / 2:.2f}", f"{step * 0.7:.2f}", f"{height:.2f}", "")
            )
        channels = {1: "mono", 2: "stereo"}.get(each["channels"], f"{each['channels']} channels")
        detail = f"{each['duration_s']:.2f} s, {each['rate']:,} Hz, {channels}"
        waves.append(
            Wave(each["path"], repo_url(repo, "blob", place.revision, each["path"]), each["label"], detail, bars)
        )
    return waves


def _check(found: Mapping[str, Any]) -> Check:
    figures = (
        f"{found['failed']:,} of {found['checked']:,}"
        if found["failed"] and found["checked"]
        else f"{found['checked']:,} checked"
    )
    return Check(
        found["demand"], found["where"], found["passed"], figures, found["problem"], found["examples"], found["blocks"]
    )


def _warnings(content: Mapping[str, Any]) -> list[Warned]:
    found = [Warned("Could not be read", problem, []) for problem in content.get("problems", [])[:10]]
    found += [
        Warned(
            "Rows leak between splits",
            f"{each['rows']:,} rows of {each['right']} stand in {each['left']}, too ({each['table']}).",
            [f"{each['right']} row {number}" for number in each["examples"]],
        )
        for each in content.get("overlaps", [])
        if each["rows"]
    ]
    for each in content.get("similar_texts") or []:
        if each["pairs"]:
            between = f", {each['between_splits']:,} of them between splits" if each["between_splits"] else ""
            text = f"{each['pairs']:,} pairs in {each['column']}{between}; {each['looked_at']:,} texts were compared."
            found.append(
                Warned(
                    "Texts are nearly the same",
                    text,
                    [f"{pair['left']}, {pair['right']}: {pair['text']}" for pair in each["examples"][:10]],
                )
            )
    images = content.get("images")
    if images and images["leaks"]["count"]:
        pairs = [" and ".join(pair) for pair in images["leaks"]["pairs"][:10]]
        found.append(
            Warned(
                "Pictures leak between splits",
                f"{images['leaks']['count']:,} pairs look the same in two splits.",
                pairs,
            )
        )
    elif images and images["near_duplicates"]["count"]:
        pairs = [" and ".join(pair) for pair in images["near_duplicates"]["pairs"][:10]]
        found.append(Warned("Pictures look the same", f"{images['near_duplicates']['count']:,} pairs.", pairs))
    for key in ("images", "audio"):
        if content.get(key) and content[key]["corrupt"]:
            files = content[key]["corrupt"]
            found.append(
                Warned(
                    "Damaged files",
                    f"{len(files):,} cannot be decoded.",
                    [f"{each['path']}: {each['problem']}" for each in files[:10]],
                )
            )
    return found
