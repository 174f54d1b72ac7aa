"""Evaluation: plain values in, scores with a unit, an uncertainty and a signature out."""

from nlp_lstm.evaluation._bootstrap import block_bootstrap_means, default_block_length, percentile_interval
from nlp_lstm.evaluation._calibration import CalibrationBin, fit_temperature
from nlp_lstm.evaluation._classification import (
    ClassificationScores,
    ConfidentError,
    classification_scores,
    correct_items,
)
from nlp_lstm.evaluation._comparison import (
    Comparison,
    Difference,
    compare_classifications,
    compare_language_models,
)
from nlp_lstm.evaluation._confusion import ClassScore
from nlp_lstm.evaluation._language_model import LanguageModelScores, language_model_scores
from nlp_lstm.evaluation._pictures import (
    confusion_figure,
    reliability_figure,
    require_matplotlib,
    save_figure,
    save_pictures,
)
from nlp_lstm.evaluation._rouge import require_rouge, rouge_scores
from nlp_lstm.evaluation._sacrebleu import CorpusStatistics, corpus_statistics
from nlp_lstm.evaluation._score import Score, signature
from nlp_lstm.evaluation._significance import (
    McNemar,
    PairedBootstrap,
    approximate_randomization,
    mcnemar,
    paired_bootstrap,
    wilson_interval,
)
from nlp_lstm.evaluation._summary import SummaryScores, summary_scores
from nlp_lstm.evaluation._text_comparison import compare_summaries, compare_translations
from nlp_lstm.evaluation._translation import LengthBucket, ScoredSentence, TranslationScores, translation_scores
from nlp_lstm.evaluation._word_frequency import FrequencyBucket

__all__ = [
    "CalibrationBin",
    "ClassScore",
    "ClassificationScores",
    "Comparison",
    "ConfidentError",
    "CorpusStatistics",
    "Difference",
    "FrequencyBucket",
    "LanguageModelScores",
    "LengthBucket",
    "McNemar",
    "PairedBootstrap",
    "Score",
    "ScoredSentence",
    "SummaryScores",
    "TranslationScores",
    "approximate_randomization",
    "block_bootstrap_means",
    "classification_scores",
    "compare_classifications",
    "compare_language_models",
    "compare_summaries",
    "compare_translations",
    "confusion_figure",
    "corpus_statistics",
    "correct_items",
    "default_block_length",
    "fit_temperature",
    "language_model_scores",
    "mcnemar",
    "paired_bootstrap",
    "percentile_interval",
    "reliability_figure",
    "require_matplotlib",
    "require_rouge",
    "rouge_scores",
    "save_figure",
    "save_pictures",
    "signature",
    "summary_scores",
    "translation_scores",
    "wilson_interval",
]
