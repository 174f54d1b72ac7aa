"""Text on its way into a model that reads it in small letters, with other line ends, or from its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from nlp_lstm.data import StreamedSource, StreamedText, TextData, TextSource, TokenizedText
from nlp_lstm.errors import UsageError

_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
# What ends so may go on as a line break of HTML; and where such a one ends, not every tokenizer begins a new token.
_MAY_GO_ON = re.compile(r"<(?:b(?:r\s*/?>?)?)?\Z", re.IGNORECASE)
_LONGEST_BREAK = 256  # characters of a line break that a border of pieces may cut


@dataclass(frozen=True)
class Preparation:
    """What becomes of a text before its tokens are made.

    Attributes:
        lowercase: Make all letters small.
        html_line_breaks: Read the line break of HTML, `<br />`, as the end of a line.
    """

    lowercase: bool = False
    html_line_breaks: bool = False

    def text(self, text: str) -> str:
        """Return a whole text as the tokenizer gets it."""
        if self.html_line_breaks:
            text = _LINE_BREAK.sub("\n", text)
        return text.lower() if self.lowercase else text

    def source(self, source: TextSource) -> TextSource:
        """Return a text that is read in pieces as the tokenizer gets it."""
        if not self.lowercase and not self.html_line_breaks:
            return source
        # The documents of a streamed text are counted, and so each is prepared by itself.
        whole = source.ends_with_eos or isinstance(source, StreamedSource)
        changed = replace(source, pieces=self._pieces(source.pieces, whole))
        if isinstance(changed, StreamedSource):
            shards = [replace(shard, pieces=self._pieces(shard.pieces, True)) for shard in changed.shards]
            changed = replace(changed, shards=shards)
        return changed

    def splits(self, data: TextData) -> TextData:
        """Return all splits as the tokenizer gets them."""
        splits = {
            name: None if source is None else self.source(source)
            for name, source in (("train", data.train), ("valid", data.valid), ("test", data.test))
        }
        return replace(data, **splits)  # type: ignore[arg-type]

    def _pieces(self, pieces: Callable[[], Iterator[str]], whole: bool) -> Callable[[], Iterator[str]]:
        if whole or not self.html_line_breaks:
            return lambda: map(self.text, pieces())
        return lambda: map(self.text, _joined_at_line_breaks(pieces()))


def _joined_at_line_breaks(pieces: Iterable[str]) -> Iterator[str]:
    """Join pieces between which a line break of HTML stands, or part of one."""
    held = ""
    for piece in pieces:
        held += piece
        if not _MAY_GO_ON.search(held, max(0, len(held) - _LONGEST_BREAK)):
            yield held
            held = ""
    if held:
        yield held


def back_to_front(text: TokenizedText) -> TokenizedText:
    """Return the same tokens, the last one first; raises UsageError for a text that is streamed."""
    if isinstance(text, StreamedText):
        raise UsageError("--backward reads a text from its end, which a streamed one has not. Leave out --stream.")
    return replace(text, ids=text.ids[::-1])
