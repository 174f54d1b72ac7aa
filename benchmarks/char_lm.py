"""Quality of the recipe char_lm: validation nats per character on a text, after a given time, over several seeds.

The first 90 % of the text are for training and the rest for validation. Each seed is trained by `nlp-lstm train` in a
process of its own, and the weights that it saved are scored by `nlp-lstm evaluate`: in fp32, on all of the validation
text, with the state carried through. The speed is that of the training steps alone, without validation.
"""

from __future__ import annotations

from _training import benchmark

if __name__ == "__main__":
    raise SystemExit(
        benchmark(
            "char_lm",
            __doc__,
            max_time="85s",
            fixed=["--valid-fraction", "0.1", "--test-fraction", "0"],
            example="python benchmarks/char_lm.py --data FILE --max-time 20m -- --hidden-size 1024 --num-layers 2",
            columns=["nats_per_character", "characters_per_second"],
        )
    )
