"""The engine's way on a GPU: its kernels interpreted and compiled without one, and run where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nlp_lstm.cells import CELLS, Cell
from nlp_lstm.cells.engine import _fused, _generated, _program, run_cell, run_fused
from nlp_lstm.cells.engine._plain import PlainStages
from nlp_lstm.cells.engine._triton import TritonStages

HERE = Path(__file__).parent
with_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed here")
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def program_of(name, size, hidden):
    cell = CELLS[name].cell
    shapes = tuple(cell.parameter_shapes(size, hidden, True).items())
    weights = SimpleNamespace(**{key: torch.zeros(shape) for key, shape in shapes})
    columns = cell.project(torch.zeros(1, 1, size), weights).shape[-1]
    return _program.program(cell, columns, tuple(cell.state_sizes(hidden).values()), shapes)


@with_triton
def test_the_kernels_by_their_interpreter():
    """What is read when Triton is loaded needs a process of its own."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider"),
            *("-W", "ignore::RuntimeWarning", str(HERE / "interpreted_triton.py")),  # overflows that are not chosen
        ],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path},
        cwd=HERE.parents[2],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.fixture
def chip(monkeypatch, tmp_path):
    """Stand in for the driver of a GPU: Triton does all that comes before a launch; what it would launch is noted."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import JITFunction, driver

    launched = []

    def note(kernel, grid):
        return lambda *given, **options: launched.append(kernel.run(*given, grid=grid, warmup=True, **options))

    target = GPUTarget("cuda", 90, 32)
    stand_in = SimpleNamespace(
        get_current_target=lambda: target, get_current_device=lambda: 0, get_current_stream=lambda _: 0
    )
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", stand_in)
    monkeypatch.setattr(JITFunction, "__getitem__", note)
    return launched


@with_triton
@pytest.mark.parametrize(
    ("name", "low", "hidden"),
    [
        *(("lstm", torch.bfloat16, 48), ("layer_norm_lstm", None, 48), ("lstmp", torch.float16, 48), ("gru", None, 48)),
        *(("slstm", None, 7), ("peephole", torch.bfloat16, 1)),
    ],
)
def test_the_kernels_compile_for_a_gpu(name, low, hidden, chip):
    found = program_of(name, 3, hidden)
    stages = TritonStages(found.stages if low is None else found.stages_half)
    assert stages.build(name, torch.device("cpu"), low, low or torch.float32)
    assert len(chip) == 4 * len(stages.sources)  # two steps, with lengths and without
    codes = {id(one): one.asm["ptx"] for one in chip}
    assert len(codes) == 2 * len(stages.sources), "a kernel was compiled again for another step"
    assert all(".visible .entry" in one and "st.global" in one for one in codes.values())
    rounding = {torch.bfloat16: "cvt.rn.bf16", torch.float16: "cvt.rn.f16"}
    assert [one for one in rounding if any(rounding[one] in code for code in codes.values())] == [low] * bool(low)


def test_one_kernel_a_piece_and_few_pieces_a_step():
    """At most sizes a call takes longer than its arithmetic: their number is not to grow unseen."""
    found = {name: TritonStages(program_of(name, 3, 4).stages).stages for name in ("lstm", "gru", "layer_norm_lstm")}
    assert [(len(one.forward), len(one.backward)) for one in found.values()] == [(2, 2), (2, 2), (2, 2)]


def test_the_text_names_no_size():
    texts = [
        [source.text for source in TritonStages(program_of("lstm", *sizes).stages).sources.values()]
        for sizes in ((3, 4), (8, 600))
    ]
    assert texts[0] == texts[1]


def test_nothing_loads_triton_without_a_gpu():
    program = (
        "import sys, torch\nfrom nlp_lstm.cells import LayerNormLSTM\nx = torch.zeros(2, 2, 3)\n"
        "LayerNormLSTM(3, 4)(x)[0].sum().backward()\nassert not {'triton'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Let the engine ask for kernels, as it does for what lies on a GPU."""

    def choose(found, projected, others):
        stages = found.triton(projected.device, None, projected.dtype)
        return _fused._Runner(stages or found.plain, None)

    monkeypatch.setattr(_fused, "_choose", choose)
    _program.program.cache_clear()
    yield
    _program.program.cache_clear()


