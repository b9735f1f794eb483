"""From the store's shards to the matrix and the files that people open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from puretune.data import Example
from puretune.scoring import Measure, Verdict, metric_names, reads_likelihoods, thoughts_sentence
from puretune.store import Store, json_lines
from puretune.study.matrix.agreement import agreements
from puretune.study.matrix.answer_rows import PROMPTS
from puretune.study.matrix.categories import category_rates
from puretune.study.matrix.cells import Judged, Measured, Place, cell, pool, tables_of
from puretune.study.matrix.control_effects import control_effects
from puretune.study.matrix.judge_facts import judge_facts
from puretune.study.matrix.matrix import Matrix, SampleVerdict, Transcript
from puretune.study.matrix.planned import planned_comparisons
from puretune.study.matrix.provenance import provenance
from puretune.study.matrix.rank_strategies import rank_strategies
from puretune.study.matrix.recommendation import recommendation
from puretune.study.matrix.rendered_prompts import prompt_lines
from puretune.study.plan.shards import answers_of, lines_of, shard_of, suites_of
from puretune.study.plan.steps import VERDICTS, Plan, Who
from puretune.study.spec.analysis import Analysis
from puretune.thoughts import split

SAMPLES = 3
"""Transcripts per cell of the first seed: one of each behaviour, as far as there is room, then the first."""

_Rows = list[dict[str, Any]]


@dataclass
class _Cell:
    """What has been read of one cell: answers (with query and reference), and verdicts by scorer."""

    answers: _Rows = field(default_factory=list)
    verdicts: dict[str, _Rows] = field(default_factory=dict)


def assemble(plan: Plan, store: Store, out: Path) -> tuple[Matrix, dict[str, str]]:
    """The matrix of a plan whose steps are all in the store; ``answers.jsonl``, ``verdicts.jsonl`` and
    ``prompts.jsonl``."""
    read = _read(plan, store)
    files = {
        "answers.jsonl": json_lines(_answer_lines(plan, read)),
        "verdicts.jsonl": json_lines(_verdict_lines(plan, read)),
        PROMPTS: json_lines(prompt_lines(plan, store)),
    }
    measured = [one for place, content in read.items() for one in _cells(plan, place, content)]
    analysis, measures = Analysis.of(plan.resolved.study.analysis), _measures(plan)
    tables = tables_of(measured)
    matrix = Matrix(
        name=plan.study,
        cells=tuple(one.cell for one in measured),
        pooled=pool(measured, analysis),
        comparisons=planned_comparisons(plan.resolved.contrasts, measures, tables, analysis),
        categories=tuple(category_rates(measures, tables, analysis)),
        ranking=rank_strategies(plan.resolved, measures, measured, analysis),
        controls=control_effects(plan.resolved, measures, tables, analysis),
        agreements=tuple(agreements(plan, _verdicts(read), _prompts(read))),
        transcripts=tuple(
            one for place, content in read.items() for one in _transcripts(plan, place, content)
        ),
        measures=measures,
        kinds={one.name: one.kind for one, _ in plan.resolved.cells},
        conditions=tuple(dict.fromkeys(one.name for one, _ in plan.resolved.cells)),
        test_templates=tuple(dict.fromkeys(template.name for _, template in plan.resolved.cells)),
        suites=tuple(suite.name for suite in plan.resolved.suites),
        provenance={
            **provenance(plan, store, out),
            **_controls(plan),
            "analysis": _analysis(plan),
            **_judges(plan, read),
            **_budget(plan),
            **_reported(read),
            **_thoughts(read),
        },
    )
    return replace(matrix, recommendation=recommendation(matrix, tables, analysis)), files


def _measures(plan: Plan) -> tuple[Measure, ...]:
    return tuple(one for suite in plan.resolved.suites for one in suite.measures)


def _analysis(plan: Plan) -> dict[str, Any]:
    """How intervals and comparisons were told to be made."""
    section = plan.resolved.study.analysis
    contrasts = [str(one) for one in plan.resolved.contrasts]
    return {**section.model_dump(exclude={"contrast"}), "contrast": contrasts}


def _verdicts(read: Mapping[Place, _Cell]) -> dict[tuple[str, str], list[Verdict]]:
    """All verdicts by suite and scorer; those of one suite are about the same answers in the same order."""
    found: dict[tuple[str, str], list[Verdict]] = {}
    for place, content in read.items():
        for name, rows in content.verdicts.items():
            found.setdefault((place.suite, name), []).extend(_verdict(row) for row in rows)
    return found


def _prompts(read: Mapping[Place, _Cell]) -> dict[str, list[str]]:
    """By suite, the prompts of its answers, in the order of its verdicts."""
    found: dict[str, list[str]] = {}
    for place, content in read.items():
        found.setdefault(place.suite, []).extend(row["prompt_id"] for row in content.answers)
    return found


def _controls(plan: Plan) -> dict[str, Any]:
    """The control templates, and why some could not be made."""
    made = plan.resolved.controls
    return {"controls": [one.facts() for one in made]} if made else {}


def _budget(plan: Plan) -> dict[str, Any]:
    allowed = plan.resolved.allowance
    return {"judge_budget": allowed.facts()} if allowed else {}


def _reported(read: Mapping[Place, _Cell]) -> dict[str, Any]:
    """The models that an endpoint said it answered with, and how many answers each."""
    rows = (row for content in read.values() for row in content.answers)
    models = Counter(row["reported"] for row in rows if row.get("reported"))
    return {"reported_models": dict(models)} if models else {}


def _thoughts(read: Mapping[Place, _Cell]) -> dict[str, Any]:
    """How many answers had thoughts that were left out, or that never ended; nothing if none had."""
    states = Counter(split(row["text"]).state for content in read.values() for row in content.answers)
    counts = {state: states[state] for state in ("cut", "unclosed")}
    said = thoughts_sentence(counts)
    return {"thoughts": {**counts, "scored": said}} if said else {}


def _judges(plan: Plan, read: Mapping[Place, _Cell]) -> dict[str, Any]:
    """Facts about judges behind endpoints, if there are any."""
    verdicts: dict[str, list[Verdict]] = {}
    for content in read.values():
        for name, rows in content.verdicts.items():
            held = verdicts.setdefault(name, [])
            held += [_verdict(row) for row in rows if row["parse"] != "unjudged"]
    facts = judge_facts(plan, verdicts)
    return {"judges": facts} if facts else {}


def _read(plan: Plan, store: Store) -> dict[Place, _Cell]:
    suites, read = suites_of(plan), dict[Place, _Cell]()
    for shard in plan.answer:
        content = read.setdefault(Place(shard.who, shard.test_template, shard.suite), _Cell())
        examples = {example.id: example for example in shard_of(shard, suites)}
        for row in answers_of(shard, store):
            example = examples[row["prompt_id"]]
            content.answers.append({**row, "query": example.query, "reference": example.reference})
    for step in plan.cell:
        rows = [row for key in step.verdicts for row in lines_of(VERDICTS, key, store)]
        read[Place(step.who, step.test_template, step.suite)].verdicts[step.scorer] = rows
    return read


def _cells(plan: Plan, place: Place, content: _Cell) -> Iterator[Measured]:
    """One cell per scorer and metric."""
    suite, allowed = suites_of(plan)[place.suite], plan.resolved.allowance
    asked = {example.id: example for example in suite.examples}
    analysis = Analysis.of(plan.resolved.study.analysis)
    for scorer in suite.scorers:
        budget = allowed.budget if allowed and allowed.judge.name == scorer.name else None
        judged = [
            Judged(
                row["prompt_id"],
                "stop" if reads_likelihoods(scorer) else row["finish"],
                _verdict(verdict),
                asked[row["prompt_id"]].cluster,
                _draw(asked[row["prompt_id"]]),
            )
            for row, verdict in zip(content.answers, content.verdicts[scorer.name], strict=True)
        ]
        for metric in metric_names(scorer):
            yield cell(place, scorer.name, metric, judged, budget, analysis)


def _draw(example: Example) -> str | None:
    """The request that a prompt says it paraphrases (``paraphrase_of`` in its metadata)."""
    said = example.metadata.get("paraphrase_of")
    return said if isinstance(said, str) else None


def _verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(row["scorer"], row["values"], row["behaviour"], row["parse"], row["raw"])


def _transcripts(plan: Plan, place: Place, content: _Cell) -> Iterator[Transcript]:
    if place.who.step is not None or place.who.seed not in (None, *plan.resolved.seeds[:1]):
        return
    behaviours = [_behaviour(content, number) for number in range(len(content.answers))]
    for number in _shown(behaviours):
        row = content.answers[number]
        yield Transcript(
            condition=place.who.condition,
            seed=place.who.seed,
            test_template=place.test_template,
            suite=place.suite,
            prompt_id=row["prompt_id"],
            query=row["query"],
            answer=row["text"],
            finish=row["finish"],
            verdicts=tuple(_sample(rows[number]) for rows in content.verdicts.values()),
        )


def _sample(row: Mapping[str, Any]) -> SampleVerdict:
    return SampleVerdict(row["scorer"], row["values"], row["behaviour"], row["parse"])


def _behaviour(content: _Cell, number: int) -> str | None:
    """What the first of the suite's scorers that judges behaviour says."""
    said = (rows[number]["behaviour"] for rows in content.verdicts.values())
    return next((behaviour for behaviour in said if behaviour is not None), None)


