"""Data that every installation already has, so that the first run needs no download."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence

from nlp_lstm.data._plain import cut_pieces
from nlp_lstm.data._source import TextSource
from nlp_lstm.errors import DataError


def load_pydoc() -> tuple[TextSource, str]:
    """Return the documentation that CPython carries for its `help()`, and a line that describes it.

    The topics stand in the order of their names with a blank line between. The text differs from one version of
    Python to the next, and so do scores on it.

    Raises:
        DataError: This Python was installed without the module `pydoc_data`.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "The built-in text `pydoc` is the module pydoc_data, which this Python was installed without. Install the "
            "full standard library (on Debian: libpython3-stdlib), or give your own text with --data FILE."
        ) from None
    text = "\n\n".join(topics[name] for name in sorted(topics))

    def pieces() -> Iterator[str]:
        return cut_pieces([text])

    description = f"pydoc_data.topics of Python {platform.python_version()} ({len(text):,} characters)"
    return TextSource("pydoc", False, pieces), description


BUILT_IN: dict[str, Callable[[], tuple[TextSource, str]]] = {"pydoc": load_pydoc}


def load_reviews() -> tuple[Mapping[str, tuple[Sequence[str], Sequence[str]]], str]:
    """Return the texts and the labels of each split of the composed reviews, and a line that describes them."""
    from nlp_lstm.data._reviews import reviews

    return reviews(), "reviews, composed by a grammar (synthetic)"


_Pairs = tuple[Mapping[str, Sequence[tuple[str, str]]], str]


def load_phrases(source: str | None, target: str | None) -> _Pairs:
    """Return the pairs of each split of phrases in two locales (de and en), and a line that describes them."""
    from nlp_lstm.data._phrases import phrases

    source, target = source or "de", target or "en"
    return phrases(source, target), f"phrases {source}-{target}, composed from locale data (synthetic)"


def load_reports(source: str | None, target: str | None) -> _Pairs:
    """Return the reports of each split with their summaries, and a line that describes them.

    Raises:
        DataError: A side is named, and there is nothing to choose.
    """
    from nlp_lstm.data._reports import reports

    if source is not None or target is not None:
        raise DataError(
            "The built-in `reports` are turned into their summaries, in English. Leave out --source and --target."
        )
    return reports(), "reports with summaries, composed by a grammar (synthetic)"


BUILT_IN_LABELLED = {"reviews": load_reviews}
BUILT_IN_PAIRS: dict[str, Callable[[str | None, str | None], _Pairs]] = {
    "phrases": load_phrases,
    "reports": load_reports,
}
