"""Truncated back-propagation through time against a backward pass by hand, and validation against one pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.data import TokenizedText
from nlp_lstm.errors import DataError
from nlp_lstm.training import LanguageModelObjective, Run

NewRun = Callable[..., Run]
Build = Callable[..., LanguageModelObjective]


def elman_loss_and_gradient(
    weights: dict[str, np.ndarray], inputs: np.ndarray, targets: np.ndarray, h: np.ndarray
) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
    """Sum of nats of an Elman network, its gradient by the chain rule over time, and the last h (batch, hidden)."""
    w_ih, w_hh = weights["layers.0.weight_ih_l0"], weights["layers.0.weight_hh_l0"]
    bias = weights["layers.0.bias_ih_l0"] + weights["layers.0.bias_hh_l0"]
    w_out, b_out = weights["output.weight"], weights["output.bias"]
    states, errors, loss = [h], [], 0.0
    for time in range(inputs.shape[1]):
        states.append(np.tanh(weights["embedding"][inputs[:, time]] @ w_ih.T + states[-1] @ w_hh.T + bias))
        logits = states[-1] @ w_out.T + b_out
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        scored = targets[:, time] >= 0
        loss -= np.log(p[scored, targets[scored, time]]).sum()
        p[scored, targets[scored, time]] -= 1
        errors.append(p * scored[:, None])
    gradient = {name: np.zeros_like(value) for name, value in weights.items()}
    d_h = np.zeros_like(h)  # nothing comes back from beyond the last step
    for time in reversed(range(inputs.shape[1])):
        gradient["output.weight"] += errors[time].T @ states[time + 1]
        gradient["output.bias"] += errors[time].sum(axis=0)
        d_a = (d_h + errors[time] @ w_out) * (1 - states[time + 1] ** 2)
        gradient["layers.0.weight_hh_l0"] += d_a.T @ states[time]
        gradient["layers.0.weight_ih_l0"] += d_a.T @ weights["embedding"][inputs[:, time]]
        for name in ("layers.0.bias_ih_l0", "layers.0.bias_hh_l0"):
            gradient[name] += d_a.sum(axis=0)
        np.add.at(gradient["embedding"], inputs[:, time], d_a @ w_ih)
        d_h = d_a @ w_hh
    return float(loss), gradient, states[-1]


def test_truncated_back_propagation_equals_the_chain_rule_by_hand(new_run: NewRun, language_model: Build) -> None:
    # 3 rows of 67, 66 and 66 targets in steps of 8: the ninth step is short and has padding.
    objective = language_model(new_run(batch_size=3), cell="rnn")
    weights = {name: value.detach().double().numpy() for name, value in objective.model.named_parameters()}
    h, carry = np.zeros((3, 9)), None
    batches = list(islice(objective.batches(0), objective.batches_per_epoch))
    assert (batches[-1][1].targets == -100).any()
    assert [begins.nonzero().flatten().tolist() for begins, _ in batches[:4]] == [[0, 1, 2], [1], [2], []]
    for begins, tokens in batches:
        h[begins.numpy()] = 0  # a row begins anew here
        batch = begins, tokens
        expected, gradient, h = elman_loss_and_gradient(weights, tokens.inputs.numpy(), tokens.targets.numpy(), h)
        objective.model.zero_grad()
        loss, carry = objective.loss(batch, carry, 0.25)
        loss.backward()
        assert loss.item() == pytest.approx(0.25 * expected, rel=1e-4)
        assert not carry[0].requires_grad
        for name, parameter in objective.model.named_parameters():
            np.testing.assert_allclose(
                parameter.grad.numpy(), 0.25 * gradient[name], rtol=1e-3, atol=1e-5, err_msg=name
            )


def test_batches_go_round_the_text_and_start_anywhere(new_run: NewRun, language_model: Build) -> None:
    objective = language_model(new_run(batch_size=3))
    length = objective.batches_per_epoch
    stream = list(objective.stream)
    assert length == len(stream) == 9
    around = list(islice(objective.batches(0), 2 * length + 1))
    assert [number for number, (begins, _) in enumerate(around) if begins.all()] == [0, 9, 18]
    assert all(torch.equal(batch.inputs, stream[number % 9].inputs) for number, (_, batch) in enumerate(around))
    later = list(islice(objective.batches(7), 4))
    for one, two in zip(later, around[7:11], strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1].targets, two[1].targets)


@pytest.mark.parametrize(("rows", "period"), [(1, 32), (3, 32), (40, 40)])
def test_each_row_forgets_in_turn(
    new_run: NewRun, language_model: Build, random_text: Callable[..., TokenizedText], rows: int, period: int
) -> None:
    objective = language_model(new_run(batch_size=rows), random_text(90 * 8 * rows + 1, 7))
    begins = torch.stack([one for one, _ in islice(objective.batches(0), 90)])
    assert begins[0].all()
    for row in range(rows):
        assert begins[1:, row].nonzero().flatten().add(1).tolist() == list(range(row or period, 90, period))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "slstm", "transformer"])
def test_a_row_that_begins_anew_reads_what_comes_as_if_nothing_had_been(
    new_run: NewRun, language_model: Build, cell: str
) -> None:
    objective = language_model(new_run(batch_size=3), cell=cell)
    (_, first), (_, second) = islice(objective.batches(0), 2)
    model, rows = objective.model, torch.tensor([False, True, False])
    _, before = model.hidden(first.inputs)
    found, _ = model.hidden(second.inputs, model.restart(before, rows))
    carried, _ = model.hidden(second.inputs, before)
    anew, _ = model.hidden(second.inputs)
    # A Transformer forgets by itself, after so many positions.
    expected = carried if cell == "transformer" else torch.where(rows[:, None, None], anew, carried)
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(carried[1], anew[1], atol=1e-3)


def test_the_state_is_carried_within_the_text_and_reset_where_it_begins_anew(
    new_run: NewRun, language_model: Build
) -> None:
    objective = language_model(new_run(batch_size=3))
    first, second, *_ = islice(objective.batches(0), 2)
    fresh, carry = objective.loss(first, None, 1.0)
    begun_with_a_carry, _ = objective.loss(first, carry, 1.0)
    assert begun_with_a_carry.item() == fresh.item()
    assert second[0].tolist() == [False, True, False]
    assert objective.loss(second, carry, 1.0)[0].item() != objective.loss(second, None, 1.0)[0].item()


def test_every_token_but_the_first_is_counted_once_a_pass(
    new_run: NewRun, language_model: Build, random_text: Callable[..., TokenizedText]
) -> None:
    objective = language_model(new_run(batch_size=7), random_text(123, 7))
    counts = [objective.count(batch) for batch in islice(objective.batches(0), objective.batches_per_epoch)]
    assert sum(counts) == 122
    assert counts[-1] < counts[0]


DROPOUTS = dict.fromkeys(("input_dropout", "output_dropout", "embedding_dropout", "weight_dropout"), 0.5)


def test_validation_is_the_mean_of_one_pass_without_dropout(
    new_run: NewRun, language_model: Build, random_text: Callable[..., TokenizedText]
) -> None:
    valid = random_text(500, 7, 1)  # longer than a step, and one row
    objective = language_model(new_run(), valid=valid, **DROPOUTS)
    ids = torch.from_numpy(valid.ids.astype(np.int64))[None]
    generator = torch.get_rng_state()
    value = objective.validate()
    assert torch.equal(torch.get_rng_state(), generator)
    assert objective.model.training
    objective.model.eval()
    logits, _ = objective.model(ids[:, :-1])
    assert value == pytest.approx(F.cross_entropy(logits[0], ids[0, 1:]).item(), rel=1e-5)
    assert all(parameter.grad is None for parameter in objective.model.parameters())


def test_a_long_validation_text_is_read_in_rows_that_are_warmed_up(
    new_run: NewRun, language_model: Build, random_text: Callable[..., TokenizedText]
) -> None:
    valid = random_text(1700, 7, 1)  # 3 rows
    objective = language_model(new_run(), valid=valid)
    value = objective.validate()
    objective.model.eval()
    ids, nats = torch.from_numpy(valid.ids.astype(np.int64)), 0.0
    for start, stop in ((0, 566), (566, 1132), (1132, 1699)):
        before = max(0, start - 64)
        logits, _ = objective.model(ids[None, before:stop])
        nats += F.cross_entropy(logits[0, start - before :], ids[start + 1 : stop + 1], reduction="sum").item()
    assert value == pytest.approx(nats / 1699, rel=1e-5)


def test_bf16_gives_about_the_loss_and_the_gradient_of_fp32(new_run: NewRun, language_model: Build) -> None:
    results: dict[str, tuple[float, Any]] = {}
    for precision in ("fp32", "bf16"):
        run = new_run(precision=precision, batch_size=4)
        objective = language_model(run)
        batch = next(objective.batches(0))
        loss, _ = objective.loss(batch, None, 1 / objective.count(batch))
        loss.backward()
        results[precision] = loss.item(), [parameter.grad for parameter in objective.model.parameters()]
        assert all(gradient.dtype == torch.float32 for gradient in results[precision][1])
        assert objective.validate() == pytest.approx(np.log(7), rel=0.5)
    assert results["bf16"][0] == pytest.approx(results["fp32"][0], rel=1e-2)
    assert results["bf16"][0] != results["fp32"][0]
    for rough, exact in zip(results["bf16"][1], results["fp32"][1], strict=True):
        assert F.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("short", ["train", "valid"])
def test_a_text_of_one_token_is_refused(
    new_run: NewRun, language_model: Build, text_of: Callable[..., TokenizedText], short: str
) -> None:
    with pytest.raises(DataError, match="at least 2"):
        language_model(new_run(), **{short: text_of([1], 7)})
