"""Data sets that have a name here: a file per family, one table."""

from collections.abc import Mapping

from puretune.data.sources._arc import ARC_CHALLENGE, ARC_EASY
from puretune.data.sources._chatdoctor import CHATDOCTOR
from puretune.data.sources._gsm8k import GSM8K
from puretune.data.sources._harmful import ADVBENCH, DIRECTHARM4, GSM_DANGER, JAILBREAKBENCH_GCG
from puretune.data.sources._in_package import EVERYDAY, LOOKS_HARMFUL
from puretune.data.sources._named_source import NamedSource
from puretune.data.sources._orca import OPENORCA, ORCA_MATH
from puretune.data.sources._safety import SAFETY_TUNED_LLAMAS
from puretune.data.sources._xstest import XSTEST

NAMED_SOURCES: Mapping[str, NamedSource] = {
    source.name: source
    for source in (
        GSM8K,
        CHATDOCTOR,
        OPENORCA,
        ORCA_MATH,
        SAFETY_TUNED_LLAMAS,
        ADVBENCH,
        DIRECTHARM4,
        GSM_DANGER,
        JAILBREAKBENCH_GCG,
        XSTEST,
        ARC_EASY,
        ARC_CHALLENGE,
        EVERYDAY,
        LOOKS_HARMFUL,
    )
}

__all__ = ["NAMED_SOURCES", "NamedSource"]
