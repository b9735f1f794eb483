"""Log-likelihoods of given texts (the options of multiple choice, references): the engine is asked, shard by
shard.

Verdicts have the keys that other scorers' verdicts have, and are published shard by shard like these. They
are kept with the generated answers of the same shard, one per answer.
"""

from __future__ import annotations

from typing import cast

from puretune.events import Advanced, EventSink
from puretune.inference import LikelihoodEngine
from puretune.scoring import LikelihoodScorer, score_likelihoods
from puretune.study.plan.shards import answers_of, shard_of
from puretune.study.plan.steps import VERDICTS
from puretune.study.run.answers import name_of
from puretune.study.run.units import LikelihoodUnit
from puretune.study.run.verdicts import scorer_named, verdict_row
from puretune.study.run.worker import Worker


def ask_likelihoods(unit: LikelihoodUnit, worker: Worker, on_event: EventSink) -> None:
    """Ask about the texts of every shard and publish its verdicts; its answers are in the store.

    InputError if a text does not fit into the model's context after its prompt.
    """
    engine = cast(LikelihoodEngine, worker.engine)  # planning made sure that it is one
    reader = cast(LikelihoodScorer, scorer_named(unit.steps[0].scorer, worker.plan))
    templates = {template.name: template for _, template in worker.plan.resolved.cells}
    for done, (step, shard) in enumerate(unit.pairs, 1):
        examples, answers = shard_of(shard, worker.suites), answers_of(shard, worker.store)
        template, adapter = templates[shard.test_template], worker.adapter(shard.who)
        scored = score_likelihoods(reader, examples, engine, worker.base.renderer, template, adapter)
        verdicts = {example.id: verdict for example, verdict in zip(examples, scored, strict=True)}
        rows = [verdict_row(row, verdicts[row["prompt_id"]]) for row in answers]
        worker.store.put_lines(VERDICTS, step.key, rows)
        note = f"{name_of(shard.who)} -> {shard.test_template}, {shard.suite}"
        on_event(Advanced(unit.work, done, note))
