"""The phrases of sentiment trees (Socher et al. 2013) as labelled texts that `nlp-lstm train sentiment --data` reads.

A line is a tree such as `(3 (2 a) (4 joy))`, each bracket a phrase rated from 0 to 4: 3 and 4 make the label 1, 0 and 1
the label 0, and 2 none. Where a phrase comes several times most of its labels decide, and a draw leaves it out. So that
training looks like the held-out texts, characters that no validation text has become spaces, and capitals small letters
where those have none; a phrase that is one of them is left out. Their files, lines of a text, a tab and a label, are
copied beside. With `--join-clitics` all have "don't" and "it's" in place of "do n't" and "it 's", as running text has,
such as that of a language model to start from.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from _packed import read_packed

_TOKEN = re.compile(r"[()]|[^()\s]+")
_CLITIC = re.compile(r" (n't|'(?:s|re|ve|ll|d|m))(?!\S)")


def main(arguments: list[str] | None = None) -> int:
    """Write train.tsv, valid.tsv and test.tsv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", type=Path, metavar="TREES", help="trees to train on, a line each; may be packed (.gz)")
    parser.add_argument("--valid", type=Path, required=True, metavar="TSV", help="validation texts; may be packed")
    parser.add_argument("--test", type=Path, required=True, metavar="TSV", help="test texts; may be packed")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder for the three files")
    parser.add_argument("--join-clitics", action="store_true", help="write don't, not do n't")
    given = parser.parse_args(arguments)
    if given.out.exists():
        parser.error(f"--out {given.out} is there already. Name a new folder.")
    joined = join_clitics if given.join_clitics else str
    held_out = {"valid": joined(_read(given.valid)), "test": joined(_read(given.test))}
    texts = {name: [line.rpartition("\t")[0] for line in file.splitlines()] for name, file in held_out.items()}
    clean = cleaner(texts["valid"])
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for number, line in enumerate(_read(given.trees).splitlines(), 1):
        try:
            for rating, phrase in phrases(line):
                found[joined(clean(phrase))]["01"[rating > 2]] += rating != 2
        except (ValueError, IndexError):
            raise SystemExit(f"{given.trees}, line {number}: no tree such as (3 (2 a) (4 joy)).") from None
    given.out.mkdir(parents=True)
    unfit = {"", *map(clean, [*texts["valid"], *texts["test"]])}
    kept = {phrase: "01"[votes["1"] > votes["0"]] for phrase, votes in found.items() if votes["0"] != votes["1"]}
    lines = [f"{phrase}\t{label}\n" for phrase, label in kept.items() if phrase not in unfit]
    for split, text in {"train": "".join(lines), **held_out}.items():
        (given.out / f"{split}.tsv").write_text(text, encoding="utf-8")
    print(f"{len(lines):,} phrases of {len(found):,} in {given.out / 'train.tsv'}")
    return 0


def _read(path: Path) -> str:
    return read_packed(path).decode("utf-8")


def join_clitics(text: str) -> str:
    """Join what the Penn Treebank splits off: n't, 's, 're, 've, 'll, 'd and 'm, to the word before them."""
    return _CLITIC.sub(r"\1", text)


def cleaner(texts: Iterable[str]) -> Callable[[str], str]:
    """Return what makes a phrase look like the texts: with their characters alone, and in small letters if they are."""
    known = set("".join(texts))
    small = not any(character.isupper() for character in known)

    def clean(phrase: str) -> str:
        characters = phrase.lower() if small else phrase
        return " ".join("".join(one if one in known else " " for one in characters).split())

    return clean


def phrases(tree: str) -> Iterator[tuple[int, str]]:
    """Yield the rating and the words of each phrase of a tree; ValueError or IndexError where it is none."""
    stack: list[tuple[int, list[str]]] = []
    for token in (tokens := iter(_TOKEN.findall(tree))):
        if token == "(":
            stack.append((int(next(tokens, "")), []))
        elif token != ")":
            stack[-1][1].append(token)
        else:
            rating, words = stack.pop()
            yield rating, " ".join(words)
            if stack:
                stack[-1][1].extend(words)
    if stack:
        raise ValueError("a bracket is not closed")


if __name__ == "__main__":
    raise SystemExit(main())
