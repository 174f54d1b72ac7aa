"""Adversarial training: the change against its definition, and that it costs a text more than any other so large."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.models import Classifier, ClassifierOptions
from nlp_lstm.models._adversarial import adversarial_change

SIZE = 0.3


def test_the_change_of_a_linear_loss_goes_along_its_slope_as_far_as_the_words_are_long(seed: int) -> None:
    print(f"seed {seed}")
    random = torch.Generator().manual_seed(seed)
    x, slope = (torch.randn(2, 5, 3, generator=random, dtype=torch.float64) for _ in range(2))
    lengths = torch.tensor([5, 2])
    slope[1, 2:] = 0.0  # of what stands behind a text's end a loss does not depend
    change = adversarial_change(lambda x: (x * slope).sum(dim=(1, 2)), x, lengths, SIZE)
    for row, length in enumerate(lengths.tolist()):
        epsilon = SIZE * sum(float(x[row, t].square().sum() ** 0.5) for t in range(length)) / length
        expected = epsilon * slope[row] / slope[row].square().sum().sqrt()
        assert torch.allclose(change[row], expected)
    assert not change.requires_grad


@pytest.mark.parametrize("slope", [0.0, 1e-25, 1e25])
def test_a_loss_of_hardly_any_slope_or_a_huge_one_changes_by_no_more(slope: float) -> None:
    x = torch.ones(1, 2, 3)
    change = adversarial_change(lambda x: (x * slope).sum(dim=(1, 2)), x, torch.tensor([2]), 100.0)
    assert change.norm().item() == pytest.approx(100 * 3**0.5 if slope else 0.0, rel=1e-5)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("options", [{}, {"pooling": "last"}, {"hierarchical": True}])
def test_the_loss_is_that_of_the_worst_change(options: dict[str, object], frozen: bool, seed: int) -> None:
    print(f"seed {seed}")
    sizes = ClassifierOptions(**{"embedding_size": 5, "hidden_size": 4, **options})  # type: ignore[arg-type]
    model = Classifier(20, 3, sizes, (4, 5)).double()
    model.embedding.requires_grad_(not frozen)
    ids, lengths = torch.randint(4, 20, (3, 7)), torch.tensor([7, 2, 4])
    targets = torch.tensor([2, 0, 1])

    def costs(x: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model.read(x, ids, lengths), targets, reduction="none")

    x = model.embedding.detach()[ids]
    worst = costs(x + adversarial_change(costs, x, lengths, SIZE)).sum()
    loss = model.loss(ids, lengths, targets, 0.5, adversarial=SIZE)
    assert loss.item() == pytest.approx(0.5 * worst.item())
    assert loss.item() > model.loss(ids, lengths, targets, 0.5).item()
    loss.backward()
    assert all((weight.grad is None) == (frozen and weight is model.embedding) for weight in model.parameters())
    expected = torch.autograd.grad(0.5 * worst, list(model.encoder.parameters()))
    for weight, gradient in zip(model.encoder.parameters(), expected, strict=True):
        assert torch.allclose(weight.grad, gradient)  # the change itself is taken as given
    little = adversarial_change(costs, x, lengths, 1e-4)
    for _ in range(20):
        other = torch.randn_like(x)
        other *= (little.flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1))[:, None, None]
        assert (costs(x + little) > costs(x + other)).all()


def test_weights_have_no_gradient_while_the_change_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Classifier(20, 2, ClassifierOptions(embedding_size=5, hidden_size=4))
    before = [name == "embedding" for name, _ in model.named_parameters()]
    for weight, trained in zip(model.parameters(), before, strict=True):
        weight.requires_grad_(trained)
    found: list[list[bool]] = []
    read = model.read

    def watched(x: torch.Tensor, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        found.append([weight.requires_grad for weight in model.parameters()])
        return read(x, ids, lengths)

    monkeypatch.setattr(model, "read", watched)
    batch = torch.ones(2, 3, dtype=torch.int64), torch.tensor([3, 1])
    model.loss(*batch, torch.tensor([0, 1]), adversarial=SIZE)
    assert found == [[False] * len(before), before]
    with pytest.raises(IndexError):
        model.loss(*batch, torch.tensor([0, 9]), adversarial=SIZE)
    assert [weight.requires_grad for weight in model.parameters()] == before, "also after an error"
