"""The tokenizer of Mistral 7B Instruct v0.2, made of the file that the package ``mistral-common`` carries.

The real vocabulary of 32,000 pieces, converted by transformers, with a chat template in the model's style; a
directory without weights.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.families import chat_template


def save_mistral(directory: Path, blank_after_special: bool = True) -> Path:
    """The tokenizer as a directory of the hub; ``blank_after_special`` as the model's own files have it."""
    import mistral_common
    from transformers import PreTrainedTokenizerFast

    carried = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(carried, blank_after_special),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=chat_template("mistral"),
    )
    tokenizer.save_pretrained(directory)
    return directory


@cache
def _converted(carried: Path) -> str:
    """transformers' conversion, with the merges by the pieces' scores, as in the hub's files.

    By itself version 5 orders them by id, which is another tokenizer for runs of blanks.
    """
    from sentencepiece import SentencePieceProcessor
    from transformers import LlamaTokenizer
    from transformers.convert_slow_tokenizer import generate_merges

    pieces = SentencePieceProcessor(str(carried))
    vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    merges = generate_merges(vocabulary, {piece: pieces.get_score(i) for piece, i in vocabulary.items()})
    return str(LlamaTokenizer(vocab=vocabulary, merges=merges).backend_tokenizer.to_str())


def _tokenizer(carried: Path, blank_after_special: bool) -> Any:
    from tokenizers import Tokenizer, pre_tokenizers, processors

    tokenizer = Tokenizer.from_str(_converted(carried))
    scheme = "always" if blank_after_special else "first"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


@pytest.fixture(scope="session")
def mistral_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_mistral(tmp_path_factory.mktemp("mistral") / "Mistral-7B-Instruct-v0.2")


@pytest.fixture(scope="session")
def mistral(mistral_path: Path) -> Any:
    """The loaded tokenizer."""
    from puretune.models import ModelSpec, load_tokenizer

    return load_tokenizer(ModelSpec(str(mistral_path)))
