"""Everything that reads a file from elsewhere, each with a small valid input that it accepts; the tests load it too."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import nlp_lstm as nl
from nlp_lstm.models import load_word_vectors
from nlp_lstm.training import newest_checkpoint

_LINES = [
    f"the {one} heron {two} the harbour\n" for one in ("grey", "old", "quiet") for two in ("left", "found", "saw")
]
_LABELS = ("calm", "wild")
_LABELLED = [(_LABELS[number % 2], f"{line.strip()} {number}") for number, line in enumerate(_LINES * 3)]
_PAIRS = [(f"one {number} two", f"uno {number} due") for number in range(24)]
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Reader:
    """What reads a folder: `files` hold a valid input, by their names in it, and `read` reads it to the end."""

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], object]


def all_readers(work: Path) -> list[Reader]:
    """Make every reader with its input; `work` is an empty folder to make them in."""
    data = [*_texts(work), *_labelled(work), *_pairs(work), *_vectors()]
    return [*data, *_tokenizers(work), *_runs(work), _checkpoint(work)]


def _texts(work: Path) -> list[Reader]:
    text = "".join(_LINES * 4).encode()
    inputs = {"text.txt": text, "text.txt.gz": gzip.compress(text, mtime=0)}
    rows = [{"id": number, "text": line.strip()} for number, line in enumerate(_LINES * 3)]
    inputs |= {f"rows{ending}": _table(work, ending, rows) for ending in _TABLES}
    inputs["rows.jsonl.gz"] = gzip.compress(inputs["rows.jsonl"], mtime=0)
    readers = [Reader(f"text {name}", {name: content}, _text_of(name)) for name, content in inputs.items()]
    splits = {f"{split}.txt": text for split in ("train", "valid", "test")}
    return [*readers, Reader("text folder", splits, _text_of("."))]


def _text_of(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        data = nl.load_text(nl.DataOptions(str(folder / name)))
        return [len(piece) for split in (data.train, data.valid, data.test) if split for piece in split]

    return read


def _labelled(work: Path) -> list[Reader]:
    rows: list[dict[str, Any]] = [{"label": label, "text": text} for label, text in _LABELLED]
    inputs = {f"rows{ending}": {f"rows{ending}": _table(work, ending, rows)} for ending in _TABLES}
    lines = "".join(f"{label}\t{text}\n" for label, text in _LABELLED)
    inputs["lines.txt"] = {"lines.txt": lines.encode()}
    inputs["fasttext.txt"] = {
        "fasttext.txt": f"__label__{lines}".replace("\n", "\n__label__")[:-9].replace("\t", " ").encode()
    }
    inputs["."] = {f"{label}/{number}.txt": text.encode() for number, (label, text) in enumerate(_LABELLED)}

    def read_of(name: str) -> Callable[[Path], object]:
        options = {"valid_fraction": 0.2, "test_fraction": 0.2}
        return lambda folder: nl.load_labelled(nl.LabelledOptions(str(folder / name), **options)).splits

    return [
        Reader(f"labelled {name if name != '.' else 'folder'}", files, read_of(name)) for name, files in inputs.items()
    ]


def _pairs(work: Path) -> list[Reader]:
    rows: list[dict[str, Any]] = [{"en": source, "it": target} for source, target in _PAIRS]
    inputs = {f"rows{ending}": {f"rows{ending}": _table(work, ending, rows)} for ending in _TABLES}
    inputs["translation.jsonl"] = {"translation.jsonl": _table(work, ".jsonl", [{"translation": row} for row in rows])}
    sides = {side: "".join(f"{row[side]}\n" for row in rows).encode() for side in ("en", "it")}
    inputs["."] = {"train.en": sides["en"], "train.it.gz": gzip.compress(sides["it"], mtime=0)}

    def read_of(name: str) -> Callable[[Path], object]:
        languages = {"source": "en", "target": "it", "valid_fraction": 0.1, "test_fraction": 0.1}
        return lambda folder: nl.load_pairs(nl.PairOptions(str(folder / name), **languages)).splits

    return [
        Reader(f"pairs {name if name != '.' else 'folder'}", files, read_of(name)) for name, files in inputs.items()
    ]


def _vectors() -> list[Reader]:
    words = sorted({word for line in _LINES for word in line.split()})
    lines = "".join(f"{word} {number}.5 -{number}e-1 0.25\n" for number, word in enumerate(words)).encode()
    fasttext = f"{len(words)} 3\n".encode() + lines.replace(b"\n", b" \n")
    inputs = {"glove.txt": lines, "glove.txt.gz": gzip.compress(lines, mtime=0), "fasttext.vec": fasttext}

    def read_of(name: str) -> Callable[[Path], object]:
        return lambda folder: load_word_vectors(torch.nn.Parameter(torch.zeros(len(words), 3)), words, folder / name)

    return [Reader(f"vectors {name}", {name: content}, read_of(name)) for name, content in inputs.items()]


def _table(work: Path, ending: str, rows: list[dict[str, Any]]) -> bytes:
    if ending == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if ending == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), work / "table.parquet", row_group_size=16)
        return (work / "table.parquet").read_bytes()
    separator = "," if ending == ".csv" else "\t"
    return "".join(
        separator.join(map(str, line)) + "\n" for line in [list(rows[0]), *(row.values() for row in rows)]
    ).encode()


def _tokenizers(work: Path) -> list[Reader]:
    sizes = {"bpe": 290, "sentencepiece-unigram": 300, "sentencepiece-bpe": 300}
    names = ("character", "byte", "word", *sizes)
    readers = []
    for name in names:
        nl.train_tokenizer(name, _LINES, sizes.get(name)).save(work / name)
        readers.append(Reader(f"tokenizer {name}", _files_of(work / name), _use_tokenizer))
    return readers


def _use_tokenizer(folder: Path) -> object:
    tokenizer = nl.load_tokenizer(folder)
    ids = tokenizer.encode("The grey heron, caf\u00e9 \U0001f41f\n left")
    return tokenizer.decode(ids), [tokenizer.id_to_token(one) for one in ids]


def _runs(work: Path) -> list[Reader]:
    torch.manual_seed(0)
    words, characters = nl.train_tokenizer("word", _LINES), nl.train_tokenizer("character", _LINES)
    shape = {"embedding_size": 3, "hidden_size": 4, "num_layers": 2}
    about = {"recipe": "char_lm", "seed": 3, "cache": {"size": 5, "weight": 0.1, "sharpness": 0.3}}
    about["data"] = {"data": "pydoc", "valid_fraction": 0.1}
    for name, tied in (("language model", False), ("tied language model", True)):
        model = nl.LanguageModel(characters.vocab_size, nl.LanguageModelOptions(**shape, tied=tied))
        nl.LanguageModeling(model, characters, about).save(work / name)
    shape["num_layers"] = 1
    nl.Classification.build(words, _LABELS, nl.ClassifierOptions(**shape), about).save(work / "classifier")
    sizes = {"embedding_size": 3, "encoder_size": 2, "decoder_size": 4}
    options = nl.EncoderDecoderOptions(**sizes, shared=False)
    translator = nl.EncoderDecoder(words.vocab_size, characters.vocab_size, options)
    nl.Translation(translator, words, characters, about).save(work / "translator")
    summarizer = nl.EncoderDecoder(words.vocab_size, words.vocab_size, nl.EncoderDecoderOptions(**sizes, copy=True))
    nl.Summarization(summarizer, words, words, about, source_words=7).save(work / "summarizer")
    names = ("language model", "tied language model", "classifier", "translator", "summarizer")
    return [
        Reader(f"run {name}", _files_of(work / name), lambda folder: nl.load(folder, device="cpu")) for name in names
    ]


def _checkpoint(work: Path) -> Reader:
    state = {
        "numbers": {"step": 1, "best": 0.5},
        "weights": [torch.arange(12.0)],
        "data": "0",
        "carry": (torch.ones(2),),
    }
    folder = work / "run" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "step-000000001.pt")
    return Reader("checkpoint", _files_of(folder.parent), newest_checkpoint)


def _files_of(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Write an input into an empty folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


Mutate = Callable[[str, bytes, random.Random, bytes], bytes]


def write_damaged(reader: Reader, folder: Path, chance: random.Random, mutate: Mutate) -> Path:
    """Write the input of a reader into a folder, with one file damaged, or seldom two; return the last one's path."""
    files = dict(reader.files)
    names = list(files)
    name = names[0]
    for _ in range(chance.choice((1, 1, 1, 1, 2))):
        name = chance.choice(names)
        other = files[chance.choice(names)]
        files[name] = mutate(name, files[name], chance, other)
    write_files(files, folder)
    return folder / name
