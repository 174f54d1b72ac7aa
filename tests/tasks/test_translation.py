"""Translation as a user holds it: order, blank and long lines, unknown words, alignments, ensembles, scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.data import PairOptions, PairSplit, load_pairs
from nlp_lstm.decoding import BeamOptions, Hypothesis, SamplingOptions
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks import Search, Translation, train_tokenizers
from nlp_lstm.tasks import _translation_search as search_module
from nlp_lstm.tasks._translation_conditions import required_phrase
from nlp_lstm.tasks._translation_text import (
    clean,
    control_characters,
    cut_to_fit,
    token_texts,
    words_of_source,
    words_of_target,
)
from nlp_lstm.tokenization import Tokenizer, train_tokenizer

NUMBERS = "one two three four five six seven eight nine ten"
WORDS = NUMBERS.split()
TOKENIZERS = ["word", "bpe", "character", "byte", "sentencepiece-unigram", "sentencepiece-bpe"]
GREEDY = BeamOptions(beam_size=1, max_length=12)


def pairs(count: int = 40) -> PairSplit:
    """Sentences of number words, and the same words backwards."""
    sources = [" ".join(WORDS[(place * step) % 10] for step in range(1, 3 + place % 5)) for place in range(count)]
    return PairSplit("train", sources, [" ".join(reversed(source.split())) for source in sources])


def build(tokenizer: str = "word", shared: bool = True, seed: int = 0, **options: Any) -> Translation:
    size = {"bpe": 280, "sentencepiece-unigram": 290, "sentencepiece-bpe": 290}.get(tokenizer)
    source, target = train_tokenizers(tokenizer, pairs(), size, shared)
    torch.manual_seed(seed)
    sizes = {"embedding_size": 8, "encoder_size": 6, "decoder_size": 12, "shared": shared}
    model = EncoderDecoder(source.vocab_size, target.vocab_size, EncoderDecoderOptions(**{**sizes, **options}))
    with torch.no_grad():
        model.output.weight.mul_(8)  # an untrained model's choices are clear then, and rounding does not change them
    return Translation(model.eval(), source, target, {"recipe": "translation", "seed": seed})


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("shared", [True, False])
def test_one_text_gives_one_translation_in_order(tokenizer: str, shared: bool) -> None:
    task = build(tokenizer, shared)
    texts = ["one two three", "", "ten", " \t ", "four five six seven eight nine", "one two three", "日本 ünknown"]
    together = task.translate(texts, GREEDY)
    assert [together[1], together[3]] == ["", ""]
    assert together[0] == together[5]
    for text, translation in zip(texts, together, strict=True):
        assert task.translate([text], GREEDY) == [translation]
    assert task.translate([]) == []


@torch.no_grad()
def test_greedy_translation_follows_the_likeliest_token() -> None:
    task = build()
    (found,) = task.translate_n_best(["one two three"], GREEDY)
    ids = torch.tensor([[*task.source_tokenizer.encode("one two three"), 3]])
    state = task.model.start(task.model.encode(ids, torch.tensor([4])))
    token, written, nats = torch.tensor([2]), [], 0.0
    for _ in range(12):
        logits, state = task.model.step(token, state)
        logits[:, [0, 2]] = -math.inf  # padding and the beginning are never written
        log_probabilities = logits.log_softmax(dim=-1)
        token = log_probabilities.argmax(dim=-1)
        nats += float(log_probabilities[0, token])
        if int(token) == 3:
            break
        written.append(int(token))
    decoded = [word for word in task.target_tokenizer.decode(written).split() if word != "<unk>"]
    assert [word for word in found[0].target_words if word != "<unk>"] == decoded
    if int(token) == 3:
        assert found[0].log_probability == pytest.approx(nats, abs=0.05)


def test_batches_hold_texts_of_similar_length() -> None:
    lengths = [5, 9000, 7, 6, 8000, 5, 9000]
    grouped = list(search_module.batches(lengths, 2))
    assert sorted(place for group in grouped for place in group) == list(range(7))
    assert grouped == [[0, 5, 3, 2], [4], [1], [6]]
    assert list(search_module.batches([], 3)) == []


def test_the_size_of_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task, texts = build(), pairs(30).sources
    whole = task.translate(texts)
    monkeypatch.setattr(search_module, "_TOKENS_AT_ONCE", 1)
    assert task.translate(texts) == whole


def test_a_string_is_no_list_of_texts() -> None:
    with pytest.raises(UsageError, match=r"use \[text\]"):
        build().translate("one two")


def test_a_long_text_is_translated_in_parts_and_nothing_of_it_is_lost() -> None:
    task = build()
    text = " ".join(WORDS * 1000)
    (found,) = task.translate_n_best([text], GREEDY)
    assert found[0].parts > 10_000 / 100
    assert found[0].source_words == text.split()
    assert len(found[0].attention) == len(found[0].target_words)
    assert all(len(row) == 10_000 for row in found[0].attention)
    parts = cut_to_fit(text, task._fits)
    assert found[0].text.split() == [word for part in task.translate(parts, GREEDY) for word in part.split()]
    last = found[0].alignment[-1]
    assert 10_000 - len(parts[-1].split()) <= last[0] < 10_000


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("aaaa bbb. cccc dddd", ["aaaa bbb.", "cccc dddd"]),
        ("aaaa, bbb cccc dddd", ["aaaa,", "bbb cccc dddd"]),
        ("aaaa bbbb cccc ddd", ["aaaa bbbb", "cccc ddd"]),
        ("aaaaaaaaaaaaaaaaaa", ["aaaaaaaaa", "aaaaaaaaa"]),
        ("  short  ", ["short"]),
        ("   ", []),
    ],
)
def test_texts_are_cut_where_it_hurts_least(text: str, parts: list[str]) -> None:
    assert cut_to_fit(text, lambda part: len(part) < 16) == parts


def test_no_text_is_too_short_to_be_cut_for_ever() -> None:
    assert cut_to_fit("abc", lambda part: False) == ["a", "b", "c"]


def test_control_characters_and_surrogates_are_replaced() -> None:
    assert clean("a\x00b\tc\u2028d\ud800e é") == "a b c d\N{REPLACEMENT CHARACTER}e é"
    assert control_characters("a\x00b\tc\u2028d\ud800e é\x1b") == 2  # what is white space anyway does not count
    assert control_characters("plain é") == 0
    task = build()
    assert task.translate(["one\x1btwo\nthree"], GREEDY) == task.translate(["one two three"], GREEDY)
    assert len(task.translate(["\ud800"], GREEDY)) == 1


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_tokens_are_counted_to_their_words(tokenizer: str) -> None:
    texts = ["one two, three", "ten", "seven  eight"]
    trained = train_tokenizer(tokenizer, [*texts, *pairs().sources], 300 if "sentence" in tokenizer else None)
    for text in texts:
        source = words_of_source(trained, text)
        assert source.words == text.split()
        assert source.ids == trained.encode(text)
        target = words_of_target(trained, source.ids)
        assert " ".join(target.words) == " ".join(trained.decode(source.ids).split())
        for number, word in enumerate(target.words):
            own = [one for one, its in zip(target.ids, target.numbers, strict=True) if its == number]
            assert trained.decode(own).strip() == word
    assert words_of_target(trained, []) == ([], [], [])


class _Fixed:
    """In the place of a search: writes the source's ids, and attends to one place for each."""

    def __init__(self, places: list[int]) -> None:
        self.places = places

    def __call__(self, *arguments: Any) -> Any:
        return self

    def search(self, texts: list[Any], search: Search) -> list[list[Hypothesis]]:
        results = []
        for text in texts:
            attention = torch.zeros(len(self.places), len(text.ids) + 1)
            attention[torch.arange(len(self.places)), torch.tensor(self.places)] = 1.0
            ids = [text.ids[place] for place in self.places]
            results.append([Hypothesis(ids, -1.0, -2.0, attention)])
        return results


