"""Every notebook runs from beginning to end in an empty folder, and is stored without what running it leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("**/*.ipynb"))
KERNEL = "this-interpreter"
# A reader trains longer, for better figures than the cells assert; the rest of a notebook is run as it stands.
SHORTER = {
    "character_model": ("max_steps=240", "max_steps=90"),
    "recurrent_cells": ("steps=150", "steps=70"),
    "translation": ("max_steps=420", "max_steps=90"),
}
LONGEST = 600  # seconds, for one cell: it stops what hangs, and is no verdict on speed


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, and a kernel that is the interpreter of the tests, whatever Jupyter has installed."""
    specification = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": KERNEL,
        "language": "python",
    }
    kernel = tmp_path / "jupyter" / "kernels" / KERNEL / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps(specification), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
        (tmp_path / variable.lower()).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    work = tmp_path / "work"
    work.mkdir()
    return work


def execute(notebook: nbformat.NotebookNode, folder: Path) -> list[nbformat.NotebookNode]:
    """Run all cells in `folder`; return their outputs. Raises CellExecutionError where one fails."""
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=LONGEST, kernel_name=KERNEL, resources=resources).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shortened(path: Path) -> nbformat.NotebookNode:
    """Read a notebook, with the shorter training of SHORTER."""
    notebook = nbformat.read(path, as_version=4)
    long, short = SHORTER.get(path.stem, ("", ""))
    cells = [cell for cell in notebook.cells if long and cell.cell_type == "code" and long in cell.source]
    assert [cell.source.count(long) for cell in cells] == ([1] if long else [])
    for cell in cells:
        cell.source = cell.source.replace(long, short)
    return notebook


def stored_remains(notebook: nbformat.NotebookNode) -> list[str]:
    """List the cells that are stored with outputs or an execution count."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell.id for cell in code if cell.outputs or cell.execution_count is not None]


def new_notebook(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def test_the_notebooks_are_found() -> None:
    assert {"character_model.ipynb", "sentiment.ipynb"} <= {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert stored_remains(notebook) == []
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, jupyter: Path) -> None:
    notebook = shortened(path)
    outputs = execute(notebook, jupyter)
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [cell.id for cell in notebook.cells if cell.cell_type == "code" and cell.execution_count is None] == []
    drawing = [cell for cell in notebook.cells if "plt.subplots(" in cell.source]
    assert len(drawing) >= 1
    assert [cell.id for cell in drawing if not any("image/png" in one.get("data", {}) for one in cell.outputs)] == []
    assert "Warning" not in "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert list(jupyter.iterdir()) == [], "it leaves files in the folder it runs in"


def test_the_kernel_is_this_interpreter(jupyter: Path) -> None:
    (output,) = execute(new_notebook("import sys; print(sys.executable)"), jupyter)
    assert output.text.strip() == sys.executable


def test_a_cell_that_fails_is_found(jupyter: Path) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(new_notebook("1 / 0"), jupyter)


def test_stored_outputs_are_found() -> None:
    notebook = new_notebook("1", "2", "3")
    notebook.cells[1].execution_count = 4
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="3")]
    assert stored_remains(notebook) == [notebook.cells[1].id, notebook.cells[2].id]
