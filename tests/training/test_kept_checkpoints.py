"""Which checkpoints a training that goes on from an older one keeps, and what does not make it do so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.errors import TrainingError
from nlp_lstm.models import LanguageModel
from nlp_lstm.training import LanguageModelObjective, Run, newest_checkpoint
from nlp_lstm.training._checkpoint import save_checkpoint, set_aside_newer
from nlp_lstm.training._distributed import Processes
from nlp_lstm.training._restored import MisfitError
from nlp_lstm.training._state import TrainingState

NewRun = Callable[..., Run]
FIVE_STEPS: dict[str, Any] = {"validations": 1, "checkpoint_steps": 5}


def names(run: Run) -> list[str]:
    return sorted(path.name for path in (run.folder / "checkpoints").iterdir())


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def unfit(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True) | {"weights": []}, path)


@pytest.mark.parametrize("spoil", [damage, unfit])
def test_what_was_skipped_is_kept_aside_and_costs_no_other_its_place(
    new_run: NewRun, scripted: Any, train: Any, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    run = new_run(max_steps=10, **FIVE_STEPS)
    train(scripted([1.0]), run)
    assert names(run) == ["step-000000005.pt", "step-000000010.pt"]
    newest = run.folder / "checkpoints" / "step-000000010.pt"
    spoil(newest)
    content, seen = newest.read_bytes(), []
    run = new_run(max_steps=12, validations=1, checkpoint_steps=7, keep=1, resume=True)
    train(scripted([1.0], on_loss=lambda batch: seen.append(names(run)) or 0.0), run)
    aside = "skipped-step-000000010.pt"
    assert seen == 2 * [[aside, "step-000000005.pt"]] + 5 * [[aside, "step-000000007.pt"]]
    assert names(run) == [aside, "step-000000012.pt"]
    assert (run.folder / "checkpoints" / aside).read_bytes() == content
    assert f"{newest}, from which this run does not go on, is kept as {aside}." in capsys.readouterr().err
    assert newest_checkpoint(run.folder)["numbers"]["step"] == 12


def test_nothing_that_was_kept_aside_is_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for content in ("one", "two", "three"):
        (folder / "step-000000009.pt").write_text(content)
        (folder / "step-000000008.pt").write_text("older")
        set_aside_newer(tmp_path, 8)
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {
        "skipped-step-000000009.pt": "one",
        "skipped-step-000000009-2.pt": "two",
        "skipped-step-000000009-3.pt": "three",
        "step-000000008.pt": "older",
    }


def test_a_checkpoint_is_never_removed_by_writing_it_nor_what_is_newer_or_has_another_name(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("step-best.pt", "step-000000020.pt", "step-1000000000.pt"):
        (folder / name).touch()
    for step in (3, 14, 999_999_999):
        path = save_checkpoint(tmp_path, step, {"step": step}, keep=1)
        assert path.exists()
    assert sorted(path.name for path in folder.iterdir()) == [
        *("step-1000000000.pt", "step-999999999.pt", "step-best.pt"),
    ]
    (folder / "step-1000000000.pt").unlink()
    save_checkpoint(tmp_path, 10**9, {"step": 10**9}, keep=2)  # its number has a digit more
    assert newest_checkpoint(tmp_path) == {"step": 10**9}


def test_a_new_run_does_not_go_on_from_what_another_left(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=10, **FIVE_STEPS)
    train(scripted([1.0]), run)
    (run.folder / "config.json").unlink()
    run = new_run(max_steps=3, validations=1)
    assert train(scripted([1.0]), run).steps == 3
    assert names(run) == [
        *("skipped-step-000000005.pt", "skipped-step-000000010.pt"),
        *("step-000000000.pt", "step-000000003.pt"),
    ]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no memory"), MemoryError(), ZeroDivisionError("a bug"), ValueError("a bug")]
)
def test_what_is_no_fault_of_a_checkpoint_ends_the_search(
    new_run: NewRun, scripted: Any, train: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = new_run(max_steps=10, **FIVE_STEPS)
    train(scripted([1.0]), run)

    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr("nlp_lstm.training._state.load_optimizer", fail)
    with pytest.raises(type(error)):
        train(scripted([1.0]), new_run(max_steps=12, validations=1, resume=True))
    assert names(run) == ["step-000000005.pt", "step-000000010.pt"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_a_lack_of_memory_does_not_make_it_read_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (tmp_path / "checkpoints").mkdir()
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(error)):
        newest_checkpoint(tmp_path)


class Told(Processes):
    """The second of two processes, which is told what the first one has."""

    def __init__(self, told: Any) -> None:
        super().__init__(1, 2)
        self.told = told

    def share(self, value: Any) -> Any:
        return self.told


def test_a_misfit_in_another_process_alone_is_a_sentence(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=2, validations=1)
    train(scripted([1.0]), run)
    state = TrainingState(scripted([1.0]), run)
    state.processes = Told(newest_checkpoint(run.folder) | {"weights": []})
    with pytest.raises(TrainingError, match=r"does not fit process 1 of 2 .*: weights has 0 tensors where 1 are"):
        state.restore_newest()


# --- what is carried, held against the model ---

CARRIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "width": (
        lambda carry: tuple(tuple(one[..., :-1] for one in layer) for layer in carry),
        "carry, part 0, part 0, is",
    ),
    "rows": (lambda carry: tuple(tuple(one[..., 1:, :] for one in layer) for layer in carry), "carry has 2 rows where"),
    "layers": (lambda carry: carry[:1], "carry, has 1 parts where 2 are expected"),
    "states": (lambda carry: tuple(layer[:1] for layer in carry), "carry, part 0, has 1 parts where 2"),
    "no states": (lambda carry: (None, carry[1]), "carry, part 0, has no parts where 2"),
    "no tensor": (lambda carry: ((None, carry[0][1]), carry[1]), "carry, part 0, part 0, is NoneType, where"),
    "dimensions": (lambda carry: tuple(tuple(one[0] for one in layer) for layer in carry), "carry, part 0, part 0, is"),
}


@pytest.mark.parametrize("kind", CARRIES)
def test_a_carry_of_another_shape_does_not_fit(
    kind: str, new_run: NewRun, language_model: Any, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    change, reason = CARRIES[kind]
    run = new_run(max_steps=4, validations=1, checkpoint_steps=1, batch_size=3)
    train(language_model(run, num_layers=2), run)
    path = run.folder / "checkpoints" / "step-000000004.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"carry": change(state["carry"])}, path)
    run = new_run(max_steps=5, validations=1, batch_size=3, resume=True)
    assert train(language_model(run, num_layers=2), run).steps == 5
    told = capsys.readouterr().err
    assert f"{path} does not fit the model ({reason}" in told
    assert "Going on from step 3" in told


@pytest.mark.parametrize("cell", ["rnn", "lstm", "slstm", "qrnn", "transformer"])
def test_the_carry_of_a_model_fits_it_and_asking_draws_nothing(new_run: NewRun, language_model: Any, cell: str) -> None:
    objective: LanguageModelObjective = language_model(new_run(batch_size=3), cell=cell, output_dropout=0.3)
    batches, carry = objective.batches(0), None
    for _ in range(3):
        _, carry = objective.loss(next(batches), carry, 1.0)
        generator = torch.get_rng_state()
        objective.require_carry(carry)
        assert torch.equal(torch.get_rng_state(), generator)
        assert objective.model.training
    objective.require_carry(None)


def test_keys_and_values_of_a_transformer_have_as_many_positions(new_run: NewRun, language_model: Any) -> None:
    objective = language_model(new_run(batch_size=3), cell="transformer")
    _, (memory,) = objective.loss(next(objective.batches(0)), None, 1.0)
    keys, values = memory
    objective.require_carry(((keys[:, :, 1:], values[:, :, 1:]),))
    with pytest.raises(MisfitError, match="carry, part 0, has parts of different lengths"):
        objective.require_carry(((keys[:, :, 1:], values),))
    assert isinstance(objective.model, LanguageModel)
