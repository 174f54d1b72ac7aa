"""What the words of a translation attended to, as text and as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nlp_lstm.errors import UsageError

_ENDINGS = (".pdf", ".png", ".svg")


def attention_map(translated: Any) -> str:
    """Draw a `Translated` as text, in ASCII where the locale says so."""
    from nlp_lstm.decoding import attention_text

    plain = os.environ.get("LC_ALL", os.environ.get("LANG", "")) in ("C", "POSIX")
    return attention_text(translated.source_words, translated.target_words, translated.attention, ascii_only=plain)


def checked_picture(name: str, flag: str) -> Path:
    """Refuse a picture that cannot be written, before the work is done; `flag` is what asked for it."""
    path = Path(name).expanduser()
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{flag}: {path} must end in .png, .svg or .pdf.")
    if path.exists():
        raise UsageError(f"{flag}: {path} is already there. Name another file.")
    if not path.parent.is_dir():
        raise UsageError(f"{flag}: there is no folder {path.parent}. Make it first, or name another.")
    return path


def save_picture(translated: Any, path: Path) -> None:
    """Draw a `Translated` into a new file, whole or not at all; raises UsageError where matplotlib is missing."""
    from nlp_lstm.decoding import attention_picture
    from nlp_lstm.evaluation import save_figure

    save_figure(attention_picture(translated.source_words, translated.target_words, translated.attention), path)
