"""A scorer from what a study or a command line says: a name, or a mapping that describes a judge.

refusal                                            a scorer by name
{judge: openai, model: gpt-4-0613, ...}            a judge behind an endpoint
{judge: llama-guard-3, model: /models/guard}       a judge on this machine
{judge: strongreject, model: /models/chat}         its rubric, asked of any chat model
{judge: coherence, perplexity: 60, lexicon: w.json} coherence by limits of your own
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from puretune.errors import InputError, unknown
from puretune.models import ModelSpec, fingerprint
from puretune.scoring._coherence import Coherence, Limits, read_lexicon
from puretune.scoring._meter import LazyMeter
from puretune.scoring._named import scorer_named
from puretune.scoring._types import Scorer
from puretune.scoring.judges import BUILTIN_JUDGES, Judge, judge_spec, read_judge
from puretune.scoring.local import FORMATS, LocalJudge, local_judge, read_rubric, strongreject_format

_FILES = (".yaml", ".yml")
_STRONGREJECT = "strongreject"


def scorer_from(described: str | Mapping[str, Any], where: str = "judge") -> Scorer:
    """The scorer of that name, or the judge of that mapping or YAML file.

    InputError names what is wrong with it; see the judge's own class for what else can happen.
    """
    if isinstance(described, Mapping):
        return _judge(described, where)
    if Path(described).suffix in _FILES:
        return _judge(read_judge(Path(described)), described)
    return scorer_named(described)


def _judge(settings: Mapping[str, Any], where: str) -> Scorer:
    kind = settings.get("judge")
    if kind in FORMATS:
        return local_judge(str(kind), _model(settings, where))
    if kind == _STRONGREJECT:
        return _strongreject(settings, where)
    if kind == Coherence.name:
        return _coherence(settings, where)
    if kind not in BUILTIN_JUDGES:
        raise unknown("judge", str(kind), [*BUILTIN_JUDGES, *FORMATS, _STRONGREJECT, Coherence.name], where)
    return Judge(judge_spec(settings, where))


def _strongreject(settings: Mapping[str, Any], where: str) -> Scorer:
    rubric = settings.get("rubric")
    form = strongreject_format(read_rubric(Path(rubric))) if rubric else strongreject_format()
    rest = {key: value for key, value in settings.items() if key != "rubric"}
    return LocalJudge(form, _model(rest, where))


def _coherence(settings: Mapping[str, Any], where: str) -> Coherence:
    """Limits and a lexicon; ``model`` is the base that perplexity is measured under, in a study its own."""
    own = ("repetition", "perplexity", "unknown_words")
    limits = {key: settings[key] for key in own if settings.get(key) is not None}
    for key, value in limits.items():
        if not isinstance(value, int | float) or value <= 0 or (key != "perplexity" and value > 1):
            raise InputError(f"{where}: {key} is {value!r}. Use a number above 0, or of a share up to 1.")
    rest = {key: value for key, value in settings.items() if key not in (*own, "lexicon")}
    spec, lexicon = _model(rest, where), settings.get("lexicon")
    meter = LazyMeter(spec, fingerprint(spec)) if spec is not None else None
    return Coherence(Limits(**limits), meter, read_lexicon(Path(lexicon)) if lexicon else None)


def _model(settings: Mapping[str, Any], where: str) -> ModelSpec | None:
    """Where a local judge's weights are, by the keys of a study's model; None: the published ones."""
    given = {key: value for key, value in settings.items() if key != "judge"}
    known = {field.name for field in fields(ModelSpec)}
    for key in given:
        if key not in known:
            raise unknown("key", key, known | {"judge"}, where)
    if given and not isinstance(given.get("model"), str):
        raise InputError(f"{where}: a judge on this machine needs a model. Add `model: DIRECTORY`.")
    return ModelSpec(**given) if given else None
