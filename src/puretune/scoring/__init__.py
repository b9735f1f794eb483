"""Scoring: scorers of stored answers, and the suites they apply to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.scoring._agreement import Agreement, FlipRate, agreement, flip_rate
    from puretune.scoring._bertscore import BertScore
    from puretune.scoring._calibration import Calibration, Rate, calibrate
    from puretune.scoring._calibration_by_arm import (
        Arm,
        CorrectedDifference,
        arms_of,
        calibrate_arm,
        corrected_difference,
    )
    from puretune.scoring._choice import Choice
    from puretune.scoring._coherence import (
        Coherence,
        Limits,
        calibrated,
        read_lexicon,
        repetition,
        with_coherence,
    )
    from puretune.scoring._config import scorer_from
    from puretune.scoring._errors import score_answers
    from puretune.scoring._file import FileScore, answers_in, score_file
    from puretune.scoring._file_judge_budget import FileEstimate, judge_file_within
    from puretune.scoring._flagged import Flag, flagged
    from puretune.scoring._gsm8k import GSM8K
    from puretune.scoring._judge_budget import (
        Budget,
        affordable,
        budget_from,
        cheap_metric,
        cheap_scores,
        check_budget,
        shared,
        within,
    )
    from puretune.scoring._judge_sampling import Draw, estimate_within, judge_within
    from puretune.scoring._labels import Labelled, read_labelled, read_verdicts
    from puretune.scoring._likelihood import (
        ChoiceLikelihood,
        HeldOutLoss,
        LikelihoodScorer,
        reads_likelihoods,
        score_likelihoods,
    )
    from puretune.scoring._metric import Asks, Better, Measure, Measures, Metric, measure_of, metric_label
    from puretune.scoring._perplexity import LazyMeter, Meter, PerplexityMeter, perplexity_meter
    from puretune.scoring._refusal import Refusal, refusal_phrase
    from puretune.scoring._registry import BUILTIN_SCORERS, BUILTIN_SUITES, SUITES, scorer_named, suite_named
    from puretune.scoring._thoughts import (
        THOUGHTS_VERSION,
        answer_part,
        shown,
        thoughts_sentence,
    )
    from puretune.scoring._types import (
        Behaviour,
        Needs,
        Parse,
        ScoredBase,
        Scorer,
        Suite,
        TextScorer,
        Verdict,
        metric_names,
    )
    from puretune.scoring.judges import (
        Consent,
        Estimate,
        Flips,
        Judge,
        JudgeSpec,
        Notice,
        agree,
        flips,
        judge_spec,
        load_judge,
        loopback_only,
    )
    from puretune.scoring.local import LocalJudge, local_judge

__all__ = [
    "BUILTIN_SCORERS",
    "BUILTIN_SUITES",
    "GSM8K",
    "SUITES",
    "THOUGHTS_VERSION",
    "Agreement",
    "Arm",
    "Asks",
    "Behaviour",
    "BertScore",
    "Better",
    "Budget",
    "Calibration",
    "Choice",
    "ChoiceLikelihood",
    "Coherence",
    "Consent",
    "CorrectedDifference",
    "Draw",
    "Estimate",
    "FileEstimate",
    "FileScore",
    "Flag",
    "FlipRate",
    "Flips",
    "HeldOutLoss",
    "Judge",
    "JudgeSpec",
    "Labelled",
    "LazyMeter",
    "LikelihoodScorer",
    "Limits",
    "LocalJudge",
    "Measure",
    "Measures",
    "Meter",
    "Metric",
    "Needs",
    "Notice",
    "Parse",
    "PerplexityMeter",
    "Rate",
    "Refusal",
    "ScoredBase",
    "Scorer",
    "Suite",
    "TextScorer",
    "Verdict",
    "affordable",
    "agree",
    "agreement",
    "answer_part",
    "answers_in",
    "arms_of",
    "budget_from",
    "calibrate",
    "calibrate_arm",
    "calibrated",
    "cheap_metric",
    "cheap_scores",
    "check_budget",
    "corrected_difference",
    "estimate_within",
    "flagged",
    "flip_rate",
    "flips",
    "judge_file_within",
    "judge_spec",
    "judge_within",
    "load_judge",
    "local_judge",
    "loopback_only",
    "measure_of",
    "metric_label",
    "metric_names",
    "perplexity_meter",
    "read_labelled",
    "read_lexicon",
    "read_verdicts",
    "reads_likelihoods",
    "refusal_phrase",
    "repetition",
    "score_answers",
    "score_file",
    "score_likelihoods",
    "scorer_from",
    "scorer_named",
    "shared",
    "shown",
    "suite_named",
    "thoughts_sentence",
    "with_coherence",
    "within",
]

__getattr__ = lazy(__name__)
