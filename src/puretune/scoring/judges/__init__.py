"""Judges of harm behind endpoints: settings, contract, client, ledger, costs."""

from puretune.endpoints import Consent, Limits, agree, loopback_only
from puretune.scoring.judges._contract import messages, parse_reply
from puretune.scoring.judges._cost import Estimate, Notice
from puretune.scoring.judges._judgement import Judgement
from puretune.scoring.judges._ledger import Ledger, ledger_path
from puretune.scoring.judges._rubric import OWN, Rubric, load_rubric
from puretune.scoring.judges._spec import (
    BUILTIN_JUDGES,
    JudgeSpec,
    Price,
    judge_spec,
    load_judge,
    read_judge,
)
from puretune.scoring.judges._verdict import Flips, flips
from puretune.scoring.judges.remote import Judge

__all__ = [
    "BUILTIN_JUDGES",
    "OWN",
    "Consent",
    "Estimate",
    "Flips",
    "Judge",
    "JudgeSpec",
    "Judgement",
    "Ledger",
    "Limits",
    "Notice",
    "Price",
    "Rubric",
    "agree",
    "flips",
    "judge_spec",
    "ledger_path",
    "load_judge",
    "load_rubric",
    "loopback_only",
    "messages",
    "parse_reply",
    "read_judge",
]
