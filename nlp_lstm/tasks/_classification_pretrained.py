"""A classifier that starts from language models: one that reads forward and, where given, one that reads backward."""

from __future__ import annotations

from dataclasses import replace

import torch

from nlp_lstm.errors import UsageError
from nlp_lstm.models import Classifier, ClassifierOptions
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tokenization import Tokenizer

_SHARED = ("cell", "embedding_size", "hidden_size", "num_layers", "tied")
_NO_CELL = "transformer"
_PREPARED = ("lowercase", "html_line_breaks")


def options_from(
    tokenizer: Tokenizer, options: ClassifierOptions, forward: LanguageModeling, backward: LanguageModeling | None
) -> ClassifierOptions:
    """Return the options with the sizes of the language models, and one direction or two.

    Raises UsageError where they have another tokenizer, do not fit each other, read in the other direction, or have no
    recurrent layers.
    """
    _check_directions(forward, backward)
    if forward.model.options.cell == _NO_CELL:
        raise UsageError(
            f"A language model of --cell {forward.model.options.cell} has no recurrent layers, and so it cannot start "
            "a classifier. Give --pretrained one of another cell."
        )
    for language_model in (forward, *([backward] if backward is not None else [])):
        if language_model.tokenizer.fingerprint() != tokenizer.fingerprint():
            raise UsageError(
                "The tokenizer is not that of the language model, so that its embedding means other words. Train two "
                "directions on the same text with the same --vocab-size."
            )
    given = forward.model.options
    if backward is not None:
        other = backward.model.options
        differ = [name for name in _SHARED if getattr(given, name) != getattr(other, name)]
        differ += [name for name in _PREPARED if getattr(forward, name) != getattr(backward, name)]
        if differ:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in differ)
            raise UsageError(f"The forward and the backward language model differ in {flags}. Train both alike.")
    return replace(
        options,
        cell=given.cell,
        embedding_size=given.embedding_size * (1 if backward is None else 2),
        hidden_size=given.hidden_size,
        num_layers=given.num_layers,
        last_hidden_size=given.embedding_size if given.tied else None,
        bidirectional=backward is not None,
        separate_directions=backward is not None,
    )


def _check_directions(forward: LanguageModeling, backward: LanguageModeling | None) -> None:
    if forward.backward:
        raise UsageError("--pretrained takes a language model that reads forward, and this one reads backward.")
    if backward is not None and not backward.backward:
        raise UsageError(
            "--pretrained-backward takes a language model that reads backward, and this one reads forward. Train one "
            "with --backward true."
        )


@torch.no_grad()
def copy_weights(model: Classifier, forward: LanguageModeling, backward: LanguageModeling | None) -> None:
    """Give a classifier that was built by `options_from` the embeddings and the recurrent layers."""
    tables: list[torch.Tensor] = [forward.model.embedding]
    tables += [backward.model.embedding] if backward is not None else []
    model.embedding.copy_(torch.cat(tables, dim=1))
    model.encoder.layers.load_state_dict(forward.model.layers.state_dict())
    if backward is not None:
        model.encoder.backward_layers.load_state_dict(backward.model.layers.state_dict())
