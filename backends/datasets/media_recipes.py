"""How one state of a set of pictures or sounds becomes another: which files stay, and to which split they go. Nothing in it is code."""

import math
from dataclasses import dataclass, field
from typing import Any

from backends.datasets.recipes import SPLITS, Wrong, checked_splits

CLASSES = 1000
_BOUNDS = ("min_width", "max_width", "min_height", "max_height", "min_duration_s", "max_duration_s")
_KEYS = ("classes", "from_splits", *_BOUNDS)


@dataclass(frozen=True)
class MediaRecipe:
    """`classes`: those that stay, of folders or of annotations; empty: all. `from_splits`: the present splits that stay. `bounds`: sizes in
    pixels, durations in seconds, by the keys of _BOUNDS. `splits`: name → part of the files, summing to 1; empty: files stay where they
    are. `seed` chooses another assignment."""

    classes: tuple[str, ...] = ()
    from_splits: tuple[str, ...] = ()
    bounds: dict[str, float] = field(default_factory=dict)
    splits: dict[str, float] = field(default_factory=dict)
    seed: int = 0


def is_media(data: Any) -> bool:
    """Whether a recipe is one of these: it has `media`."""
    return isinstance(data, dict) and "media" in data


def parse(data: Any) -> MediaRecipe:
    """The recipe that JSON declares: `{media: {classes, from_splits, min_width, …}, splits, seed}`. Raises Wrong."""
    if not isinstance(data, dict) or not isinstance(data.get("media"), dict):
        raise Wrong("`media` must be an object.")
    if odd := sorted(set(data) - {"media", "splits", "seed"}):
        raise Wrong(f"`{odd[0][:60]}` is not known beside `media`; there may be splits and seed.")
    media = data["media"]
    if odd := sorted(set(media) - set(_KEYS)):
        raise Wrong(f"`{odd[0][:60]}` is not known of media; it may have {', '.join(_KEYS)}.")
    bounds = {name: _bound(name, media[name]) for name in _BOUNDS if media.get(name) is not None}
    for low, high in (("min_width", "max_width"), ("min_height", "max_height"), ("min_duration_s", "max_duration_s")):
        if bounds.get(low, 0) > bounds.get(high, math.inf):
            raise Wrong(f"`{low}` is above `{high}`: nothing can stay.")
    if type(data.get("seed", 0)) is not int or not 0 <= data.get("seed", 0) < 2**31:
        raise Wrong("`seed` must be a whole number from 0 on.")
    made = MediaRecipe(
        _words("classes", media.get("classes", []), CLASSES),
        _words("from_splits", media.get("from_splits", []), SPLITS),
        bounds,
        checked_splits(data.get("splits", {})),
        data.get("seed", 0),
    )
    if made == MediaRecipe(seed=made.seed):
        raise Wrong("The recipe asks for nothing: name classes, bounds, splits to take or to make.")
    return made


def plain(recipe: MediaRecipe) -> dict[str, Any]:
    """For JSON; `parse` reads it again."""
    media = {"classes": list(recipe.classes), "from_splits": list(recipe.from_splits), **recipe.bounds}
    return {"media": media, "splits": recipe.splits, "seed": recipe.seed}


def sentence(recipe: MediaRecipe) -> str:
    """What it does, for people."""
    said = [f"classes {', '.join(recipe.classes)}"] if recipe.classes else []
    said += [f"from {', '.join(recipe.from_splits)}"] if recipe.from_splits else []
    said += [f"{name.replace('_', ' ').removesuffix(' s')} {value:g}" for name, value in recipe.bounds.items()]
    if recipe.splits:
        said.append("split into " + ", ".join(f"{name} {part:.0%}" for name, part in recipe.splits.items()))
    return "; ".join(said)[:1000]


def _words(key: str, value: Any, limit: int) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > limit
        or not all(isinstance(each, str) and 0 < len(each) <= 200 for each in value)
    ):
        raise Wrong(f"`{key}` must be a list of up to {limit} names.")
    return tuple(dict.fromkeys(value))


def _bound(name: str, value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value < 1e9
    ):
        raise Wrong(f"`{name}` must be a number from 0 on.")
    return float(value)
