"""Two real processes against one: equal weights, one that writes, resuming with another number, and common ends."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed import HashStore, Store

from nlp_lstm.errors import TrainingError, UsageError
from nlp_lstm.training import Run, _meeting, fit
from nlp_lstm.training import _distributed as distributed
from nlp_lstm.training._distributed import Processes, join
from nlp_lstm.training._rows import cut, joined, length

WORKER = Path(__file__).with_name("two_processes_worker.py")
LONGEST = 300  # seconds: stops what hangs, and is no verdict on speed


@dataclass
class Two:
    """What two processes left: a folder for each training, how each ended in each process, and what they printed."""

    folder: Path
    ends: list[dict[str, Any]]
    errors: list[str]
    codes: list[int]


def variables(rank: int, count: int, port: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)} | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }


def free_ports(number: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture(scope="module")
def worker() -> ModuleType:
    specification = importlib.util.spec_from_file_location("two_processes_worker", WORKER)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["two_processes_worker"] = module  # where dataclasses look for it
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def two(worker: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Let two processes do all that the worker does; one process begins what they resume."""
    folder = tmp_path_factory.mktemp("two")
    threads = torch.get_num_threads()
    worker.train("language_model", folder / "chain", max_steps=6, validations=6)
    torch.set_num_threads(threads)
    ports = free_ports(10)  # as many as the worker's trainings
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder), *ports],
            env={**os.environ, **variables(rank, 2, 0)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=LONGEST) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    ends = [folder / f"rank-{rank}.json" for rank in range(2)]
    assert all(path.exists() for path in ends), outputs
    found = [json.loads(path.read_text(encoding="utf-8")) for path in ends]
    return Two(folder, found, [error for _, error in outputs], [process.returncode for process in processes])


