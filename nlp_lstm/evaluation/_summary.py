"""The scores of summaries: ROUGE beside BLEU and chrF, the first sentence to compare with, and what was copied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation._rouge import require_rouge, rouge_scores
from nlp_lstm.evaluation._score import Score
from nlp_lstm.evaluation._table import scores_to_json
from nlp_lstm.evaluation._translation import TranslationScores, translation_scores

_FIRST_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")


@dataclass(frozen=True)
class SummaryScores(TranslationScores):
    """What `summary_scores` found: as of translations, and ROUGE.

    Attributes:
        scores: `rouge_1`, `rouge_2` and `rouge_l`, `bleu` and `chrf` (0 to 100), and `exact_match` (0 to 1).
        lead: `lead_rouge_1` and so on: what the first sentence of each source reaches; empty without sources.
        missing: How to get the library of ROUGE, where it is not installed and these scores are left out; else empty.
        signature: The signatures of ROUGE, BLEU and chrF, with "; " between them.
    """

    lead: tuple[Score, ...]
    missing: str

    def to_json(self) -> dict[str, object]:
        """Return one object as that of translations; `missing` is in it where ROUGE's library is not installed."""
        found = scores_to_json("summarization", self.n, (*self.scores, *self.lead), self.signature)
        return {**found, **({"missing": self.missing} if self.missing else {}), **self._details_to_json()}

    def text(self) -> str:
        """Return the lines for a terminal: a score each, what they are to be compared with, and the signatures."""
        lines = [score.brief() for score in self.scores]
        if self.lead:
            found = ", ".join(f"{score.name.removeprefix('lead_')} {score.value:.2f}" for score in self.lead)
            lines.append(f"first sentence as the summary: {found}")
        lines += [
            f"words that no training summary has: {bucket.words:,}, of which {bucket.recall:.3f} are in their summary"
            for bucket in self.by_frequency
            if bucket.high == 0
        ]
        return "\n".join([*lines, *filter(None, [self.missing]), *(f"signature {one}" for one in self._signatures())])

    def _signatures(self) -> list[str]:
        return self.signature.split("; ")


def summary_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    training_text: Iterable[str] | None = None,
    resamples: int = 1000,
    seed: int = 12345,
) -> SummaryScores:
    """Score summaries against one reference each: ROUGE (see `rouge_scores`), and what fits of `translation_scores`.

    With `sources` the first sentence of each is scored as a summary too: the baseline that news texts make hard to
    beat. With `training_text`, the summaries of the training set, the words that it does not have are counted, and how
    many of them were found: a model without a copy mechanism finds few. Without rouge-score there is no ROUGE, and the
    text says how to get it; `require_rouge` refuses instead.

    Raises:
        DataError: there is no summary, or not as many hypotheses (or sources) as references.
        UsageError: a string stands where a list should, or `resamples` is below 1.
    """
    others = translation_scores(
        hypotheses, references, sources=sources, training_text=training_text, ter=False, resamples=resamples, seed=seed
    )
    rouge: tuple[Score, ...] = ()
    lead: list[Score] = []
    missing = ""
    try:
        require_rouge()
    except UsageError as error:
        missing = str(error)
    else:
        rouge = rouge_scores(hypotheses, references, resamples=resamples, seed=seed)
        if sources is not None:
            firsts = rouge_scores([first_sentence(one) for one in sources], references, resamples=resamples, seed=seed)
            lead = [replace(score, name=f"lead_{score.name}") for score in firsts]
    found = {field.name: getattr(others, field.name) for field in fields(others)}
    found["scores"] = (*rouge, *others.scores)
    found["signature"] = "; ".join([*dict.fromkeys(score.signature for score in rouge), others.signature])
    return SummaryScores(**found, lead=tuple(lead), missing=missing)


def first_sentence(text: str) -> str:
    """Return what stands before the first space behind a full stop, question or exclamation mark."""
    return _FIRST_SENTENCE_END.split(text.strip(), maxsplit=1)[0]
