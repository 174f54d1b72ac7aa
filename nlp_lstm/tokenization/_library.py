"""What the tokenizers over the `tokenizers` library share: its file, read and checked.

The special tokens stand in the model's vocabulary and never among the library's added tokens, which it would look for
in ordinary text: so a typed "<eos>" stays text, also where another program loads the file.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_lstm.errors import RunFolderError
from nlp_lstm.tokenization._base import SPECIAL_TOKENS
from nlp_lstm.tokenization._files import LIBRARY_JSON, one_line, read_json

if TYPE_CHECKING:
    import tokenizers


def read_library(
    folder: Path, model_type: str, special_tokens: tuple[str, ...] = SPECIAL_TOKENS
) -> tuple[tokenizers.Tokenizer, dict[str, Any], list[str]]:
    """Return the library's object, its file as JSON and the tokens by id.

    Raises RunFolderError where the file is damaged, holds another model or added tokens, or the special tokens are not
    ids 0 to 3.
    """
    import tokenizers

    path = folder / LIBRARY_JSON
    content, text = read_json(folder, LIBRARY_JSON)
    try:
        library = tokenizers.Tokenizer.from_str(text)
    except BaseException as fault:  # the library raises no narrower class, and for a panic of its own not even that
        if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
            raise
        raise RunFolderError(
            f"{path} is damaged: the tokenizers library does not read it ({one_line(fault)})."
        ) from None
    found = type(library.model).__name__
    if found != model_type:
        raise RunFolderError(f"{path} holds a {found} model; {model_type} is needed.")
    if content.get("added_tokens"):
        raise RunFolderError(f"{path} adds tokens to those of its model, which no tokenizer of nlp_lstm does.")
    vocabulary = library.get_vocab(with_added_tokens=False)
    tokens = sorted((token_id, token) for token, token_id in vocabulary.items())
    if [token_id for token_id, _ in tokens] != list(range(len(tokens))):
        raise RunFolderError(f"{path} is damaged: its ids are not 0 to {len(tokens) - 1} without a gap.")
    names = [token for _, token in tokens]
    if tuple(names[: len(special_tokens)]) != special_tokens:
        raise RunFolderError(f"{path}: ids 0 to 3 are {reprlib.repr(names[:4])}, and must be {list(special_tokens)}.")
    return library, content, names
