"""An ensemble against one model with the averaged probabilities."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nlp_lstm.decoding import BeamOptions, Ensemble, beam_search
from nlp_lstm.errors import ShapeError, UsageError

_spec = importlib.util.spec_from_file_location("enumeration", Path(__file__).with_name("enumeration.py"))
enumeration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(enumeration)

SOURCES = [4, 2, 5]


def averaged(decoders: list[Any]) -> Any:
    """Return a table decoder with the mean probabilities of the others, from tables alone."""
    mean = enumeration.TableDecoder(0, decoders[0].vocab, SOURCES)
    mean.logits = torch.stack([one.logits.double().softmax(dim=-1) for one in decoders]).mean(dim=0).log().float()
    return mean


@pytest.mark.parametrize("number", [1, 3])
def test_an_ensemble_equals_the_averaged_probabilities(number: int, seed: int) -> None:
    decoders = [enumeration.TableDecoder(seed + one, 7, SOURCES) for one in range(number)]
    options = BeamOptions(beam_size=4, n_best=4, max_length=9)
    ids, state = decoders[0].start()
    found = beam_search(Ensemble(decoders), ids, (state,) * number, options, eos_id=enumeration.END)
    expected = beam_search(averaged(decoders), ids, state, options, eos_id=enumeration.END)
    for sentence, (mine, other) in enumerate(zip(found, expected, strict=True)):
        assert [one.ids for one in mine] == [one.ids for one in other]
        assert [one.score for one in mine] == pytest.approx([one.score for one in other], abs=1e-5)
        for one in mine:
            attention = sum(torch.tensor(decoder.alone(sentence, one.ids)[1][:-1]) for decoder in decoders) / number
            padded = torch.zeros(len(one.ids), max(SOURCES), dtype=torch.float64)
            padded[:, : SOURCES[sentence]] = attention
            torch.testing.assert_close(one.attention, padded.float())


class NoAttention:
    """Decodes like another decoder, and says nothing of its attention."""

    def __init__(self, decoder: Any) -> None:
        self.step, self.select = decoder.step, decoder.select


def test_without_the_attention_of_all_there_is_none() -> None:
    decoder = enumeration.TableDecoder(1, 5, SOURCES)
    ids, state = decoder.start()
    ensemble = Ensemble([decoder, NoAttention(decoder)])
    found = beam_search(ensemble, ids, (state, state), BeamOptions(max_length=4), eos_id=enumeration.END)
    assert [one[0].attention for one in found] == [None] * 3


def test_an_ensemble_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="give at least one"):
        Ensemble([])


def test_vocabularies_of_different_sizes_are_refused() -> None:
    ensemble = Ensemble([enumeration.TableDecoder(1, vocab, SOURCES) for vocab in (5, 6)])
    ids, state = torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.int64)
    with pytest.raises(ShapeError, match=r"theirs have \[5, 6\] entries"):
        ensemble.step(ids, (state, state))


def test_the_logits_are_logarithms_of_probabilities() -> None:
    decoders = [enumeration.TableDecoder(one, 5, SOURCES) for one in (1, 2)]
    ids, state = decoders[0].start()
    logits: Tensor = Ensemble(decoders).step(ids, (state, state))[0]
    torch.testing.assert_close(logits.exp().sum(dim=-1), torch.ones(3))