FAULTS = [
    (ImportError("no Triton"), ""),
    (OSError("a full disk\nand more"), "'gru' runs without kernels of its own on this GPU (OSError: a full disk).\n"),
    (RuntimeError("no C compiler"), "(RuntimeError: no C compiler).\n"),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_where_there_are_no_kernels_torch_does_it(fault, said, on_a_gpu, monkeypatch, capfd):
    calls = []

    def fail(*_):
        calls.append(1)
        raise fault

    monkeypatch.setattr(TritonStages, "load", fail)
    for _ in range(2):
        assert_equals_the_loop("gru", "cpu")
    error = capfd.readouterr().err
    assert error.endswith(said)
    assert (error.count("\n"), calls) == (bool(said), [1]), "what does not pass is tried and said once"


def test_what_passes_is_tried_again(on_a_gpu, monkeypatch, capfd):
    calls = []

    def fail(*_):
        calls.append(1)
        raise torch.OutOfMemoryError("the memory is full")

    monkeypatch.setattr(TritonStages, "load", fail)
    assert_equals_the_loop("gru", "cpu")
    assert_equals_the_loop("gru", "cpu")
    assert len(calls) == 2
    found = program_of("gru", 3, 4)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert found.triton(torch.device("cuda"), None, torch.float32) is None
    assert len(calls) == 2
    assert capfd.readouterr().err == ""


def test_a_state_on_another_gpu_is_not_for_a_kernel(monkeypatch):
    monkeypatch.setattr(_program.Program, "triton", None)
    places = [SimpleNamespace(device=torch.device(name), dtype=torch.float32) for name in ("cuda:0", "cuda:1")]
    assert isinstance(_fused._choose(program_of("lstm", 3, 4), *places[:1], [places[1]]).stages, PlainStages)


def test_where_triton_is_missing_nothing_is_written(on_a_gpu, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "nlp_lstm.cells.engine._row_functions", raising=False)
    assert program_of("rnn_relu", 3, 4).triton(torch.device("cpu"), None, torch.float32) is None
    assert capfd.readouterr().err == ""
    assert not list(tmp_path.rglob("*.py"))


def test_kernels_can_be_turned_off(on_a_gpu, monkeypatch):
    monkeypatch.setenv("NLP_LSTM_NO_COMPILER", "1")
    monkeypatch.setattr(TritonStages, "load", None)
    assert program_of("lstm", 3, 4).triton(torch.device("cpu"), None, torch.float32) is None


def test_other_devices_ask_for_no_kernels(monkeypatch):
    monkeypatch.setattr(_program.Program, "triton", None)
    found = program_of("lstm", 3, 4)
    for device in ("cpu", "meta"):
        x, state = torch.zeros(2, 2, 16, device=device), torch.zeros(2, 4, device=device)
        runner = _fused._choose(found, x.double(), [state, state])
        assert isinstance(runner.stages, PlainStages)
        _fused._choose(found, x, [state, state])


def test_a_module_is_written_once_and_again_where_it_was_damaged(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _generated.generated.cache_clear()
    source = "value = 'one'\n"
    for damage, announced in ((None, True), (None, False), (b"value = 'two'\n", True)):
        _generated.generated.cache_clear()
        for path in tmp_path.rglob("nlp_lstm_own_*.py"):
            path.write_bytes(damage or path.read_bytes())
        assert _generated.generated("own", source).value == "one"
        assert ("compiling 'own' for this GPU" in capfd.readouterr().err) == announced
    assert _generated.generated("own", "value = 3\n").value == 3
    assert len(list((tmp_path / "nlp_lstm").glob("nlp_lstm_own_*.py"))) == 2
    assert not list((tmp_path / "nlp_lstm").glob("tmp*"))
    _generated.generated.cache_clear()


def assert_equals_the_loop(name, device, low=None, ragged=False, sizes=(7, 4, 6, 20)):
    time, batch, size, hidden = sizes
    generator = torch.Generator().manual_seed(0)
    cell: Cell = CELLS[name].cell

    def normal(*shape):
        return (torch.randn(shape, generator=generator) / 2).to(device).requires_grad_()

    weights = {key: normal(*shape) for key, shape in cell.parameter_shapes(size, hidden, True).items()}
    x, state = normal(time, batch, size), [normal(batch, width) for width in cell.state_sizes(hidden).values()]
    lengths = torch.randint(1, time + 1, (batch,), generator=generator).to(device) if ragged else None
    found = []
    for way, enabled in ((run_fused, low is not None), (run_cell, False)):
        given = tuple(one.abs() + 1 if key == "n" else one for key, one in zip(cell.state_names, state, strict=True))
        with torch.autocast(device, low, enabled=enabled):
            output, end = way(cell, x, given, lengths, SimpleNamespace(**weights), ragged)
        outputs = [output, *end]
        leaves = [x, *state, *weights.values()]
        gradients = torch.autograd.grad(sum(one.sin().sum() for one in outputs), leaves, allow_unused=True)
        pairs = zip(gradients, leaves, strict=True)
        found.append([*outputs, *(torch.zeros_like(leaf) if one is None else one for one, leaf in pairs)])
    for one, other in zip(*found, strict=True):
        bound = 1e-4 if low is None else 0.1
        assert (one - other).norm() <= bound * (other.norm() + 0.1)


@with_gpu
@with_triton
@pytest.mark.parametrize("low", [None, torch.bfloat16, torch.float16])
def test_on_a_gpu_every_cell_equals_the_loop(low, monkeypatch):
    taken, run = [], TritonStages.run
    monkeypatch.setattr(TritonStages, "run", lambda *given: taken.append(given) or run(*given))
    monkeypatch.setattr(PlainStages, "run", None)
    for name in CELLS:
        for ragged in (False, True):
            taken.clear()
            assert_equals_the_loop(name, "cuda", low, ragged)
            assert taken


@with_gpu
@with_triton
@pytest.mark.parametrize("hidden", [1, 333, 1024])
def test_other_sizes_on_a_gpu(hidden, monkeypatch):
    monkeypatch.setattr(PlainStages, "run", None)
    assert_equals_the_loop("lstm", "cuda", sizes=(9, 33, 17, hidden))
    assert_equals_the_loop("layer_norm_lstm", "cuda", sizes=(1, 1, 1, hidden))
