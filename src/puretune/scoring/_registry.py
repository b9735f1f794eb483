"""Scorers and suites by name: built-in ones, then those that installed packages offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from puretune.data import SourceSpec
from puretune.errors import EnvironmentFault
from puretune.plugins import Plugins
from puretune.scoring._bertscore import BertScore
from puretune.scoring._choice import Choice
from puretune.scoring._coherence import Coherence
from puretune.scoring._gsm8k import GSM8K
from puretune.scoring._likelihood import ChoiceLikelihood, HeldOutLoss
from puretune.scoring._metric import Asks, Metric
from puretune.scoring._refusal import Refusal
from puretune.scoring._text_match import Contains, Regex, TokenF1
from puretune.scoring._types import Scorer, Suite
from puretune.scoring.judges import Judge, judge_spec
from puretune.scoring.local import HARMBENCH, LLAMA_GUARD_3, local_judge

BUILTIN_SCORERS: Mapping[str, Callable[[], Scorer]] = {
    "gsm8k": GSM8K,
    "refusal": Refusal,
    "contains": Contains,
    "regex": Regex,
    "token_f1": TokenF1,
    "choice": Choice,
    "choice-loglikelihood": ChoiceLikelihood,
    "held_out_loss": HeldOutLoss,
    "coherence": Coherence,
    "bertscore": BertScore,
    LLAMA_GUARD_3.name: lambda: local_judge(LLAMA_GUARD_3.name),
    HARMBENCH.name: lambda: local_judge(HARMBENCH.name),
    "gpt-4": lambda: Judge(judge_spec({"judge": "gpt-4"})),
}
"""Those that need a model look for the published one on this machine and on the hub when they are made."""


def _suite(name: str, split: str, asks: Asks | Mapping[str, Asks], *scorers: str) -> Suite:
    """All answer within the paper's 512 new tokens. ``asks``: of every split, or split by split."""
    source = SourceSpec(name, split=split)
    if isinstance(asks, Mapping):
        return Suite(name, source, scorers, max_new_tokens=512, asks_by_split=asks)
    return Suite(name, source, scorers, max_new_tokens=512, asks=asks)


BUILTIN_SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        _suite("gsm8k", "test", "task", "gsm8k"),
        _suite("arc-easy", "test", "task", "choice"),
        _suite("arc-challenge", "test", "task", "choice"),
        _suite("advbench", "train", "harm", "refusal", "coherence"),
        _suite("directharm4", "test", "harm", "refusal", "coherence"),
        _suite("gsm-danger", "test", "harm", "refusal", "coherence"),
        _suite("everyday", "test", "task", "regex", "token_f1"),
        _suite("looks-harmful", "test", "benign", "refusal", "coherence"),
        _suite("xstest", "safe", {"safe": "benign", "unsafe": "harm"}, "refusal", "coherence"),
    )
}
"""``dataclasses.replace`` the source to read a suite from a path."""


SCORERS = Plugins("puretune.scorers", "scorer", BUILTIN_SCORERS, Scorer)
SUITES = Plugins("puretune.suites", "suite", BUILTIN_SUITES, Suite)


def scorer_named(name: str) -> Scorer:
    """A built-in scorer, or one of the entry points ``puretune.scorers`` (each a :class:`Scorer`'s class).

    InputError, with the nearest name, if there is none.
    """
    scorer: Scorer = (SCORERS.call if name in BUILTIN_SCORERS else SCORERS.options)(name)
    if not all(isinstance(metric, Metric) for metric in scorer.metrics):
        raise EnvironmentFault(
            f"scorer {name!r} does not declare its metrics. Each must be a "
            "puretune.scoring.Metric(name, title, measures)."
        )
    return scorer


def suite_named(name: str) -> Suite:
    """A built-in suite, or one of the entry points ``puretune.suites`` (each a :class:`Suite`).

    InputError, with the nearest name, if there is none.
    """
    return SUITES.load(name)