def largest_difference(one: Path, other: Path) -> float:
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def metrics(folder: Path, *names: str) -> list[list[Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [[line[name] for name in names] for line in lines]


@pytest.mark.parametrize("name", ["language_model", "classifier", "translator"])
def test_two_processes_equal_one_after_twenty_steps(two: Two, worker: ModuleType, tmp_path: Path, name: str) -> None:
    _, _, result = worker.train(name, tmp_path / name)
    steps, items, best = two.ends[0][name]
    assert (steps, items) == (result.steps, result.items) == (20, result.items)
    assert best == pytest.approx(result.best, abs=1e-5)
    assert largest_difference(two.folder / name, tmp_path / name) < 1e-5
    names = ("step", "epoch", "learning_rate")
    assert metrics(two.folder / name, *names) == metrics(tmp_path / name, *names)
    losses = ("train_loss", "valid_loss")
    for ours, theirs in zip(metrics(two.folder / name, *losses), metrics(tmp_path / name, *losses), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_the_second_process_exits_without_a_word_and_writes_nothing(two: Two) -> None:
    for name in ("language_model", "classifier", "translator", "resumed", "whole"):
        assert two.ends[1][name] == "exit 0"
    assert two.errors[1] == ""
    assert "in each of 2 processes" in two.errors[0]
    names = {path.name for path in (two.folder / "language_model").iterdir()}
    assert names == {
        *("checkpoints", "config.json", "metrics.jsonl", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    config = json.loads((two.folder / "language_model" / "config.json").read_text(encoding="utf-8"))
    assert config["processes"] == 2


def test_one_two_and_one_process_in_turn_equal_one(two: Two, worker: ModuleType, tmp_path: Path) -> None:
    assert two.ends[0]["resumed"][0] == 14
    _, _, last = worker.train("language_model", two.folder / "chain", resume=True, validations=20)
    _, _, whole = worker.train("language_model", tmp_path / "whole", validations=20)
    assert (last.steps, last.items) == (whole.steps, whole.items)
    assert largest_difference(two.folder / "chain", tmp_path / "whole") < 1e-5


def test_resuming_with_as_many_processes_is_exact_with_dropout_too(two: Two) -> None:
    assert two.ends[0]["second half"] == two.ends[0]["whole"]
    weights = [(two.folder / name / "model.safetensors").read_bytes() for name in ("whole", "halves")]
    assert weights[0] == weights[1]


def test_the_processes_draw_different_dropout(two: Two) -> None:
    values = torch.load(two.folder / "whole" / "checkpoints" / "step-000000008.pt", weights_only=True)
    first, second = (states[0] for states in values["generators"])
    assert not torch.equal(first, second)
    assert [tuple(state.shape) for layer in values["carry"] for state in layer] == 4 * [(1, 5, 9)]  # all rows


def test_a_signal_to_one_stops_both_after_the_same_step(two: Two, worker: ModuleType, tmp_path: Path) -> None:
    assert two.ends[0]["stopped"] == "stopped 143"
    assert two.ends[1]["stopped"] == "exit 143"
    assert "Stopped at step 6; saved. To go on: " in two.errors[0]
    newest = sorted((two.folder / "stopped" / "checkpoints").iterdir())[-1]
    assert newest.name == "step-000000006.pt"
    worker.train("language_model", two.folder / "stopped", resume=True)
    worker.train("language_model", tmp_path / "whole")
    assert largest_difference(two.folder / "stopped", tmp_path / "whole") < 1e-5


def test_a_number_lost_in_one_ends_both_with_one_message(two: Two) -> None:
    assert "The loss is nan at step 6, in batch 10 of the data" in two.ends[0]["lost"]
    assert two.ends[1]["lost"] == "exit 1"
    values = torch.load(two.folder / "lost" / "failed-step-000000006.pt", weights_only=True)
    assert values["carry"][0][0].shape == (1, 5, 9)
    assert len(values["generators"]) == 2


def test_a_process_that_dies_ends_the_other_with_a_message(two: Two) -> None:
    assert two.codes == [0, 7]
    assert two.ends[0]["ended"].startswith("Process 0 of 2 (counted from 0) has lost the others: one of them has ended")


def test_torchrun_starts_the_command(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("How much wood would a woodchuck chuck? " * 200, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    call = ["nlp_lstm", "train", "char_lm", "--smoke", "--device", "cpu", "--data", "text.txt", "--run", "new"]
    done = subprocess.run(
        [*launch, *call],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test split of ") == 1
    assert done.stderr.count("step 5 ") == 1
    config = json.loads((tmp_path / "new" / "config.json").read_text(encoding="utf-8"))
    assert config["command"].startswith("torchrun --standalone --nproc-per-node 2 -m -- nlp_lstm train char_lm --smoke")
    assert sorted(path.name for path in (tmp_path / "new" / "checkpoints").iterdir()) == [
        "step-000000000.pt",
        "step-000000005.pt",
    ]


def test_two_nodes_of_which_one_loses_its_process_end_as_one_process(worker: ModuleType, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--local-addr", "127.0.0.1"]
    nodes = [
        subprocess.Popen(
            [*launch, "--max-restarts", "1", str(WORKER), str(tmp_path / "two")],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        errors = [node.communicate(timeout=LONGEST)[1] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
            node.communicate()
    assert [node.returncode for node in nodes] == [0, 0], errors
    assert sum(error.count("(exitcode: -9)") for error in errors) == 1
    assert sum(error.count("Going on from step 10 of ") for error in errors) == 1
    config = json.loads((tmp_path / "two" / "config.json").read_text(encoding="utf-8"))
    assert config["processes"] == 2
    worker.train("language_model", tmp_path / "one")
    assert largest_difference(tmp_path / "two", tmp_path / "one") < 1e-5
    assert metrics(tmp_path / "two", "step") == metrics(tmp_path / "one", "step")


# --- meeting in torchrun's store ---


@pytest.fixture
def meet_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store, int], list[Store]]:
    """Let so many threads meet as processes do whose torchrun keeps this store; what each got, in their order."""

    def meet_all(store: Store, count: int) -> list[Store]:
        own = threading.local()
        monkeypatch.setattr(_meeting, "rendezvous", lambda url, timeout: iter([(store, own.rank, count)]))

        def meet(rank: int) -> Store:
            own.rank = rank
            found, *numbers = _meeting.meet(timedelta(seconds=LONGEST))
            assert numbers == [rank, count]
            return found

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(meet, range(count)))

    return meet_all


def test_a_meeting_passes_over_what_the_dead_left(meet_in: Callable[[Store, int], list[Store]]) -> None:
    store = HashStore()
    store.set("nlp_lstm/call/1", "of one that died while it waited")
    for start in ("first", "second", "third"):
        found = meet_in(store, 3)
        assert not found[0].check(["address"])  # of an earlier start
        found[0].set("address", start)
        assert [one.get("address").decode() for one in found] == [start] * 3


def test_who_does_not_come_is_waited_for_no_longer_than_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_meeting, "rendezvous", lambda url, timeout: iter([(HashStore(), 0, 2)]))
    with pytest.raises(RuntimeError, match="some of them did not come"):
        _meeting.meet(timedelta(0))


# --- one process, and what is refused ---


def test_rows_are_shared_without_overlap_or_loss() -> None:
    for count in (1, 2, 3, 7):
        for number in (1, 2, 5, 8, 20):
            taken = [row for rank in range(count) for row in range(number)[Processes(rank, count).rows(number)]]
            assert taken == list(range(number))
    batch = (True, torch.arange(10).reshape(5, 2))
    parts = [Processes(rank, 7).part(batch) for rank in range(7)]
    assert sum(own for _, own in parts) == 5
    assert all(part[1].shape == (1, 2) for part, _ in parts)  # who has no row of its own works on another's
    assert torch.equal(torch.cat([part[1] for part, own in parts if own]), batch[1])


def test_rows_of_nested_tuples_are_cut_and_joined() -> None:
    state = ((torch.arange(12).reshape(1, 4, 3), torch.ones(1, 4, 2)), torch.zeros(1, 4, 1))
    parts = [cut(state, Processes(rank, 3).rows(4), -2) for rank in range(3)]
    assert [length(part, -2) for part in parts] == [1, 1, 2]
    again = joined(parts, -2)
    assert torch.equal(again[0][0], state[0][0])
    assert torch.equal(again[0][1], state[0][1])
    assert torch.equal(again[1], state[1])
    assert length((1, "no tensor"), 0) is None


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")  # of something else: there is no WORLD_SIZE and no address
    assert distributed.rank_here() == 0
    alone = join(torch.device("cpu"))
    assert (alone.rank, alone.count, alone.first) == (0, 1, True)
    assert alone.sum_numbers(1.5, 2) == [1.5, 2.0]
    assert alone.share("this") == "this"
    assert alone.gather("this") == ["this"]
    alone.leave()


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(1, 2, 1).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second_of_two")
def test_processes_that_do_not_meet_are_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("timed out")

    monkeypatch.setattr(torch.distributed, "init_process_group", fail)
    with pytest.raises(TrainingError, match=r"The 2 processes did not meet at 127\.0\.0\.1:1 \(timed out\)"):
        join(torch.device("cpu"))


@pytest.mark.usefixtures("second_of_two")
def test_a_device_without_messages_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot train on mps\. Give --device cpu"):
        join(torch.device("mps"))


@pytest.mark.usefixtures("second_of_two")
def test_each_process_gets_a_gpu_of_its_own_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    distributed.use_own_gpu("auto")
    distributed.use_own_gpu("cpu")
    assert used == [1]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="There are 2 processes and 1 CUDA devices on this machine"):
        distributed.use_own_gpu("cuda")


def test_a_process_that_reads_other_data_says_so(
    new_run: Callable[..., Run], scripted: Any, saved_weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    monkeypatch.setattr(run.processes, "share", lambda value: "six batches")
    objective = scripted([1.0])
    with pytest.raises(TrainingError, match="reads other data than the first"):
        fit(objective, saved_weights(objective.model, run), run)


def test_torchrun_goes_on_with_the_named_run_after_a_death(
    new_run: Callable[..., Run], scripted: Any, saved_weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(max_steps=2, validations=1)
    objective = scripted([1.0, 0.5])
    fit(objective, saved_weights(objective.model, run), run)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    again = new_run(max_steps=4, validations=2)
    assert again.resumed
    assert fit(objective, saved_weights(objective.model, again), again).steps == 4
    assert not new_run(run=str(run.folder.parent / "another")).resumed
