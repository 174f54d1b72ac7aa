"""Where words begin and end, and how they are joined again: the rules of the word tokenizer for running text."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from dataclasses import dataclass

_WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # Unicode's White_Space
_JOINERS = "\u200c\u200d"  # zero-width, inside words of Persian and Indic scripts and inside emoji
_CLOSING = frozenset(".,!?;:%)]}…’”»。，、！？：；）」』】")
_OPENING = frozenset("([{“«‘¿¡$£€#（「『【")
_BETWEEN = frozenset("-/–—")
_QUOTE = '"'
_LONGEST_PATTERN = 100_000  # those of today's Unicode have a tenth of that


@dataclass(frozen=True)
class WordClasses:
    """The characters of words, of marks and of decimal digits, each as the inside of a regular expression's `[...]`.

    They are written out, range by range, because regular-expression engines and versions of Python differ in the
    Unicode tables they carry: saved with the tokenizer, they split the same text the same way everywhere.
    """

    word: str
    mark: str
    digit: str

    @classmethod
    @functools.cache
    def of_this_python(cls) -> WordClasses:
        """Letters, marks, numbers and "_" make words, by the general categories of Unicode in `unicodedata`."""
        categories = [unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)]

        def ranges(wanted: frozenset[str], extra: str) -> str:
            members = [code for code, name in enumerate(categories) if name in wanted or chr(code) in extra]
            starts = [code for code, before in zip(members, [-1, *members], strict=False) if before != code - 1]
            ends = [code for code, after in zip(members, [*members[1:], -1], strict=True) if after != code + 1]
            return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))

        marks = frozenset({"Mn", "Mc", "Me"})
        letters = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No"})
        return cls(ranges(letters | marks, "_" + _JOINERS), ranges(marks, _JOINERS), ranges(frozenset({"Nd"}), ""))

    @classmethod
    def from_pattern(cls, pattern: str) -> WordClasses:
        """Read the classes out of a pattern that `pattern` wrote, of ranges; raises ValueError for any other."""
        if len(pattern) > _LONGEST_PATTERN:
            raise ValueError(f"the splitting pattern has more than {_LONGEST_PATTERN:,} characters")
        inside = r"(?:[^\\\[\]&^~|-]-[^\\\[\]&^~|-])+"
        template = re.escape(cls("<w>", "<m>", "<d>").pattern)
        for name in ("word", "mark", "digit"):
            template = template.replace(f"<{name[0]}>", f"(?P<{name}>{inside})", 1)
            template = template.replace(f"<{name[0]}>", f"(?P={name})")
        match = re.fullmatch(template, pattern)
        if match is None:
            raise ValueError("the splitting pattern is not one that nlp_lstm writes")
        try:
            re.compile(pattern)
        except re.error as fault:
            raise ValueError(f"the splitting pattern is damaged: {fault}") from None
        return cls(**match.groupdict())

    @property
    def pattern(self) -> str:
        """A regular expression, for Python and the `tokenizers` library alike, that matches line ends and words.

        A word is a run of word characters; an apostrophe between two of them, and a point or comma between two
        digits, belongs to it. Any other character that is not white space stands alone, with the marks after it.
        """
        number = f"(?<=[{self.digit}])[.,](?=[{self.digit}])"
        word = f"[{self.word}]+(?:(?:['’]|{number})[{self.word}]+)*"
        return f"\n|{word}|[^{self.word}{_WHITE_SPACE}][{self.mark}]*"


class WordJoiner:
    """Puts spaces between words one at a time, by the habits of printed English.

    No space before closing punctuation or after opening punctuation, none around hyphens, dashes and slashes, and
    straight double quotes open and close in turn within a line.
    """

    def __init__(self) -> None:
        self._glue_next = True  # nothing is put before the first word of a line
        self._quote_open = False

    def feed(self, word: str) -> str:
        """Return the word, after the space that belongs before it."""
        if word == "\n":
            self._glue_next, self._quote_open = True, False
            return word
        glued = self._glue_next or word in _CLOSING or word in _BETWEEN
        self._glue_next = word in _OPENING or word in _BETWEEN
        if word == _QUOTE:
            glued = glued or self._quote_open
            self._glue_next = self._quote_open = not self._quote_open
        return word if glued else " " + word


class SpaceJoiner:
    """Puts one space between words, one at a time, and none beside a line end."""

    def __init__(self) -> None:
        self._glue_next = True

    def feed(self, word: str) -> str:
        """Return the word, after a space unless it begins or ends a line."""
        glued = self._glue_next or word == "\n"
        self._glue_next = word == "\n"
        return word if glued else " " + word
