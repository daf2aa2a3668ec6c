"""Environment locks: each format to one list of packages, and nothing but a sentence for what is none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.environments import run
from backends.environments.locks import FORMATS, PACKAGES_LIMIT, Unreadable, read_lock

REQUIREMENTS = """
# made by hand
--index-url https://index.example/simple
numpy==2.4.6 \\
    --hash=sha256:00 \\
    --hash=sha256:11
Scikit_Learn >=1.9,<2 ; python_version > "3.10"  # a range
torch==2.*
weights @ https://files.example/weights.whl
-e .
git+https://git.example/x.git
what is this
"""
UV = """
version = 1
[[package]]
name = "mine"
version = "0.1.0"
source = { editable = "." }
[[package]]
name = "numpy"
version = "2.4.6"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://files.example/numpy.tar.gz", hash = "sha256:00" }
[[package]]
name = "own"
version = "1"
source = { git = "https://git.example/own" }
"""
POETRY = """
[[package]]
name = "numpy"
version = "2.4.6"
files = [{file = "numpy.whl", hash = "sha256:00"}]
[metadata]
lock-version = "2.1"
"""
CONDA_LOCK = """
version: 1
package:
- {name: numpy, version: 2.4.6, manager: conda, platform: linux-64, hash: {md5: 00}}
- {name: numpy, version: 2.4.6, manager: conda, platform: osx-64, hash: {}}
- {name: rich, version: '14.0', manager: pip, platform: linux-64, hash: {sha256: 00}}
"""
PIXI = """
version: 6
environments: {}
packages:
- conda: https://conda.example/conda-forge/linux-64/python-dateutil-2.9.0-py312_1.conda
  sha256: 00
- pypi: https://files.example/rich.whl
  name: rich
  version: 14.0.0
  sha256: 00
"""
CONDA = """
name: net
dependencies:
- python=3.11.7
- conda-forge::numpy=2.4.6=py311_0
- scipy>=1.9
- blas=1.1
- pip
- [not, a, word]
- pip: [mlflow==3.17.2, "rich"]
"""
PYTHON_ENV = "python: 3.10.12\nbuild_dependencies: [pip==25.0]\ndependencies: [-r requirements.txt]\n"


def told(name: str, text: str) -> list[str]:
    return [
        f"{each.ecosystem} {each.name} {each.version or each.wanted}{'#' * each.has_hash}"
        for each in read_lock(name, text.encode()).packages
    ]


@pytest.mark.parametrize(
    ("name", "text", "packages"),
    [
        ("requirements.txt", REQUIREMENTS, ["pypi numpy 2.4.6#", "pypi scikit-learn <2,>=1.9", "pypi torch ==2.*", "pypi weights https://files.example/weights.whl"]),
        ("uv.lock", UV, ["pypi numpy 2.4.6#", "other own 1"]),
        ("poetry.lock", POETRY, ["pypi numpy 2.4.6#"]),
        ("conda-lock.yml", CONDA_LOCK, ["conda numpy 2.4.6#", "pypi rich 14.0#"]),
        ("pixi.lock", PIXI, ["conda python-dateutil 2.9.0#", "pypi rich 14.0.0#"]),
        ("conda.yaml", CONDA, ["conda blas =1.1", "pypi mlflow 3.17.2", "conda numpy 2.4.6", "conda pip any version", "conda python 3.11.7", "pypi rich any version", "conda scipy >=1.9"]),
        ("python_env.yaml", PYTHON_ENV, ["pypi pip 25.0", "other python 3.10.12"]),
    ],
    ids=["requirements", "uv", "poetry", "conda-lock", "pixi", "conda", "python-env"],
)  # fmt: skip
def test_every_format_tells_its_packages(name, text, packages) -> None:
    assert told(name, text) == packages


def test_what_is_not_a_package_is_noted_and_never_followed() -> None:
    lock = read_lock("requirements.txt", REQUIREMENTS.encode())
    assert lock.notes == ["No package of an index: -e .", "No package of an index: git+https://git.example/x.git", "Not understood: what is this"]  # fmt: skip
    many = "\n".join(f"p{number}==1" for number in range(PACKAGES_LIMIT + 5))
    cut = read_lock("requirements.txt", many.encode())
    assert (len(cut.packages), cut.is_cut) == (PACKAGES_LIMIT, True)


BOMB = "dependencies: &a [x]\n" + "".join(
    f"b{n}: &b{n} [{', '.join(['*' + ('a' if not n else f'b{n - 1}')] * 9)}]\n" for n in range(12)
)


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_a_lock_or_unreadable(name: str, raw: bytes) -> None:
    try:
        packages = read_lock(name, raw).packages
    except Unreadable:
        packages = []
    assert all(each.name.isprintable() and each.version.isprintable() for each in packages)


def test_nothing_is_run_or_expanded(tmp_path: Path) -> None:
    evil = "dependencies: [!!python/object/apply:os.system ['touch evil']]"
    with pytest.raises(Unreadable):
        read_lock("conda.yaml", evil.encode())
    assert told("conda.yaml", BOMB) == ["conda x any version"]
    (tmp_path / "files").mkdir()
    (tmp_path / "files/0").write_bytes(b"\xff\xfe")
    (tmp_path / "spec.json").write_text(json.dumps({"name": "uv.lock"}))
    assert run.main(tmp_path) == 0
    assert json.loads((tmp_path / "result.json").read_text()) == {"problem": "It is not UTF-8 text."}