def test_unknown_words_are_put_back_by_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlp_lstm.tasks._translation.Translator", _Fixed([2, 1, 0]))
    (found,) = build("word").translate_n_best(["Zürich two Genève"])
    assert found[0].text == "Genève two Zürich"
    assert found[0].target_words == ["<unk>", "two", "<unk>"]
    assert found[0].alignment == [(2, 0), (1, 1), (0, 2)]


def test_a_token_knows_its_part_of_the_text() -> None:
    tokenizer = train_tokenizer("word", ["one two , ( )"])
    source = words_of_source(tokenizer, "(Zürich, two one)")
    assert token_texts(tokenizer, source) == ["(", "Zürich", ",", "two", "one", ")"]


def test_n_best_come_ranked_and_differ() -> None:
    (found,) = build().translate_n_best(["one two three"], BeamOptions(beam_size=6, n_best=4, max_length=6))
    assert len(found) == 4
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({one.log_probability for one in found}) == 4


def test_prefixes_and_required_words_are_kept() -> None:
    task = build()
    search = Search(BeamOptions(beam_size=8, max_length=6), prefix="two", required=("nine ten",))
    for found in task.translate_n_best(["one two three", "seven"], search=search):
        assert found[0].text.startswith("two")
        assert "nine ten" in found[0].text


