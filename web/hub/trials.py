"""What versions say to one input, side by side: the form for the input, and the answers."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts.actors import Actor
from common.errors import NotFound
from registry.comparison.shape import Comparison, Side
from registry.services import studies, trials
from registry.services.studies import Asked
from registry.states import RepoKind
from web.templatetags.ui import number

if TYPE_CHECKING:
    from registry.models import Trial, Version
    from web.hub.compare import Wanted

ROWS_SHOWN = 20
CLASSES_SHOWN = 3
VALUES_SHOWN = 6
COLUMN = "column:"
FIELDS_LIMIT = 60
EXAMPLE_LIMIT = 20_000


@dataclass(frozen=True)
class TrialField:
    """One column of the base's row; `name` is that of the form's field."""

    name: str
    label: str
    value: str
    is_text: bool


@dataclass(frozen=True)
class AnswerCell:
    """`lines`: what is said, most likely first; `mark`: how it stands beside the base's."""

    lines: list[str]
    mark: str = ""
    is_changed: bool = False


@dataclass(frozen=True)
class AnswerRow:
    label: str
    cells: list[AnswerCell]


@dataclass(frozen=True)
class AnswerColumn:
    """`state`: why there is no answer, or how it was come by."""

    title: str
    is_base: bool
    state: str
    is_problem: bool


@dataclass(frozen=True)
class TrialPart:
    """`is_open`: an input was given, and what is known of the answers is shown. `asked`: the input in words."""

    action: str
    fields: list[tuple[str, str]]
    inputs: list[TrialField]
    takes_picture: bool
    example: str
    table: str
    problem: str
    can_ask: bool
    why_not: str
    is_open: bool
    asked: str
    columns: list[AnswerColumn]
    rows: list[AnswerRow]
    is_pending: bool
    can_ask_more: bool
    part_href: str
    uuid: str

    @classmethod
    def of(
        cls,
        actor: Actor,
        wanted: "Wanted",
        comparison: Comparison,
        titles: Sequence[str],
        problem: str,
        given: Mapping[str, str],
    ) -> "TrialPart | None":
        """None for what cannot be asked."""
        sides = comparison.sides
        if sides[0].version.repo.kind != RepoKind.MODEL:
            return None
        signature = sides[wanted.base].version.signature
        signature = signature if isinstance(signature, Mapping) else {}
        trial = _trial(wanted.trial)
        known = _known(sides, trial) if trial else {}
        answers = [known.get(place, Asked()) for place in range(len(sides))]
        askable = [side for side in sides if side.files and side.files.graph]
        why_not = ""
        if not actor.is_authenticated:
            why_not = "Sign in to try an input."
        elif not askable:
            why_not = "None of these versions has an ONNX model at its root that you may read."
        missing = any(
            side.files and side.files.graph and not answer.content and not answer.is_pending
            for side, answer in zip(sides, answers, strict=True)
        )
        return cls(
            action="/compare/trials",
            fields=wanted.fields,
            inputs=_fields(signature, given),
            takes_picture=any(
                isinstance(each, Mapping) and each.get("image") for each in signature.get("inputs") or []
            ),
            example=given.get("tensors") or _example(signature),
            table=given.get("table", ""),
            problem=problem or ("That input is kept no longer: give it again." if wanted.trial and not trial else ""),
            can_ask=not why_not,
            why_not=why_not,
            is_open=trial is not None,
            asked=_asked(trial) if trial else "",
            columns=_columns(sides, answers, titles, wanted.base) if trial else [],
            rows=_rows(sides, answers, wanted.base) if trial else [],
            is_pending=any(answer.is_pending for answer in answers),
            can_ask_more=bool(trial) and missing and actor.is_authenticated,
            part_href=wanted.href("answers"),
            uuid=wanted.trial if trial else "",
        )


def ask(actor: Actor, versions: "Sequence[Version]", posted: Mapping[str, Any], files: Mapping[str, Any]) -> "Trial":
    """Start a trial with what the form holds. Raises what `registry.services.trials` raises."""
    match posted.get("form", ""):
        case "fields":
            names = [name for name in posted if name.startswith(COLUMN)]
            columns = [name.removeprefix(COLUMN) for name in names]
            return trials.try_rows(actor, versions, columns, [[str(posted[name]) for name in names]])
        case "picture":
            picture = files.get("picture")
            return trials.try_picture(actor, versions, picture.read(trials.PICTURE_BYTES + 1) if picture else b"")
        case "table":
            upload = files.get("file")
            text = upload.read(trials.TABLE_BYTES + 1).decode(errors="replace") if upload else posted.get("table", "")
            return trials.try_table(actor, versions, text)
    return trials.try_tensors(actor, versions, _parsed(posted.get("tensors", "")))


def _parsed(text: str) -> Any:
    """The inputs of a request in the words of the Open Inference Protocol: the whole body, or the list alone."""
    try:
        value = json.loads(text) if len(text) <= 4 * 1024**2 else None
    except (ValueError, RecursionError):
        value = None
    return value.get("inputs") if isinstance(value, Mapping) else value


def _trial(uuid: str) -> "Trial | None":
    try:
        return trials.trial_of(uuid) if uuid else None
    except NotFound:
        return None


def _known(sides: Sequence[Side], trial: "Trial") -> dict[int, Asked]:
    keys = {
        place: studies.answer_key(side.files.graph, side.version, trial)
        for place, side in enumerate(sides)
        if side.files and side.files.graph
    }
    found = studies.found(keys.values())
    return {place: found[key] for place, key in keys.items() if key in found}


