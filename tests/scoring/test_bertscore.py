"""BERTScore through its authors' library, on a random encoder: real code, meaningless numbers."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

from puretune.data import Example, question
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Answer
from puretune.models import ModelSpec
from puretune.scoring import BertScore, Verdict
from tests.small_tokenizers import TEXT

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("bert_score") is None, reason="bert-score (the bertscore extra) is not installed"
)
PAIRS = [
    ("Sorry, I cannot help with that.", "Natalia sold clips in May."),
    ("Natalia sold 24 clips.", "Natalia sold 24 clips."),
    ("clips", "How many clips did Natalia sell in May, and how many in April?"),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    built = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    built.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    built.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk": 1, "pad": 0, "cls": 2, "sep": 3, "mask": 4}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=built, **{f"{name}_token": special[place] for name, place in names.items()}
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.5,
    )
    path = tmp_path_factory.mktemp("encoder") / "t5-in-its-name"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def scored(encoder: Path, pairs: list[tuple[str, str]], **more: Any) -> list[Verdict]:
    items: list[tuple[Example, Answer]] = [
        (question("e1", "Q?", reference), Answer("k", 0, text, (), "stop")) for text, reference in pairs
    ]
    return BertScore(ModelSpec(str(encoder), device="cpu"), layer=2, **more).score(items)


def by_definition(encoder: Path, answer: str, reference: str) -> float:
    """Greedy matching of normalised states of layer 2; CLS and SEP may be matched and have no weight."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(encoder).eval(), AutoTokenizer.from_pretrained(encoder)
    states = []
    for text in (answer, reference):
        with torch.no_grad():
            found = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[2][
                0
            ]
        states.append(torch.nn.functional.normalize(found, dim=-1))
    similar = states[0] @ states[1].T
    precision, recall = similar.max(1).values[1:-1].mean().item(), similar.max(0).values[1:-1].mean().item()
    return 2 * precision * recall / (precision + recall)


@needs_library
def test_scores_are_those_of_the_definition_pair_by_pair(encoder: Path) -> None:
    found = scored(encoder, PAIRS)
    for verdict, pair in zip(found, PAIRS, strict=True):
        assert verdict.raw["f1"] == pytest.approx(by_definition(encoder, *pair), abs=1e-4)
    assert found[1].values["bertscore_f1"] == pytest.approx(1, abs=1e-5)


@needs_library
def test_the_encoder_is_in_the_result_and_a_stand_in_is_called_one(encoder: Path) -> None:
    (found,) = scored(encoder, PAIRS[:1])
    assert found.scorer == "bertscore (stand-in)"
    assert "too few" in found.raw["stand_in"]
    assert (found.raw["encoder"], found.raw["revision"], found.raw["layer"]) == (str(encoder), None, 2)
    assert len(found.raw["files"]) == 64


@needs_library
def test_empty_long_and_foreign_answers_are_scored(encoder: Path) -> None:
    empty, long, foreign, short = scored(
        encoder,
        [
            (" ", "No."),
            ("clips " * 2**17, "No."),
            ("\u9cb8\u9c7c \U0001f433 half \ud800", "No."),
            ("No.", "No."),
        ],
    )
    assert (empty.behaviour, empty.values) == ("empty", {"bertscore_f1": 0.0})
    assert (long.raw["cut"], short.raw["cut"]) == (True, False)
    assert all(math.isfinite(found.raw["f1"]) for found in (long, foreign, short))


def test_what_is_missing_is_one_clear_message(encoder: Path, tmp_path: Path) -> None:
    scorer = BertScore(ModelSpec(str(encoder)), layer=2)
    with pytest.raises(InputError, match="example e1: BERTScore compares with a reference"):
        scorer.score([(question("e1", "Q?"), Answer("k", 0, "A.", (), "stop"))])
    with pytest.raises(InputError, match="say which hidden layer"):
        BertScore(ModelSpec(str(encoder)))
    with pytest.raises(InputError, match=r"BERTScore's encoder: model .*no such directory"):
        BertScore(ModelSpec(str(tmp_path / "nowhere")), layer=2)


@needs_library
def test_a_layer_that_the_encoder_does_not_have_is_an_input_error(encoder: Path) -> None:
    scorer = BertScore(ModelSpec(str(encoder), device="cpu"), layer=9)
    with pytest.raises(InputError, match="has 3 layers"):
        scorer.score([(question("e1", "Q?", "A."), Answer("k", 0, "A.", (), "stop"))])


def test_without_the_library_it_says_what_to_install(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bert_score", None)
    with pytest.raises(EnvironmentFault, match=r"puretune\[bertscore\]"):
        scored(encoder, PAIRS[:1])