def test_what_the_vocabulary_lacks_cannot_be_asked_for() -> None:
    task = build("word")
    for flag, search in (
        ("--required", Search(BeamOptions(), required=("two", "one Zürich"))),
        ("--prefix", Search(BeamOptions(), prefix="one Zürich")),
    ):
        with pytest.raises(UsageError, match=rf"{flag} 'one Zürich' cannot be written: .* lacks 'Zürich'\. Name words"):
            task.translate_n_best(["one"], search=search)


def test_a_phrase_is_required_in_every_way_that_it_can_stand_inside_a_sentence() -> None:
    texts = [*pairs().sources, "one two, three. ten"]
    asked = {"one two, three": ",", "two. three": ".", "日本語。": "語", "one two": "two"}
    tried = set()
    for name in TOKENIZERS:
        tokenizer = train_tokenizer(name, texts, {"bpe": 280}.get(name, 300 if "sentence" in name else None))
        for text, phrase in asked.items():
            ids = tokenizer.encode(text)
            if tokenizer.unk_id not in ids:
                ways = required_phrase(tokenizer, phrase).ways
                assert any(tuple(ids[at : at + len(way)]) == way for way in ways for at in range(len(ids))), (
                    name,
                    text,
                )
                tried.add((name, phrase))
    assert tried >= {("bpe", "語"), ("byte", "語"), ("word", "."), ("character", ","), ("sentencepiece-bpe", "two")}
    bpe = train_tokenizer("bpe", texts, 280)
    assert required_phrase(bpe, " two ").ways == (tuple(bpe.encode(" two")),)  # a word does not begin inside another


@pytest.mark.parametrize("tokenizer", ["bpe", "character", "word"])
def test_required_punctuation_is_met(tokenizer: str) -> None:
    source, target = train_tokenizers(tokenizer, PairSplit("train", ["one two.", "ten."], ["two one.", "ten."]))
    torch.manual_seed(0)
    options = EncoderDecoderOptions(embedding_size=8, encoder_size=6, decoder_size=12)
    task = Translation(EncoderDecoder(source.vocab_size, target.vocab_size, options).eval(), source, target)
    search = Search(BeamOptions(beam_size=6, max_length=6), required=(".",))
    assert "." in task.translate_n_best(["one two"], search=search)[0][0].text


