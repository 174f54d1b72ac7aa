"""The scores of translations against references: BLEU, chrF and TER by sacrebleu, and how many are exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy
from numpy.typing import NDArray

from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation._sacrebleu import METRICS, CorpusStatistics, check_pairs, corpus_statistics
from nlp_lstm.evaluation._score import Score
from nlp_lstm.evaluation._significance import wilson_interval
from nlp_lstm.evaluation._table import one_line, scores_to_json, text_table
from nlp_lstm.evaluation._word_frequency import FrequencyBucket, words_by_frequency

_LENGTHS = (0, 10, 20, 30, 40, 50, 60)  # words of the reference at which a bucket begins
_EXAMPLES = 5


@dataclass(frozen=True)
class LengthBucket:
    """The scores of the sentences whose reference has `low` to `high` words (None: no end) between white space."""

    low: int
    high: int | None
    n: int
    bleu: float
    chrf: float
    exact_match: float


@dataclass(frozen=True)
class ScoredSentence:
    """One sentence and its chrF; `number` counts from 1, as the lines of a file do."""

    number: int
    chrf: float
    source: str | None
    hypothesis: str
    reference: str


@dataclass(frozen=True)
class TranslationScores:
    """What `translation_scores` found.

    Attributes:
        scores: `bleu`, `chrf`, `ter` (0 to 100) and, last, `exact_match` (0 to 1), each with its own signature.
        n: How many sentences were scored.
        by_length: A bucket for each range of lengths that occurs.
        by_frequency: A bucket for each range of training frequencies; empty where no training text was given.
        worst: Sentences with the lowest chrF, the worst first; likewise `best`, the best first.
        signature: The signatures of all but the last score, with "; " between them.
    """

    scores: tuple[Score, ...]
    n: int
    by_length: tuple[LengthBucket, ...]
    by_frequency: tuple[FrequencyBucket, ...]
    worst: tuple[ScoredSentence, ...]
    best: tuple[ScoredSentence, ...]
    signature: str

    def to_json(self) -> dict[str, object]:
        """Return one object for strict JSON: flat scores, and lists of objects for all that `details` shows."""
        return {**scores_to_json("translation", self.n, self.scores, self.signature), **self._details_to_json()}

    def text(self) -> str:
        """Return the lines for a terminal: a score each, and the signatures as sacrebleu writes them."""
        signatures = [f"signature {score.signature}" for score in self.scores[:-1]]
        return "\n".join([*(score.brief() for score in self.scores), *signatures])

    def details(self) -> str:
        """Return the tables by length and by frequency, and the worst and best sentences, for a terminal."""
        lines = ["By length of the reference:"]
        rows = [
            (_range(b.low, b.high), b.n, float(b.bleu), float(b.chrf), float(b.exact_match)) for b in self.by_length
        ]
        lines += text_table(("words", "sentences", "bleu", "chrf", "exact_match"), rows)
        if self.by_frequency:
            lines += ["", "Words of the references by how often the training text has them:"]
            lines += text_table(
                ("times", "words", "recall", "f1"),
                [(_range(b.low, b.high), b.words, b.recall, b.f1) for b in self.by_frequency],
            )
        for title, sentences in (("Worst", self.worst), ("Best", self.best)):
            lines += ["", f"{title} sentences by chrF:"]
            for sentence in sentences:
                lines += _lines_of(sentence)
        return "\n".join(lines)

    def _details_to_json(self) -> dict[str, object]:
        return {
            "by_length": [asdict(each) for each in self.by_length],
            "by_frequency": [asdict(each) for each in self.by_frequency],
            "worst": [asdict(each) for each in self.worst],
            "best": [asdict(each) for each in self.best],
        }


def translation_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    training_text: Iterable[str] | None = None,
    ter: bool = True,
    resamples: int = 1000,
    seed: int = 12345,
) -> TranslationScores:
    """Score detokenised translations against one reference each, with sacrebleu's defaults and its signatures.

    BLEU is Papineni et al. (2002), chrF Popović (2015), TER Snover et al. (2006: lower is better), each equal to
    what the sacrebleu command prints. `exact_match` is the share of hypotheses that equal their reference but for
    white space at the end, with Wilson's interval. The other 95 % intervals are percentiles over resampled sentences
    (Koehn 2004). `sources` are shown beside the worst and best sentences; with `training_text`, the target sentences
    of the training set, words are scored by how often it has them. `ter=False` leaves out TER, which takes long for
    texts of many words.

    Raises:
        DataError: there is no sentence, or not as many hypotheses (or sources) as references.
        UsageError: a string stands where a list of sentences should, or `resamples` is below 1.
    """
    check_pairs(hypotheses, references)
    if sources is not None:
        check_pairs(sources, references)
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}; it must be 1 or more.")
    hypotheses = [hypothesis.rstrip() for hypothesis in hypotheses]
    references = [reference.rstrip() for reference in references]
    n = len(references)
    metrics = {name: corpus_statistics(name, hypotheses, references) for name in METRICS if ter or name != "ter"}
    scores = [metric.score(resamples=resamples, seed=seed) for metric in metrics.values()]
    exact = numpy.array([h == r for h, r in zip(hypotheses, references, strict=True)])
    matches = int(exact.sum())
    interval = wilson_interval(matches, n)
    scores.append(Score("exact_match", matches / n, "of the sentences", n, interval, "ci:wilson"))
    by_sentence = metrics["chrf"].sentence_values()

    def examples(chosen: list[int]) -> tuple[ScoredSentence, ...]:
        return tuple(
            ScoredSentence(
                i + 1,
                float(by_sentence[i]),
                None if sources is None else sources[i].rstrip(),
                hypotheses[i],
                references[i],
            )
            for i in chosen
        )

    return TranslationScores(
        tuple(scores),
        n,
        _by_length(references, metrics, exact),
        () if training_text is None else words_by_frequency(hypotheses, references, training_text),
        examples(numpy.argsort(by_sentence, kind="stable")[:_EXAMPLES].tolist()),
        examples(numpy.argsort(-by_sentence, kind="stable")[:_EXAMPLES].tolist()),
        "; ".join(score.signature for score in scores[:-1]),
    )


def _by_length(
    references: Sequence[str], metrics: dict[str, CorpusStatistics], exact: NDArray[numpy.bool_]
) -> tuple[LengthBucket, ...]:
    lengths = numpy.array([len(reference.split()) for reference in references])
    buckets = []
    for low, following in zip(_LENGTHS, (*_LENGTHS[1:], None), strict=True):
        inside = (lengths >= low) & (lengths < (numpy.inf if following is None else following))
        if inside.any():
            bleu, chrf = (
                metrics[name].value(metrics[name].statistics[inside].sum(axis=0)) for name in ("bleu", "chrf")
            )
            high = None if following is None else following - 1
            buckets.append(LengthBucket(low, high, int(inside.sum()), bleu, chrf, float(exact[inside].mean())))
    return tuple(buckets)


def _range(low: int, high: int | None) -> str:
    return f"{low:,}+" if high is None else f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _lines_of(sentence: ScoredSentence) -> list[str]:
    source = [] if sentence.source is None else [f"    source     {one_line(sentence.source)}"]
    return [
        f"  line {sentence.number:,}, chrf {sentence.chrf:.1f}",
        *source,
        f"    hypothesis {one_line(sentence.hypothesis)}",
        f"    reference  {one_line(sentence.reference)}",
    ]
