"""IMDB's reviews (Maas et al. 2011) as folders that `nlp-lstm train sentiment --data` and `word_lm --data` read.

The training reviews, one JSON object a line, come label after label, and within a label those of one film together. The
last `--held-out` of each label become the validation split, so that its films are as good as unknown to training, as
those of the test half are: a film has at most 30 reviews. Reviews drawn at random have films that training knows, and
are judged better than new ones: by 0.4 to 1.5 points here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

Review = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Write train, valid and test.jsonl, and the text alone as lines in text/train.txt and text/valid.txt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "train", type=Path, metavar="TRAIN", help="training reviews, label by label; may be packed (.gz)"
    )
    parser.add_argument("--test", type=Path, required=True, metavar="JSONL", help="test reviews; may be packed")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder for the splits")
    parser.add_argument("--held-out", type=int, default=500, metavar="N", help="of each label (default: 500)")
    given = parser.parse_args(arguments)
    if given.out.exists():
        parser.error(f"--out {given.out} is there already. Name a new folder.")
    train, valid = split_by_film(_read(given.train), given.held_out)
    splits = {"train": train, "valid": valid, "test": _read(given.test)}
    (given.out / "text").mkdir(parents=True)
    for name, reviews in splits.items():
        lines = (json.dumps({"text": one["text"], "label": one["label"]}) + "\n" for one in reviews)
        (given.out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        if name != "test":
            text = (" ".join(one["text"].split()) + "\n" for one in reviews)
            (given.out / "text" / f"{name}.txt").write_text("".join(text), encoding="utf-8")
    print(", ".join(f"{len(reviews):,} {name}" for name, reviews in splits.items()), "in", given.out)
    return 0


def split_by_film(reviews: list[Review], held_out: int) -> tuple[list[Review], list[Review]]:
    """Hold out the last reviews of each label; both parts are shuffled. Raises SystemExit where none would be left."""
    by_label: dict[Any, list[Review]] = defaultdict(list)
    for review in reviews:
        by_label[review["label"]].append(review)
    if not 0 < held_out < min(map(len, by_label.values()), default=0):
        raise SystemExit(f"--held-out {held_out} must be at least 1 and leave reviews of each label to train on.")
    train = [one for group in by_label.values() for one in group[:-held_out]]
    valid = [one for group in by_label.values() for one in group[-held_out:]]
    random.Random(0).shuffle(train)
    random.Random(1).shuffle(valid)
    return train, valid


def _read(path: Path) -> list[Review]:
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")
    return [json.loads(line) for line in lines if line]


if __name__ == "__main__":
    raise SystemExit(main())