def test_a_line_in_parts_meets_the_conditions_as_a_whole() -> None:
    task, text = build(), " ".join(WORDS * 30)
    options = BeamOptions(beam_size=6, max_length=12)
    (plain,) = task.translate_n_best([text], options)
    search = Search(options, prefix="two", required=("nine ten",))
    (found,) = task.translate_n_best([text], search=search)
    assert found[0].parts == plain[0].parts > 2
    assert found[0].text.startswith("two")
    first = cut_to_fit(text, task._fits)[0]
    assert found[0].text.startswith(task.translate_n_best([first], search=search)[0][0].text)
    # The other parts are asked for nothing: they are what they are without conditions.
    rest = task.translate(cut_to_fit(text, task._fits)[1:], options)
    assert found[0].text.endswith(" ".join(part for part in rest if part))
    least = Search(BeamOptions(beam_size=1, min_length=31, max_length=31), required=())
    written = task.translate_n_best([text], search=least)[0][0].target_words
    share = -(-31 // plain[0].parts)
    assert len(written) >= 31
    (other,) = task.translate_n_best([first], search=Search(BeamOptions(beam_size=1, min_length=share, max_length=31)))
    assert written[: len(other[0].target_words)] == other[0].target_words


def test_translations_are_as_long_as_those_of_training() -> None:
    task = build()
    with torch.no_grad():
        task.model.output.bias[3] = -1e9  # it never ends by itself
    lengths = lambda **options: [  # noqa: E731
        (len(one[0].target_words), one[0].cut)
        for one in task.translate_n_best(["one", "one two three"], BeamOptions(beam_size=1, **options))
    ]
    assert lengths() == [(14, True), (18, True)]  # nothing is known: twice the tokens, the end among them, and 10
    task.learn_lengths([(2, 7), (3, 9)])
    assert task.limits.target_ratio == 1.0
    assert task.limits.longest_source == 100
    assert lengths() == [(12, True), (14, True)]
    task.learn_lengths([(2, 5), (4, 40), (160, 50)])
    assert (
        task.limits.target_ratio == 7.0
    )  # 40 count the beginning and the end of the target, and 10 are always granted
    assert (task.limits.longest_source, task.limits.longest_target) == (160, 48)
    assert lengths() == [(24, True), (38, True)]
    assert lengths(max_length=50) == [(50, True), (50, True)]
    assert lengths(max_length_ratio=3.0) == [(16, True), (22, True)]
    task.learn_lengths([(1, 10**7), (10**7, 3)])
    assert (task.limits.target_ratio, task.limits.longest_source, task.limits.longest_target) == (1000.0, 10**6, 10**6)
    assert task._limited(Search()).options.max_length == 10**6


def test_one_odd_pair_does_not_let_long_texts_run_on() -> None:
    task = build()
    with torch.no_grad():
        task.model.output.bias[3] = -1e9  # it never ends by itself
    task.learn_lengths(
        [(2, 62), (60, 50)]
    )  # 60 tokens for one word and the end: 25 times as many, less what is granted
    assert (task.limits.target_ratio, task.limits.longest_target) == (25.0, 60)
    greedy = BeamOptions(beam_size=1)
    found = task.translate_n_best(["one", " ".join(WORDS)], greedy)
    assert [len(one[0].target_words) for one in found] == [60, 70]
    (least,) = task.translate_n_best(["one two three"], BeamOptions(beam_size=1, min_length=75))
    assert len(least[0].target_words) == 75


def test_words_and_attention_are_found_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nobody asked")

    task = build("character")
    with monkeypatch.context() as patched:
        patched.setattr("nlp_lstm.tasks._translation_text.words_of_target", refuse)
        patched.setattr("nlp_lstm.tasks._translation_text.attention_between_words", refuse)
        (found,) = task.translate_n_best(["one two"], GREEDY)
    assert found[0].source_words == ["one", "two"]
    assert len(found[0].attention) == len(found[0].target_words)
    assert all(len(row) == 2 for row in found[0].attention)


def test_conditions_that_nothing_meets_leave_an_empty_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "beam_search", lambda *_, **__: [[]])
    ((found,),) = build().translate_n_best(["one two"])
    assert (found.text, found.score, found.alignment) == ("", -math.inf, [])


def test_a_long_text_whose_conditions_fail_in_one_part_is_left_empty_as_a_whole() -> None:
    task, text = build(), " ".join(WORDS * 30)
    options = BeamOptions(beam_size=3, max_length=6, no_repeat_ngram_size=1, n_best=2)
    (found,) = task.translate_n_best([text], search=Search(options, required=("two two",)))
    assert [(one.text, one.score, one.log_probability, one.cut) for one in found] == [("", -math.inf, -math.inf, False)]
    assert found[0].parts > 2
    assert found[0].source_words == text.split()
    assert (found[0].target_words, found[0].attention, found[0].alignment) == ([], [], [])
    assert task.translate([text], options) != [""]


