"""Pairs in files and folders: parallel files, a line in one for each line in the other, or tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from nlp_lstm.data._files import ABOUT, SPLIT_OF_NAME, listed_by_split, sort_files, words_of
from nlp_lstm.data._options import PairOptions
from nlp_lstm.data._pair_columns import TRANSLATION, Sides, pair_table, read_pairs
from nlp_lstm.data._pair_filters import Pair
from nlp_lstm.data._plain import read_lines
from nlp_lstm.data._records import briefly
from nlp_lstm.data._tables import kind_of
from nlp_lstm.errors import DataError

_NATURAL = (("source", "target"), ("src", "tgt"), ("src", "trg"))

Found = dict[str, list[Pair]]


def read_pair_files(files: Mapping[str, Sequence[Path]], options: PairOptions, notes: list[str]) -> tuple[Found, str]:
    """Read the files of each split, tables or parallel files; also say which sides the pairs have.

    Raises:
        DataError: A file has no such columns, no partner or no pairs, two differ in length, a language is not there,
            or a file has a fault; the message names the line.
    """
    paths = [path for part in files.values() for path in part]
    if len(paths) == 1 or any(kind_of(path) != ".txt" or "\t" in next(read_lines(path), "") for path in paths):
        return _read_tables(files, options)
    return _read_parallel(files, options, notes)


def read_pair_folder(folder: Path, options: PairOptions, notes: list[str]) -> tuple[Found, str]:
    """Read a folder of files that say the split, and describe it.

    Raises:
        DataError: As `read_pair_files`; or there are no files.
    """
    splits, others = sort_files(folder)
    about = [path for path in others if ABOUT.intersection(words_of(path)) or path.name.startswith("_")]
    rest = [path for path in others if path not in about]
    files = splits or ({"train": rest} if rest else {})
    if not files:
        raise DataError(f"The folder {folder} holds no pairs. Put in train.en and train.de, say, or train.tsv.")
    left_out = others if splits else about
    if left_out:
        notes.append(f"Left out of {folder.resolve().name}: {', '.join(path.name for path in left_out)}")
    found, sides = read_pair_files(files, options, notes)
    return found, f"folder {folder.resolve().name}, {sides} ({listed_by_split(files)})"


def _read_tables(files: Mapping[str, Sequence[Path]], options: PairOptions) -> tuple[Found, str]:
    found: Found = {}
    said: dict[str, None] = {}
    for split, paths in files.items():
        found[split] = []
        for path in paths:
            table = pair_table(path, options)
            if len(table.columns) == 1 and TRANSLATION not in table.columns:
                raise DataError(
                    f"{path} has one column, but a pair has two. Put a tab between source and target, or give a folder "
                    "of two files that end in the language (train.en, train.de) with --source and --target."
                )
            sides = Sides.of_table(table, options)
            said[str(sides)] = None
            found[split] += read_pairs(table, sides)
        if not found[split]:
            raise DataError(f"{' and '.join(map(str, paths))} holds no pairs. Give a file with text in it.")
    return found, " and ".join(said)


def _read_parallel(files: Mapping[str, Sequence[Path]], options: PairOptions, notes: list[str]) -> tuple[Found, str]:
    paths = [path for part in files.values() for path in part]
    source, target = _choose_languages(paths, options)
    found: Found = {}
    for split, part in files.items():
        pairs = [pair for sides in _partners(part, source, target) for pair in _read_two(*sides)]
        if pairs:
            found[split] = pairs
    left_out = [path.name for path in paths if language_of(path)[1] not in (source, target)]
    if left_out:
        notes.append(f"Files in other languages, which are left out: {', '.join(left_out)}")
    return found, f"{source} to {target}"


def _partners(paths: Sequence[Path], source: str, target: str) -> Iterator[tuple[Path, Path]]:
    """Yield the files of both languages that share the rest of the name."""
    by_stem: dict[str, dict[str, Path]] = {}
    for path in paths:
        stem, language = language_of(path)
        if language in (source, target):
            by_stem.setdefault(stem, {})[language] = path
    for _, sides in sorted(by_stem.items()):
        if len(sides) == 1:
            there, other = (source, target) if source in sides else (target, source)
            raise DataError(f"{sides[there]} has no partner that ends in {other!r}. Add it, or remove the file.")
        yield sides[source], sides[target]


def language_of(path: Path) -> tuple[str, str]:
    """Return what stands before the language in a file's name, and the language: `train.de.gz` gives train and de."""
    name = path.name.removesuffix(".gz").removesuffix(".txt")
    for sign in "._- ":
        stem, found, language = name.rpartition(sign)
        if found:
            return stem, language
    return "", name


def _choose_languages(paths: Sequence[Path], options: PairOptions) -> tuple[str, str]:
    languages = dict.fromkeys(language_of(path)[1] for path in paths)
    there = [language for language in languages if language.lower() not in SPLIT_OF_NAME]
    names = f"The file names in {paths[0].parent} end in: {', '.join(there) or 'no language'}."
    for flag, name in (("--source", options.source), ("--target", options.target)):
        if name is not None and name not in there:
            raise DataError(f"{flag} is {name!r}. {names} Name two of these with --source and --target.")
    if options.source is not None and options.target is not None:
        return options.source, options.target
    rest = [name for name in there if name not in (options.source, options.target)]
    if len(rest) == 1 and options.source is not None:
        return options.source, rest[0]
    if len(rest) == 1 and options.target is not None:
        return rest[0], options.target
    natural = next((pair for pair in _NATURAL if set(pair) == set(rest)), None)
    if natural:
        return natural
    example = f", such as --source {rest[0]} --target {rest[1]}" if len(rest) > 1 else ""
    raise DataError(f"{names} Say which way to translate with --source and --target{example}.")


def _read_two(source: Path, target: Path) -> Iterator[Pair]:
    """Yield the pairs of two parallel files.

    Raises:
        DataError: One has more lines, or both are empty.
    """
    number = 0
    lines = read_lines(source), read_lines(target)
    for number, sides in enumerate(zip_longest(*lines), 1):
        if None in sides:
            raise _of_different_length(source, target, number, sides, sum(1 for rest in lines for _ in rest))
        yield Pair(sides[0].rstrip("\r\n"), sides[1].rstrip("\r\n"), f"{source}, line {number:,}")
    if not number:
        raise DataError(f"{source} and {target} are empty. Give files with text in them.")


def _of_different_length(
    source: Path, target: Path, number: int, sides: tuple[str | None, ...], rest: int
) -> DataError:
    counts = {source: number - 1, target: number - 1}
    longer = target if sides[0] is None else source
    counts[longer] += 1 + rest
    text = (sides[0] or sides[1] or "").rstrip("\r\n")
    return DataError(
        f"{source} has {counts[source]:,} lines and {target} has {counts[target]:,}: line {number:,} of {longer.name} "
        f"({briefly(text)}) is the first without a partner. Each line must be the translation of the same line in the "
        "other file; a line that is lost further up shifts all that follow."
    )
