"""The wheel, built through the sdist, installed in an environment of its own and used there, far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import nlp_lstm

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.py"))


@dataclass(frozen=True)
class Installation:
    """An environment that holds the wheel; the libraries it depends on are those that the tests run with."""

    folder: Path
    work: Path

    def run(self, *command: str) -> str:
        """Run a command of the environment in an empty folder; return its stdout."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        return _run([str(self.folder / "bin" / command[0]), *command[1:]], self.work, environment)


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)], ROOT)
    return folder / f"nlp_lstm-{nlp_lstm.__version__}.tar.gz"


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    source = folder / "source" / sdist.name.removesuffix(".tar.gz")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], source)
    return folder / f"nlp_lstm-{nlp_lstm.__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    _run([str(folder / "bin" / "pip"), "install", "--quiet", "--no-deps", "--no-index", str(wheel)], folder)
    # A path that a .pth file adds has its own .pth files ignored, so the editable checkout stays out of reach.
    libraries = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    return Installation(folder, tmp_path_factory.mktemp("work"))


def test_the_sdist_holds_all_that_is_developed(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "tests/conftest.py"}
    expected |= {f"recipes/{name}" for name in RECIPES}
    assert expected <= names
    assert {"nlp_lstm", "recipes", "tests", "notebooks", "benchmarks"} <= {name.split("/")[0] for name in names}
    assert [name for name in names if ".venv" in name or "__pycache__" in name or name.startswith("runs/")] == []


def test_the_wheel_holds_the_package_and_the_recipes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "nlp_lstm").rglob("*.py")}
    assert len(RECIPES) >= 2
    assert files | {"nlp_lstm/py.typed"} | {f"nlp_lstm/recipes/{name}" for name in RECIPES} <= names
    assert "nlp_lstm/recipes/__init__.py" not in names
    metadata = f"nlp_lstm-{nlp_lstm.__version__}.dist-info"
    assert f"{metadata}/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"nlp_lstm", metadata}
    assert [name for name in names if "__pycache__" in name] == []


def test_the_wheel_alone_is_imported(installation: Installation) -> None:
    printed = installation.run("python", "-c", "import nlp_lstm; print(*nlp_lstm.__path__, nlp_lstm.__version__)")
    folder, version = printed.split()
    assert Path(folder).is_relative_to(installation.folder)
    assert version == nlp_lstm.__version__


def test_every_recipe_is_listed(installation: Installation) -> None:
    printed = installation.run("nlp-lstm", "recipes")
    listed = {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert {name.removesuffix(".py") for name in RECIPES} <= listed
    assert installation.run("python", "-m", "nlp_lstm", "recipes") == printed


def test_a_recipe_trains_by_name(installation: Installation) -> None:
    before = set(installation.work.rglob("model.safetensors"))
    installation.run("nlp-lstm", "train", "char_lm", "--smoke", "--run", "by_name")
    assert set(installation.work.rglob("model.safetensors")) - before == {
        installation.work / "by_name" / "model.safetensors"
    }


def test_a_copied_recipe_trains(installation: Installation) -> None:
    installation.run("nlp-lstm", "copy", "char_lm")
    copied = installation.work / "char_lm.py"
    assert copied.read_bytes() == (ROOT / "recipes" / "char_lm.py").read_bytes()
    installation.run("nlp-lstm", "train", "./char_lm.py", "--smoke", "--run", "copied")
    assert (installation.work / "copied" / "model.safetensors").is_file()
    text = installation.run("nlp-lstm", "generate", "copied", "--prompt", "The", "--max-tokens", "20", "--seed", "1")
    assert len(text) > len("The")
