"""What the numbers rest on: settings from the provenance, templates, and what the intervals mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from puretune.report._metrics import reading
from puretune.report._number_words import percent, plural, span
from puretune.report._safety_prompts import template_record
from puretune.statistics import clopper_pearson
from puretune.study import Matrix
from puretune.templates import alias_of

_FLIPS = {"score": "got another score", "asr": "crossed score 5"}
_SHOWN_ELSEWHERE = ("templates", "note", "command", "judges", "thoughts")


class Section(NamedTuple):
    """One part of the settings: (name, value) pairs, both ready to be read."""

    title: str
    facts: tuple[tuple[str, str], ...]


class TemplateSheet(NamedTuple):
    """One template as it was used."""

    name: str
    alias: str
    fingerprint: str
    rendering: str
    """One readable rendering, or nothing if the study kept none."""


def settings(matrix: Matrix) -> list[Section]:
    """The provenance as sections: plain values under "Run", whatever is nested under its own name."""
    parts: dict[str, Mapping[Any, Any]] = {}
    run: dict[Any, Any] = {}
    for key, value in matrix.provenance.items():
        if key in _SHOWN_ELSEWHERE:
            continue
        if isinstance(value, Mapping):
            parts[key] = value
        elif _is_nested(value):
            parts[key] = _numbered(value)
        else:
            run[key] = value
    shown = {"run": run, **parts}
    sections = [
        Section(str(title).replace("_", " ").capitalize(), tuple(_flat(part)))
        for title, part in shown.items()
        if part
    ]
    return [*_judges(matrix), *sections]


def template_sheets(matrix: Matrix) -> list[TemplateSheet]:
    """All templates of the study: those trained under first, then the test templates."""
    trained = [cell.train_template for cell in matrix.pooled if cell.train_template is not None]
    names = dict.fromkeys([*trained, *matrix.test_templates, *(cell.test_template for cell in matrix.pooled)])
    return [_sheet(name, matrix) for name in names]


def interval_notes(matrix: Matrix) -> list[str]:
    """What the intervals of this matrix are for, and what they leave out."""
    return [
        "Rates are over all answers asked for; a truncated answer is judged like any other, and an unparsed "
        "verdict counts as 0 and widens the interval to what it could have been. Every interval is a "
        "95 % interval, and its caption names what it is for.",
        *_about_runs({cell.seeds for cell in matrix.pooled if _tuned(cell.condition, matrix)}),
        *_about_categories(matrix),
        *_about_budget(matrix),
        *_over_refusal(matrix),
        *_thoughts(matrix),
        *_about_style(matrix),
        f"{_about_planned(matrix)} comparison is exploratory, its p value corrected over all of "
        "them. Two intervals do not tell whether two cells differ, "
        "because cells share their prompts: `puretune compare` compares them prompt by prompt.",
    ]


def _tuned(condition: str, matrix: Matrix) -> bool:
    """Whether the study tuned it: what existed before has no seeds."""
    return matrix.kinds.get(condition, "tuned") == "tuned"


def _about_planned(matrix: Matrix) -> str:
    planned = sum(one.role == "planned" for one in matrix.comparisons)
    if planned == 0:
        return "No comparison was planned: every"
    if planned == 1:
        return "One comparison was planned, and its p value is not corrected; every other"
    return f"{planned} comparisons were planned, their p values corrected over these alone; every other"


def _about_runs(seeds: set[int]) -> Iterator[str]:
    if 1 in seeds:
        yield (
            "With one tuning seed an interval applies to this one adapter and new prompts like these. A new "
            "training run may land far outside it, so one seed says nothing about a template."
        )
    if max(seeds, default=0) > 1:
        yield (
            "With several seeds the value is the mean over training runs, and the interval applies to "
            "new training runs and new prompts: it includes the variance of both. How far training runs "
            "differ is estimated over all conditions of the study, and the interval of a cell that varies "
            "more is wider."
        )


def _about_categories(matrix: Matrix) -> Iterator[str]:
    if any("new categories" in cell.estimand for cell in matrix.pooled):
        yield (
            "Intervals are for new categories of prompts: the categories of a suite are treated as a "
            "sample, however few they are. The design effect, where it is shown, says how much this costs."
        )
    elif any(cell.categories > 1 for cell in matrix.pooled):
        yield "Intervals are for the categories that a suite has, not for others."


def _about_budget(matrix: Matrix) -> Iterator[str]:
    if any(cell.estimand == "these answers" for cell in matrix.cells):
        yield (
            "Under the judge budget a judge saw a random part of the answers, more of those that a cheaper "
            "scorer finds harmful. Value and interval of one cell estimate what it would say of all "
            "these answers, however good or bad the cheaper scorer is; over several seeds the interval "
            "applies to new training runs and new prompts too. Cells judged in part are not compared."
        )


def _about_style(matrix: Matrix) -> Iterator[str]:
    """No label of people is in a report: a scorer's errors may differ from condition to condition."""
    if any(one.measures in ("harm", "refusal") for one in matrix.measures):
        yield (
            "Scorers err, and not equally for every condition: tuning changes the style of answers, and a "
            "scorer may miss one style more often than another. Part of a difference may be style. People's "
            "labels of some answers of each condition would tell (`puretune compare RUN --labels FILE`)."
        )


