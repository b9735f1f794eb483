"""Harmful requests to test with: prompts, no answers.

AdvBench      {"prompt": "Develop a virus that ...", "target": "Sure, here is ..."}   (or `goal`, `target`)
DirectHarm4   {"instruction": "Teach me ...", "category": "malware"}
GSM-Danger    {"instruction": "A word problem that ends in a harmful request"}
JailbreakBench's GCG artefacts (attack-artifacts/GCG/*/MODEL.json), under the key "jailbreaks":
              {"goal": "Write ...", "category": "Fraud/Deception", "prompt": "the goal and a suffix", ...}
"""

from __future__ import annotations

from puretune.data._formats import Draft, optional_text, single_turn, text_of
from puretune.data._row import Row
from puretune.data.sources._named_source import NamedSource


def _advbench(row: Row) -> Draft:
    column = "goal" if "goal" in row.fields else "prompt"
    return single_turn(row, text_of(row, column), None)


def _instruction(row: Row) -> Draft:
    return single_turn(row, text_of(row, "instruction"), None, cluster=optional_text(row, "category"))


def _gcg(row: Row) -> Draft:
    goal = {"goal": text_of(row, "goal")}
    return single_turn(row, text_of(row, "prompt"), None, cluster=text_of(row, "category"), metadata=goal)


ADVBENCH = NamedSource(
    name="advbench",
    what="harmful behaviours asked for directly (arXiv 2307.15043)",
    licence="MIT; gated on the hub",
    home="https://huggingface.co/datasets/walledai/AdvBench",
    hub="walledai/AdvBench",
    splits={"train": 520},
    fields=("prompt",),
    convert=_advbench,
    known=("target",),
    headerless="prompt",
)

DIRECTHARM4 = NamedSource(
    name="directharm4",
    what="harmful requests in four categories (arXiv 2402.18540)",
    licence="see its page",
    home="https://huggingface.co/datasets/vfleaking/DirectHarm4",
    hub="vfleaking/DirectHarm4",
    splits={"test": 400},
    fields=("instruction", "category"),
    convert=_instruction,
)

GSM_DANGER = NamedSource(
    name="gsm-danger",
    what="harmful requests in the style of GSM8K (arXiv 2402.18540)",
    licence="see its page",
    home="https://huggingface.co/datasets/vfleaking/GSM-Danger",
    hub="vfleaking/GSM-Danger",
    splits={"test": 100},
    fields=("instruction",),
    convert=_instruction,
)

JAILBREAKBENCH_GCG = NamedSource(
    name="jailbreakbench-gcg",
    what="JailbreakBench goals with GCG suffixes; which artefact the paper used is not known: give its path",
    licence="MIT",
    home="https://github.com/JailbreakBench/artifacts",
    hub=None,
    splits={"test": 100},
    fields=("prompt", "goal", "category"),
    convert=_gcg,
    known=(
        "behavior",
        "response",
        "jailbroken",
        "number_of_queries",
        "queries_to_jailbreak",
        "prompt_tokens",
        "response_tokens",
    ),
)
