"""Quality of the recipe word_lm: validation perplexity on a corpus, after a given time, over several seeds.

Each seed is trained by `nlp-lstm train` in a process of its own, and the weights that it saved are scored by `nlp-lstm
evaluate`: in fp32, on all of the validation text, with the state carried through. A corpus of words that are split
already is read with `-- --pretokenized`. The speed is that of the training steps alone, without validation.
"""

from __future__ import annotations

from _training import benchmark

if __name__ == "__main__":
    raise SystemExit(
        benchmark(
            "word_lm",
            __doc__,
            max_time="1h",
            fixed=[],
            example="python benchmarks/word_lm.py --data FOLDER --seeds 0 -- --pretokenized --hidden-size 650",
            columns=["perplexity", "tokens_per_second"],
        )
    )
