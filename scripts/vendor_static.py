"""Copy the front-end files that pages use from `node_modules/` (filled by `npm ci --ignore-scripts`) to `static/vendor/`.

Nothing is compiled or bundled: scripts and fonts are taken as published. The icons named in `ICONS` are put into one sprite.
Run again at will; the folder is replaced as a whole. Exit code 2 when a file is missing."""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"

FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "uplot/dist/uPlot.iife.min.js": "uplot.min.js",
    "uplot/dist/uPlot.min.css": "uplot.min.css",
    "cytoscape/dist/cytoscape.min.js": "cytoscape.min.js",
    "dagre/dist/dagre.min.js": "dagre.min.js",
    "cytoscape-dagre/dist/cytoscape-dagre.min.js": "cytoscape-dagre.min.js",
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "fonts/inter-latin.woff2",
    "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2": "fonts/inter-latin-ext.woff2",
    "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2": "fonts/jetbrains-mono-latin.woff2",
    # all of the alphabet, Greek and Cyrillic too: what invoices are set in as files
    "@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf": "fonts/inter-400.ttf",
    "@expo-google-fonts/inter/600SemiBold/Inter_600SemiBold.ttf": "fonts/inter-600.ttf",
}

ICONS = (
    "activity archive arrow-left arrow-right arrow-up-right badge-check ban bell book-open box building-2 chart-line check "
    "chevron-down chevron-right chevrons-up-down circle-alert circle-check circle-dashed circle-help circle-play circle-x "
    "clipboard clock coins copy cpu credit-card database download ellipsis external-link eye-off file file-image file-text "
    "folder git-branch git-commit-horizontal git-compare globe heart history key-round layers list lock log-out menu moon "
    "network package play plus receipt refresh-cw rocket rotate-ccw scale search settings shield shield-check shopping-bag "
    "sliders-horizontal square store sun sun-moon table tag trash-2 triangle-alert undo-2 upload user user-plus users wallet "
    "workflow x zap"
).split()


def copy_files() -> None:
    for source, target in FILES.items():
        path = VENDOR / target
        path.parent.mkdir(parents=True, exist_ok=True)
        # the source-map comment would make the developer tools ask for a file that is not there
        if path.suffix == ".js":
            path.write_text(
                re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", (MODULES / source).read_text("utf-8")), "utf-8"
            )
        else:
            shutil.copyfile(MODULES / source, path)


def build_sprite() -> None:
    symbols = []
    for name in ICONS:
        svg = (MODULES / "lucide-static" / "icons" / f"{name}.svg").read_text("utf-8")
        body = re.sub(r"\s+", " ", svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]).strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>')
    licence = "<!-- Lucide icons, ISC licence -->"
    sprite = f'{licence}\n<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"
    (VENDOR / "icons.svg").write_text(sprite, "utf-8")


def main() -> int:
    shutil.rmtree(VENDOR, ignore_errors=True)
    try:
        copy_files()
        build_sprite()
    except FileNotFoundError as error:
        sys.stderr.write(f"{error.filename} is missing: run `npm ci --ignore-scripts` first.\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
