"""A scorer from what a study or a command line says: a name, or a mapping that describes a judge.

refusal                                            a scorer by name
{judge: openai, model: gpt-4-0613, ...}            a judge behind an endpoint
{judge: llama-guard-3, model: /models/guard}       a judge on this machine
{judge: strongreject, model: /models/chat}         its rubric, asked of any chat model
{judge: coherence, perplexity: 60, lexicon: w.json} coherence by your own limits
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puretune.endpoints import check_name, check_range
from puretune.errors import InputError, unknown
from puretune.files import checked_path, kind_of
from puretune.models import ModelSpec, fingerprint
from puretune.options import validated
from puretune.scoring._coherence import Coherence, Limits, read_lexicon
from puretune.scoring._perplexity import LazyMeter
from puretune.scoring._registry import scorer_named
from puretune.scoring._types import Scorer
from puretune.scoring.judges import BUILTIN_JUDGES, Judge, judge_spec, read_judge
from puretune.scoring.local import FORMATS, LocalJudge, local_judge, read_rubric, strongreject_format
from puretune.visible import visible

_FILES = (".yaml", ".yml")
_STRONGREJECT = "strongreject"


def scorer_from(described: str | Mapping[str, Any], where: str = "judge") -> Scorer:
    """The scorer of that name, or the judge of that mapping or YAML file.

    InputError, opening with ``where`` or the file, names what is wrong with it; see the judge's own class for
    what else can happen.
    """
    if isinstance(described, Mapping):
        return _judge(described, where)
    if Path(described).suffix in _FILES:
        return _judge(read_judge(Path(described)), visible(described))
    return scorer_named(described)


def _judge(settings: Mapping[str, Any], where: str) -> Scorer:
    try:
        return _of_kind(settings.get("judge"), settings, where)
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(where) else f"{where}: {message}") from error


def _of_kind(kind: object, settings: Mapping[str, Any], where: str) -> Scorer:
    if not isinstance(kind, str):
        raise InputError(
            f"the key `judge` names a kind of judge, for example `openai`; it is {kind_of(kind)}."
        )
    if kind in FORMATS:
        return local_judge(kind, _model(settings, where), name=_name(settings))
    if kind == _STRONGREJECT:
        return _strongreject(settings, where)
    if kind == Coherence.name:
        return _coherence(settings, where)
    if kind not in BUILTIN_JUDGES:
        raise unknown("judge", kind, [*BUILTIN_JUDGES, *FORMATS, _STRONGREJECT, Coherence.name])
    return Judge(judge_spec(settings, where))


def _strongreject(settings: Mapping[str, Any], where: str) -> Scorer:
    rubric = _path(settings, "rubric")
    form = strongreject_format(read_rubric(rubric)) if rubric else strongreject_format()
    rest = {key: value for key, value in settings.items() if key != "rubric"}
    return LocalJudge(form, _model(rest, where), name=_name(settings))


def _coherence(settings: Mapping[str, Any], where: str) -> Coherence:
    """Limits and a lexicon; ``model`` is the base that perplexity is measured under, in a study its own."""
    limits = {key: settings[key] for key in _SHARES if settings.get(key) is not None}
    for key, value in limits.items():
        check_range(key, value, *_SHARES[key])
    rest = {key: value for key, value in settings.items() if key not in (*_SHARES, "lexicon", "name")}
    spec, lexicon = _model(rest, where), _path(settings, "lexicon")
    meter = LazyMeter(spec, fingerprint(spec)) if spec is not None else None
    return Coherence(Limits(**limits), meter, read_lexicon(lexicon) if lexicon else None)


_SHARES = {"repetition": (1e-6, 1.0), "perplexity": (1.0 + 1e-6, 1e9), "unknown_words": (1e-6, 1.0)}
"""The measures of coherence and the limits that they may have."""


def _path(settings: Mapping[str, Any], key: str) -> Path | None:
    value = settings.get(key)
    if value is not None and not isinstance(value, str | Path):
        raise InputError(f"{key}: {kind_of(value)} is not a path.")
    return checked_path(value, key) if value else None


def _name(settings: Mapping[str, Any]) -> str:
    name = settings.get("name") or ""
    if name:
        if not isinstance(name, str):
            raise InputError(f"name: {kind_of(name)} is not a name.")
        check_name("name", name)
    return name


def _model(settings: Mapping[str, Any], where: str) -> ModelSpec | None:
    """Where a local judge's weights are, by the keys of a study's model; None: the published ones."""
    given = {key: value for key, value in settings.items() if key not in ("judge", "name")}
    if given and not given.get("model"):
        raise InputError("a judge on this machine needs a model. Add `model: DIRECTORY`.")
    return validated(ModelSpec, given, where, "key", also=("judge", "name")) if given else None