def _shown(behaviours: list[str | None]) -> list[int]:
    first: dict[str | None, int] = {}
    for number, behaviour in enumerate(behaviours):
        first.setdefault(behaviour, number)
    chosen = [*first.values(), *(number for number in range(len(behaviours)) if number not in first.values())]
    return sorted(chosen[:SAMPLES])


def _answer_lines(plan: Plan, read: Mapping[Place, _Cell]) -> Iterator[dict[str, Any]]:
    prints = _fingerprints(plan)
    for place, content in read.items():
        for row in content.answers:
            yield {
                **_labels(place, prints),
                "prompt_id": row["prompt_id"],
                "sample": row["sample"],
                "query": row["query"],
                "reference": row["reference"],
                "answer": row["text"],
                "finish": row["finish"],
                **{name: row[name] for name in ("reported", "note") if name in row},
            }


def _verdict_lines(plan: Plan, read: Mapping[Place, _Cell]) -> Iterator[dict[str, Any]]:
    """One line per answer and scorer. The answer's text is in ``answers.jsonl``, once."""
    prints, suites = _fingerprints(plan), suites_of(plan)
    for place, content in read.items():
        asked = {example.id: example for example in suites[place.suite].examples}
        for number, answer in enumerate(content.answers):
            example = asked[answer["prompt_id"]]
            alike = {"category": example.cluster, "paraphrase_of": _draw(example)}
            for rows in content.verdicts.values():
                if rows[number]["parse"] == "unjudged":
                    continue
                yield {
                    **_labels(place, prints),
                    **rows[number],
                    **{name: value for name, value in alike.items() if value is not None},
                    "finish": answer["finish"],
                }


def _labels(place: Place, prints: Mapping[str, str]) -> dict[str, Any]:
    who: Who = place.who
    return {
        "condition": who.condition,
        "seed": who.seed,
        "step": who.step,
        "train_template": who.train_template,
        "train_fingerprint": prints.get(who.train_template or ""),
        "test_template": place.test_template,
        "test_fingerprint": prints[place.test_template],
        "suite": place.suite,
    }


def _fingerprints(plan: Plan) -> dict[str, str]:
    trained = [one.template for one, _ in plan.resolved.cells if one.template is not None]
    return {
        template.name: template.fingerprint for template in (*trained, *(t for _, t in plan.resolved.cells))
    }
