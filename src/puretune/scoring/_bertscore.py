"""BERTScore (Zhang et al., arXiv 1904.09675) through its authors' library, ``bert-score``.

Numbers compare only under one encoder and one of its layers: both are in every verdict, with the encoder's
revision and the digest of its files. No rescaling, no idf weights: the library's defaults.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from puretune.data import Example
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Answer
from puretune.models import (
    ModelSpec,
    fingerprint,
    free_memory,
    load_tokenizer,
    quiet,
    reading,
    resolve_model_path,
    resolved_device,
)
from puretune.scoring._metric import Metric
from puretune.scoring._types import TextScorer, Verdict
from puretune.scoring.local._stand_in import stand_in_reason
from puretune.store import key_of

_LAYERS = {
    "roberta-large": 17,
    "FacebookAI/roberta-large": 17,
    "bert-base-uncased": 9,
    "google-bert/bert-base-uncased": 9,
}
"""Layers that the authors chose by correlation with people's ratings (their ``model2layers``)."""
ENCODER = ModelSpec("FacebookAI/roberta-large")
"""The library's default encoder for English."""
_CHARACTERS_PER_TOKEN = 64


class BertScore(TextScorer):
    """F1 of matched token embeddings between an answer and its reference, as ``bertscore_f1``.

    ``encoder``: a hub id or a directory with safetensors weights; ``layer``: the hidden layer that is
    compared (None: the authors' choice, known for a few encoders). An empty answer scores 0 and is
    ``empty``. Texts longer than the encoder's context are cut at its end, and ``raw`` says so. A value below
    0, which only meaningless encoders give, is shown as 0; ``raw`` keeps precision, recall and F1 as they
    are.

    EnvironmentFault if the library is missing; InputError for an example without a reference.
    """

    metrics: tuple[Metric, ...] = (Metric("bertscore_f1", "BERTScore F1", "help", graded=True),)

    def __init__(self, encoder: ModelSpec = ENCODER, layer: int | None = None, batch_size: int = 32) -> None:
        self.encoder = encoder
        self.batch_size = batch_size
        self.layer = layer or _layer_of(encoder)
        try:
            self.fingerprint = fingerprint(encoder)
            self.stand_in = stand_in_reason(encoder)
        except (InputError, EnvironmentFault) as error:
            raise type(error)(f"BERTScore's encoder: {error}") from error
        self.name = "bertscore (stand-in)" if self.stand_in else "bertscore"
        self.version = key_of({"bertscore": 1, "encoder": self.fingerprint, "layer": self.layer})[:16]

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item, in order."""
        references = [_reference(example) for example, _ in items]
        said = [place for place, (_, answer) in enumerate(items) if answer.text.strip()]
        found = self._scores([(items[p][1].text, references[p]) for p in said]) if said else []
        by_place = dict(zip(said, found, strict=True))
        return [self._verdict(by_place.get(place)) for place in range(len(items))]

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> list[_Score]:
        clean = [tuple(_shortened(text, self._loaded.limit) for text in pair) for pair in pairs]
        scores = self._loaded.scores([p[0] for p in clean], [p[1] for p in clean], self.batch_size)
        return [
            _Score(precision, recall, f1, cut=any(map(self._loaded.is_cut, pair)))
            for (precision, recall, f1), pair in zip(scores, clean, strict=True)
        ]

    def _verdict(self, score: _Score | None) -> Verdict:
        raw: dict[str, Any] = {
            "encoder": self.encoder.model,
            "revision": self.encoder.revision,
            "files": self.fingerprint,
            "layer": self.layer,
        }
        if self.stand_in:
            raw["stand_in"] = self.stand_in
        if score is None:
            return Verdict(self.name, {"bertscore_f1": 0.0}, "empty", raw=raw)
        if not math.isfinite(score.f1):
            return Verdict(self.name, {"bertscore_f1": None}, parse="unparsed", raw=raw)
        raw |= {"precision": score.precision, "recall": score.recall, "f1": score.f1, "cut": score.cut}
        return Verdict(self.name, {"bertscore_f1": min(max(score.f1, 0.0), 1.0)}, raw=raw)

    def release(self) -> None:
        """Let the encoder go; it is loaded again when it is needed."""
        if self.__dict__.pop("_loaded", None) is not None:
            free_memory()

    @cached_property
    def _loaded(self) -> _Encoder:
        return _load(self.encoder, self.layer)


@dataclass(frozen=True)
class _Score:
    precision: float
    recall: float
    f1: float
    cut: bool


@dataclass(frozen=True)
class _Encoder:
    model: Any
    tokenizer: Any
    limit: int
    """Longest text in tokens, special ones included."""

    def scores(self, answers: list[str], references: list[str], batch_size: int) -> list[list[float]]:
        """Precision, recall, F1 per pair."""
        from collections import defaultdict

        from bert_score.utils import bert_cos_score_idf

        weights: defaultdict[int, float] = defaultdict(lambda: 1.0)
        weights[self.tokenizer.sep_token_id] = weights[self.tokenizer.cls_token_id] = 0.0
        found = bert_cos_score_idf(
            self.model,
            references,
            answers,
            self.tokenizer,
            weights,
            device=self.model.device,
            batch_size=batch_size,
        )
        rows: list[list[float]] = found.cpu().tolist()
        return rows

    def is_cut(self, text: str) -> bool:
        return len(self.tokenizer(text, truncation=False)["input_ids"]) > self.limit


def _load(spec: ModelSpec, layer: int) -> _Encoder:
    try:
        import bert_score  # noqa: F401
    except ImportError as error:
        raise EnvironmentFault(
            "BERTScore needs the bert-score library. Install it (pip install 'puretune[bertscore]')."
        ) from error
    from transformers import AutoModel

    from puretune.models import check_loaded

    path = resolve_model_path(spec)
    with quiet(), reading(path, "model"):
        model, info = AutoModel.from_pretrained(
            str(path), use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    # an encoder's files also hold heads, and not always the pooler; nothing of these is used
    check_loaded(path, model, {**info, "unexpected_keys": ()}, ignored=("pooler.",))
    layers = getattr(getattr(model, "encoder", None), "layer", None)
    if layers is None or not 0 < layer <= len(layers):
        count = "no BERT-like stack of layers" if layers is None else f"{len(layers)} layers"
        raise InputError(f"BERTScore's encoder {spec.model!r} has {count}; layer {layer} cannot be compared.")
    model.encoder.layer = layers[:layer]
    tokenizer = load_tokenizer(spec)
    # RoBERTa numbers its positions from two; for others this gives two tokens away.
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings - 2)
    tokenizer.model_max_length = limit
    return _Encoder(model.to(resolved_device(spec)).eval().requires_grad_(False), tokenizer, limit)


def _layer_of(encoder: ModelSpec) -> int:
    if encoder.model not in _LAYERS:
        raise InputError(
            f"BERTScore's encoder {encoder.model!r}: say which hidden layer to compare (`layer`); a usual "
            f"one is known for {', '.join(_LAYERS)}."
        )
    return _LAYERS[encoder.model]


def _reference(example: Example) -> str:
    if not (example.reference or "").strip():
        raise InputError(
            f"example {example.id}: BERTScore compares with a reference answer, and it has none."
        )
    return str(example.reference)


def _shortened(text: str, limit: int) -> str:
    """Text that a tokenizer takes in little time; what is cut is beyond the encoder's context."""
    return text.encode("utf-8", "replace").decode("utf-8")[: limit * _CHARACTERS_PER_TOKEN]