def test_what_is_drawn_for_a_text_does_not_depend_on_those_beside_it() -> None:
    task, options = build(), BeamOptions(n_best=2, max_length=6)
    texts = ["one two three", "", "four", "one two three", " ".join(WORDS * 15), "seven eight nine ten"]
    draw = lambda texts, seed: [  # noqa: E731
        [one.text for one in found]
        for found in task.translate_n_best(texts, search=Search(options, SamplingOptions(), seed))
    ]
    together = draw(texts, 3)
    assert [draw([text], 3 + place)[0] for place, text in enumerate(texts)] == together
    assert draw(texts[:2], 3) + draw(texts[2:], 5) == together
    assert together[0] != together[3]
    assert len(draw(["one"], 10**30)) == 1
    (parts,) = draw([" ".join(["one two"] * 128)], 0)
    written = parts[0].split()
    assert written != written[: len(written) // 4] * 4, "parts that are equal are drawn alike"


def test_sampling_repeats_with_its_seed_and_needs_no_beam() -> None:
    task, texts = build(), ["one two three", "four"]
    options = BeamOptions(n_best=3, max_length=6)
    first, again, other = (
        task.translate_n_best(texts, search=Search(options, SamplingOptions(), seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert [len(found) for found in first] == [3, 3]
    unseeded = [task.translate_n_best(texts, search=Search(options, SamplingOptions())) for _ in range(4)]
    assert any(one != unseeded[0] for one in unseeded[1:])
    with pytest.raises(UsageError, match="Required words need a beam search"):
        Search(options, SamplingOptions(), required=("one",))


@torch.no_grad()
def test_an_ensemble_averages_probabilities() -> None:
    tasks, text = [build(seed=seed) for seed in (1, 2)], "one two three"
    (found,) = tasks[0].ensemble(tasks[1]).translate_n_best([text], BeamOptions(beam_size=4, max_length=6))
    ids = torch.tensor([[*tasks[0].source_tokenizer.encode(text), 3]])
    states = [task.model.start(task.model.encode(ids, torch.tensor([4]))) for task in tasks]
    target = tasks[0].target_tokenizer
    total = 0.0
    unknown_free = [word for word in found[0].target_words if word != "<unk>"]
    assert unknown_free == found[0].target_words, "choose another seed: the sentence must be encodable"
    for read, written in zip([2, *target.encode(found[0].text)], [*target.encode(found[0].text), 3], strict=True):
        shares = []
        for number, task in enumerate(tasks):
            logits, states[number] = task.model.step(torch.tensor([read]), states[number])
            shares.append(logits.softmax(dim=-1)[0, written])
        total += math.log(float(sum(shares)) / 2)
    assert found[0].log_probability == pytest.approx(total, rel=1e-4)


def test_an_ensemble_of_one_is_the_run_itself_and_of_strangers_is_refused() -> None:
    task = build()
    assert task.ensemble().translate(["one two"], GREEDY) == task.translate(["one two"], GREEDY)
    with pytest.raises(UsageError, match="different tokenizers cannot be averaged"):
        task.ensemble(build("character"))


def test_model_and_tokenizers_must_be_of_one_run() -> None:
    task, other = build(), train_tokenizer("byte", ["x"])
    with pytest.raises(UsageError, match="must come from one run"):
        Translation(task.model, task.source_tokenizer, other)


def test_sides_without_a_common_token_cannot_share() -> None:
    with pytest.raises(UsageError, match=r"no token in common, so nothing can be shared. Give --shared false"):
        train_tokenizers("word", PairSplit("train", ["uno due"], ["один два"]))


@pytest.fixture
def parallel_files(tmp_path: Path) -> PairOptions:
    for split, count in (("train", 30), ("test", 12)):
        both = pairs(count)
        (tmp_path / f"{split}.xx").write_text("\n".join(both.sources) + "\n", encoding="utf-8")
        (tmp_path / f"{split}.yy").write_text("\n".join(both.targets) + "\n", encoding="utf-8")
    return PairOptions(str(tmp_path), source="xx", target="yy")


def test_evaluation_scores_the_outputs(parallel_files: PairOptions) -> None:
    task = build()
    task.config["data"] = {"data": parallel_files.data, "source": "xx", "target": "yy"}
    sources, translations, references = task.outputs()
    assert (sources, references) == (pairs(12).sources, pairs(12).targets)
    assert translations == task.translate(sources)
    scores = task.evaluate()
    known = load_pairs(parallel_files).split("train").targets
    assert scores.by_frequency == task.evaluate(parallel_files, "test", known).by_frequency != ()
    assert task.evaluate(parallel_files, "test").by_frequency == ()  # what a run was trained on is not all data's
    assert task.evaluate(training_text=[]).by_frequency == ()
    named = {score.name: score.value for score in scores.scores}
    exact = sum(one == other for one, other in zip(translations, references, strict=True)) / 12
    assert named["exact_match"] == exact
    assert (
        scores.to_json() | {"by_frequency": []}
        == task.evaluate(parallel_files, "test").to_json()
        == task.score(PairSplit("test", sources, references)).to_json()
    )


def test_a_run_without_its_data_says_so() -> None:
    with pytest.raises(DataError, match="Name some with --data"):
        build().evaluate()


def test_a_sample_shows_source_translation_and_reference() -> None:
    task, split = build(), pairs(9)
    shown = task.sample(split).split("\n\n")
    assert len(shown) == 3
    assert shown[1].splitlines()[0] == f"source      {split.sources[3]}"
    assert shown[2].splitlines()[2] == f"reference   {split.targets[6]}"


def test_tokenizers_of_both_sides(tmp_path: Path) -> None:
    split = PairSplit("train", ["aa bb"], ["cc dd"])
    source, target = train_tokenizers("word", split, shared=False)
    assert source.unk_id in source.encode("cc")
    assert target.unk_id in target.encode("aa")
    both: tuple[Tokenizer, Tokenizer] = train_tokenizers("word", pairs(), shared=True)
    assert both[0] is both[1]
