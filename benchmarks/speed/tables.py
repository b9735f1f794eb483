"""Writes the tables of docs/performance.md from the JSON that ``python -m benchmarks.speed`` made.

python -m benchmarks.speed.tables [benchmarks/results/speed.json]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed._measure import median, seconds
from benchmarks.speed._record import RESULTS, ROOT

PAGE = ROOT / "docs" / "performance.md"
MARKS = ("<!-- tables -->", "<!-- end of tables -->")
Item = Mapping[str, Any]


def main() -> None:
    """Puts the tables of a results file between the page's marks."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "speed.json"
    before, rest = PAGE.read_text().split(MARKS[0])
    made = tables(json.loads(source.read_text()))
    text = f"{before}{MARKS[0]}\n\n{made}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    partial = PAGE.with_name(PAGE.name + ".partial")
    partial.write_text(text)
    partial.replace(PAGE)


def tables(result: Mapping[str, Any]) -> str:
    """All items as Markdown; what is not in the file is not in the tables."""
    items = result["items"]
    parts = [_provenance(result)]
    parts += [make(items[name]) for name, make in _TABLES.items() if items.get(name, {}).get("runs")]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _provenance(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    bf16 = "with" if machine["bf16_products"] else "without"
    return [
        f"Made by `{result['command']}` on {machine['cpu']}, {machine['cores']} cores, {bf16} bfloat16 "
        f"products, {machine['memory_gib']} GiB ({versions}). Seconds are medians, with the minimum and "
        "the maximum of all runs."
    ]


def _tuning(item: Item) -> list[str]:
    work = item["work"]
    shared = work["seen"] - work["distinct"]
    lines = [
        f"**B5, tuning.** The same {work['adapters']} adapters, {work['steps']} steps each: "
        f"{work['seen']:,} tokens without padding, {shared:,} of them in prefixes that all rows of a "
        "template share.",
        "",
        "| side | processes x threads | seconds | speed relative to TRL, defaults | TRL tuned "
        "| in `train()` | tokens/s | shared ones not counted | largest difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in (one for one in item["runs"] if one not in _RUNGS):
        taken = median(item, name) or 0.0
        same = ", bf16" if name.endswith(", bf16") else ""
        cells = [
            "{processes} x {threads}".format(**item["settings"][name]),
            _spread(item, name),
            *(_times(item, f"TRL, {kind}{same}", name) for kind in ("defaults", "tuned")),
            _training(item, name),
            f"{work['seen'] / taken:,.0f}",
            f"{work['distinct'] / taken:,.0f}",
            f"{max(run['difference'] for run in item['runs'][name]):.1e}",
        ]
        lines.append(_row(name, cells))
    return [*lines, *_fastest(item), *_cold(item), *_ladder(item), *_failed(item)]


_PEERS = ("TRL, defaults", "TRL, tuned", "TRL, tuned, two processes")
_RUNGS = ("loop", "+ gang", "+ packing", "+ prefix", "+ head")


def _ladder(item: Item) -> Iterator[str]:
    """What each mechanism adds to the one before, in float32 on one thread."""
    rungs = [name for name in _RUNGS if name in item["runs"]]
    if len(rungs) > 1:
        yield from (
            "",
            "| mechanism | seconds | predicted, against the row above | measured |",
            "|---|---|---|---|",
        )
        for above, name in zip([None, *rungs], rungs, strict=False):
            said = item["predicted"].get(name, "-")
            yield _row(name, [_spread(item, name), str(said), _times(item, above or name, name)])


def _training(item: Item, name: str) -> str:
    """The median of the seconds within ``SFTTrainer.train``, without setting up."""
    found = [run["training_seconds"] for run in item["runs"][name] if "training_seconds" in run]
    return f"{statistics.median(found):.2f}" if found else "-"


def _fastest(item: Item) -> Iterator[str]:
    """Each side at its fastest setting, whichever number format that is."""
    best = {side: _best(item, side) for side in (*_PEERS, "puretune") if median(item, side)}
    if "puretune" in best and len(best) > 1:
        ours, name = best.pop("puretune")
        said = [f"{taken / ours:.1f} times as fast as {peer}" for taken, peer in best.values()]
        yield ""
        yield f"Each side at its fastest setting: {name} is {', '.join(said)}."


def _best(item: Item, side: str) -> tuple[float, str]:
    """(seconds, name) of the number format in which a side is faster."""
    names = [name for name in (side, f"{side}, bf16") if median(item, name)]
    return min((median(item, name) or 0.0, name) for name in names)


def _generation(item: Item) -> list[str]:
    work = item["work"]
    own = work["prompt_tokens"] - work["shared_prompt_tokens"] + work["new_tokens"]
    lines = [
        f"**B6, answering.** {work['answers']:,} answers of {work['adapters']} models (the base and its "
        f"adapters): {work['prompt_tokens']:,} prompt tokens, {work['shared_prompt_tokens']:,} of them in "
        f"prefixes that are shared, {work['new_tokens']:,} new ones. {item['settings']['threads']} threads; "
        f"best batch: {item['settings']['batch']}; vLLM: {item['settings'].get('vLLM', 'not here')}.",
        "",
        "| side | seconds | time relative to puretune | new tokens/s | tokens/s "
        "| shared ones not counted | answers that differ |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in item["runs"]:
        taken = median(item, name) or 0.0
        cells = [
            _spread(item, name),
            _times(item, name, "puretune"),
            f"{work['new_tokens'] / taken:,.0f}",
            f"{(work['prompt_tokens'] + work['new_tokens']) / taken:,.0f}",
            f"{own / taken:,.0f}",
            str(max(run["different_answers"] for run in item["runs"][name])),
        ]
        lines.append(_row(name, cells))
    return [*lines, *_floor(item), *_cold(item), *_failed(item)]


def _floor(item: Item) -> Iterator[str]:
    """What the fastest conceivable side would take, and how many times as long the peers do."""
    floor = item.get("floor")
    if floor:
        peers = [
            f"{(median(item, name) or 0.0) / floor['seconds']:.1f} times for {name}"
            for name in item["runs"]
            if name in ("generate, batch 8", "generate, best batch", "puretune")
        ]
        yield ""
        yield (
            f"Floor: the products alone, shared prefixes once, take {floor['seconds']:.2f} s at the "
            f"{floor['flops'] / 1e9:.0f} GFLOP/s that large products reach. Measured: {', '.join(peers)}."
        )


def _cold(item: Item) -> Iterator[str]:
    """The same in processes of their own."""
    runs = item.get("cold", {})
    said = [f"{name} {_spread(runs, name)} s" for name in runs.get("runs", {})]
    if said:
        yield ""
        yield f"Cold, in a new process each, imports included: {', '.join(said)}."


def _waiting(title: str) -> Any:
    def table(item: Item) -> list[str]:
        lines = [title, "", "| what | seconds |", "|---|---|"]
        lines += [_row(name, [_spread(item, name)]) for name in item["runs"]]
        return [*lines, *_failed(item)]

    return table


_TABLES = {
    "B5": _tuning,
    "B6": _generation,
    "B7": _waiting("**B7, the demo cold.** A new process, nothing cached, until the report is written."),
    "B9": _waiting("**B9, start.** Whole processes; the plan without its process's start."),
}


def _spread(item: Item, name: str) -> str:
    taken = seconds(item, name)
    digits = 2 if min(taken) < 10 else 1
    return f"{median(item, name):.{digits}f} ({min(taken):.{digits}f} to {max(taken):.{digits}f})"


def _times(item: Item, slow: str, fast: str) -> str:
    above, below = median(item, slow), median(item, fast)
    return f"{above / below:.1f}" if above and below else "-"


def _failed(item: Item) -> Iterator[str]:
    for name, why in item.get("failed", {}).items():
        yield ""
        yield f"Not measured: {name} ({why})."


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