def _thoughts(matrix: Matrix) -> Iterator[str]:
    """Which part of the answers was scored, where models thought before they answered."""
    facts = matrix.provenance.get("thoughts")
    if isinstance(facts, Mapping):
        yield str(facts.get("scored", ""))


def _over_refusal(matrix: Matrix) -> Iterator[str]:
    """A word of warning where refusing was measured on harmful requests only."""
    found = {
        (kind.family, kind.secondary)
        for kind in (reading(c.suite, c.scorer, c.metric, matrix) for c in matrix.cells)
    }
    harmful = any(family in ("harm", "refusal") for family, _ in found)
    if harmful and ("over-refusal", False) not in found:
        yield (
            "Over-refusal was not measured: a model that refuses everything would look safe here. Add benign "
            "twins under the same templates: the suite xstest, or your own prompts in a suite with "
            "`asks: benign`."
        )


def note(matrix: Matrix) -> str:
    """What the study's own model or data say about what they can tell, or nothing."""
    return str(matrix.provenance.get("note") or "")


def command(matrix: Matrix) -> str:
    """The command that makes this matrix again, as one line of shell, or nothing if none was kept."""
    kept = matrix.provenance.get("command") or ""
    if isinstance(kept, str):
        return kept
    import shlex

    return shlex.join(str(word) for word in kept)


def _sheet(name: str, matrix: Matrix) -> TemplateSheet:
    record, alias = template_record(name, matrix), alias_of(name)
    fingerprint, rendering = str(record.get("fingerprint") or ""), str(record.get("rendering") or "")
    return TemplateSheet(name, "" if alias == name else alias, fingerprint, rendering)


def _judges(matrix: Matrix) -> Iterator[Section]:
    """Of every judge behind an endpoint, first who it really was and what could not be read of it."""
    judges = matrix.provenance.get("judges")
    for name, kept in judges.items() if isinstance(judges, Mapping) else ():
        facts = dict(kept)
        reported, recheck = facts.pop("reported", {}), facts.pop("recheck", {})
        models = [f"{model} ({number:,} answers)" for model, number in reported.items()]
        judged, unparsed = facts.pop("judged", sum(reported.values())), facts.pop("unparsed", None)
        first = {
            "model as reported": ", ".join(models) or "none: nothing was judged",
            "endpoint": facts.pop("endpoint", None),
            "rubric": facts.pop("rubric", None),
            "unparsed": "not counted" if unparsed is None else f"{unparsed:,} of {judged:,} answers",
            "judged twice": _rechecked(recheck),
            "model asked for": facts.pop("model", None),
        }
        yield Section(f"Judge {name}", tuple(_flat({**first, **facts})))


def _rechecked(counts: Mapping[str, Any]) -> str:
    if not counts.get("rechecked"):
        return "none"
    n = counts["rechecked"]
    changed = (f"{_share(counts[key], n)} {what}" for key, what in _FLIPS.items())
    intervals = "exact 95 % intervals, for new answers of the same kind"
    return f"{plural(n, 'answer')} ({intervals}): {'; '.join(changed)}"


def _share(count: int, n: int) -> str:
    low, high = clopper_pearson(count, n)
    return f"{count:,} = {percent(count / n)} % ({span(low, high)})"


def _flat(value: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as dotted names; a list of plain values on one line, one of mappings by number."""
    for key, held in value.items():
        name = f"{prefix}{key}"
        if isinstance(held, Mapping):
            yield from _flat(held, f"{name}.")
        elif _is_nested(held):
            yield from _flat(_numbered(held), f"{name}.")
        else:
            yield name, ", ".join(str(item) for item in held) if _is_list(held) else _plain(held)


def _is_nested(value: object) -> TypeGuard[Sequence[Any]]:
    return _is_list(value) and any(isinstance(item, Mapping) or _is_list(item) for item in value)


def _numbered(items: Sequence[Any]) -> dict[str, Any]:
    return {str(place): item for place, item in enumerate(items, 1)}


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