def _fields(signature: Mapping[str, Any], given: Mapping[str, str]) -> list[TrialField]:
    """A field for each column of the row that the base takes, filled with the example's; none when there are too many."""
    example = signature.get("example")
    tensors = example.get("inputs") if isinstance(example, Mapping) else None
    values = {each.get("name"): each.get("data") for each in tensors or [] if isinstance(each, Mapping)}
    made = []
    for each in signature.get("inputs") or []:
        columns = each.get("columns") if isinstance(each, Mapping) else None
        if not columns:
            return []
        data = values.get(each.get("name"))
        data = data if isinstance(data, list) and len(data) == len(columns) else [""] * len(columns)
        for column, value in zip(columns, data, strict=True):
            name = f"{COLUMN}{column}"
            text = given.get(name, "" if isinstance(value, list) else str(value))
            made.append(TrialField(name, str(column), text, each.get("datatype") == "BYTES"))
    return made if len(made) <= FIELDS_LIMIT else []


def _example(signature: Mapping[str, Any]) -> str:
    """The example of the signature, else a request that shows the form of one."""
    example = signature.get("example")
    text = json.dumps(example) if isinstance(example, Mapping) and example.get("inputs") else ""
    if text and len(text) <= EXAMPLE_LIMIT:
        return text
    shown = []
    for each in signature.get("inputs") or [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]:
        if isinstance(each, Mapping):
            given = each.get("shape")
            shape = [1 if size == -1 else size for size in given] if isinstance(given, list) else [1]
            shown.append({"name": each.get("name"), "datatype": each.get("datatype"), "shape": shape, "data": []})
    return json.dumps({"inputs": shown})


def _asked(trial: "Trial") -> str:
    if trial.form == trials.PICTURE:
        return f"A picture of {len(trial.picture):,} bytes."
    if trial.form == trials.ROWS:
        columns, rows = trial.content["columns"], trial.content["rows"]
        if len(rows) == 1:
            pairs = [f"{name} {value}" for name, value in zip(columns, rows[0], strict=True)]
            return ", ".join(pairs[:12]) + (" …" if len(pairs) > 12 else "")
        return f"{len(rows):,} rows of {len(columns):,} columns."
    return ", ".join(
        f"{each['name']}: {each['datatype']} {' × '.join(map(str, each['shape']))}" for each in trial.content["inputs"]
    )


def _columns(sides: Sequence[Side], answers: Sequence[Asked], titles: Sequence[str], base: int) -> list[AnswerColumn]:
    columns = []
    for place, (side, answer) in enumerate(zip(sides, answers, strict=True)):
        content = answer.content or {}
        state, is_problem = "", True
        if side.files is None:
            state = "You may not read its files, so it is not asked here."
        elif side.files.graph is None:
            state = "It has no ONNX model at its root."
        elif content.get("problem"):
            state = str(content["problem"])
        elif answer.is_pending:
            state, is_problem = "is being asked …", False
        elif not content:
            state, is_problem = "not asked yet", False
        else:
            notes = " ".join(content["notes"])
            state, is_problem = f"{content['run_s'] * 1000:.3g} ms. {notes}".strip(), False
        columns.append(AnswerColumn(titles[place], place == base, state, is_problem))
    return columns


def _rows(sides: Sequence[Side], answers: Sequence[Asked], base: int) -> list[AnswerRow]:
    """A row for each row asked and each output that has one value, or one for each class, a row."""
    said = [
        _said(side, answer.content) if answer.content and not answer.content.get("problem") else {}
        for side, answer in zip(sides, answers, strict=True)
    ]
    rows = []
    for key in list(dict.fromkeys(key for each in said for key in each))[: ROWS_SHOWN * 3]:
        cells = []
        reference = said[base].get(key)
        for place, each in enumerate(said):
            lines = each.get(key)
            if lines is None:
                cells.append(AnswerCell([]))
                continue
            mark = ""
            if place != base and reference is not None:
                first, other = lines[0].split(" · ")[0], reference[0].split(" · ")[0]
                mark = "" if lines == reference else "the same first" if first == other else "differs"
            cells.append(AnswerCell(lines, mark, mark == "differs"))
        output, number_of_row = key
        rows.append(AnswerRow(f"{output}, row {number_of_row + 1}", cells))
    return rows


def _said(side: Side, content: Mapping[str, Any]) -> dict[tuple[str, int], list[str]]:
    """{(output, row): lines} of one version."""
    signature = side.version.signature if isinstance(side.version.signature, Mapping) else {}
    classes = {
        str(each.get("name")): [str(label) for label in each["classes"]]
        for each in signature.get("outputs") or []
        if isinstance(each, Mapping) and isinstance(each.get("classes"), list)
    }
    found: dict[tuple[str, int], list[str]] = {}
    for output in content["outputs"]:
        values, shape = output["values"], output["shape"]
        count = shape[0] if shape else 1
        width = len(values) // count if count and not output["is_cut"] else max(1, math.prod(shape[1:]))
        for row in range(min(count, ROWS_SHOWN)):
            part = values[row * width : (row + 1) * width]
            if part:
                found[output["name"], row] = _lines(part, classes.get(output["name"], []))
    return found


def _lines(values: list[Any], classes: list[str]) -> list[str]:
    if classes and len(values) == len(classes) and all(isinstance(value, int | float) for value in values):
        order = sorted(range(len(values)), key=lambda place: (-values[place], place))[:CLASSES_SHOWN]
        return [f"{classes[place]} · {number(float(values[place]))}" for place in order]
    shown = [_text(value) for value in values[:VALUES_SHOWN]]
    rest = len(values) - len(shown)
    return [", ".join(shown) + (f" and {rest:,} more" if rest else "")]


def _text(value: object) -> str:
    if value is None:
        return "no number"
    return value if isinstance(value, str) else number(value)  # type: ignore[arg-type]
