"""IMDB's reviews (Maas et al. 2011) as folders that `nlp-lstm train sentiment --data` and `word_lm --data` read.

The training reviews, one JSON object a line, come label after label, and within a label those of one film mostly stand
together. The last `--held-out` of each label become the validation split, so that few of its films have reviews of the
same label to train on; they may have some of the other. The films of the test half are all unknown to training; those
of reviews drawn at random are mostly known. Files in another order give a split like any other.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from _packed import read_packed

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
    train, valid = hold_out_last(_read(given.train), given.held_out)
    splits = {"train": train, "valid": valid, "test": _read(given.test)}
    files = {f"{name}.jsonl": [json.dumps(one) for one in reviews] for name, reviews in splits.items()}
    for name in ("train", "valid"):
        files[f"text/{name}.txt"] = [" ".join(one["text"].split()) for one in splits[name]]
    (given.out / "text").mkdir(parents=True)
    for name, lines in files.items():
        (given.out / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    print(", ".join(f"{len(reviews):,} {name}" for name, reviews in splits.items()), "in", given.out)
    return 0


def hold_out_last(reviews: list[Review], held_out: int) -> tuple[list[Review], list[Review]]:
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
    reviews = []
    for number, line in enumerate(read_packed(path).split(b"\n"), 1):
        try:
            if line:
                review = json.loads(line)
                reviews.append({"text": review["text"], "label": review["label"]})
        except (ValueError, KeyError, TypeError):
            raise SystemExit(f"{path}, line {number}: no JSON object with text and label.") from None
    return reviews


if __name__ == "__main__":
    raise SystemExit(main())
