"""Running a study: plan, compute what is missing, assemble, publish. Interrupted, it resumes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from puretune.events import EventSink, Finished, Started, Warned, ignore
from puretune.scoring import Consent, loopback_only
from puretune.store import encoded, json_text, lease, make_directory, open_store
from puretune.study.matrix.assemble import assemble
from puretune.study.matrix.matrix import Matrix
from puretune.study.matrix.reports import REPORTS, report_texts
from puretune.study.matrix.results import load_results, results_text
from puretune.study.matrix.run_directory import FILES, RunDirectory
from puretune.study.plan.graph import plan_study
from puretune.study.plan.steps import ADAPTER, ANSWERS, VERDICTS, Plan
from puretune.study.run.executors import AUTO, ExecutorSpec
from puretune.study.run.forecast import forecast
from puretune.study.run.run_log import run_log
from puretune.study.run.work import tidy, work
from puretune.study.spec.registry import named_study
from puretune.study.spec.study import Study
from puretune.study.spec.to_yaml import resolved_yaml


def run_study(
    study: Study | Path | str,
    out: Path | str | None = None,
    on_event: EventSink = ignore,
    consent: Consent = loopback_only,
    store: Path | None = None,
    executor: str | ExecutorSpec = AUTO,
) -> Matrix:
    """The matrix of a study (or of its file or name), computed in the run directory ``out`` as far as it is
    not there yet; ``out`` is ``runs/NAME`` if it is None.

    Writes ``log.jsonl`` (a line for each unit of work), ``study.yaml``, ``plan.json``, ``answers.jsonl``,
    ``verdicts.jsonl``, ``results.json``, reports, and last ``run.json``, which has the digests of all but the
    log. What was damaged since is set aside, named in a ``Warned`` event, and made again. ``store`` is a run
    directory whose store is used in place of the one in ``out``. ``executor`` decides where and when work is
    done (``local``, ``processes``, ``ray``, one that a package offers, or ``executor_with(name, options)``;
    ``auto``: the faster on this machine); results are the same.

    ``consent`` is shown what will go to tuners, engines and judges elsewhere, before anything is computed; it
    raises where the data may not leave this machine (``puretune.scoring.agree`` does not).

    InputError for a wrong study, before anything is computed, and where ``out`` holds another study's run;
    EnvironmentFault if ``out`` cannot be written, or another process is at work in it or on the same study in
    a shared store.
    """
    study = study if isinstance(study, Study) else named_study(study)
    out = Path(out) if out is not None else Path("runs") / study.name
    on_event(Started("plan"))
    planned = plan_study(study)
    said = _study_text(study, out)
    on_event(Finished("plan", _size(planned)))

    def warn(text: str) -> None:
        on_event(Warned(text))

    with lease(make_directory(out)) as held, open_store(store or out, warn).held(planned.key) as kept:
        directory = RunDirectory(out, study.name, warn)
        whole = not kept.damaged(_adapters(planned))
        if not (whole and directory.finished(planned.key, FILES)):
            kept.damaged(_shards(planned))
            forecast(planned, store or out, on_event)
            with run_log(out, planned.key, on_event) as sink:
                work(planned, kept, out / "scratch", sink, consent, executor)
            held.check()
            kept.check()
            matrix, files = assemble(planned, kept, out)
            plan_text = json_text(planned.to_json(), indent=1) + "\n"
            files |= {"study.yaml": said, "plan.json": plan_text, "results.json": results_text(matrix)}
            directory.publish(planned.key, files)
            directory.publish(planned.key, _reports(out))
        elif not directory.finished(planned.key, REPORTS.names()):
            directory.publish(planned.key, _reports(out))
        tidy(planned, out / "scratch")
        return load_results(out / "results.json")


def _study_text(study: Study, out: Path) -> str:
    """``study.yaml``; InputError if it, or the name of ``out``, is not text that can be written."""
    encoded(str(out), out)
    text = resolved_yaml(study)
    encoded(text, out / "study.yaml")
    return text


def _reports(out: Path) -> dict[str, str]:
    """The reports on exactly what was published."""
    return report_texts(load_results(out / "results.json"))


def _adapters(planned: Plan) -> Iterable[tuple[str, str]]:
    return ((ADAPTER, key) for key in planned.adapters)


def _shards(planned: Plan) -> Iterable[tuple[str, str]]:
    yield from ((ANSWERS, step.key) for step in planned.answer)
    yield from ((VERDICTS, step.key) for step in planned.score)
    yield from ((VERDICTS, step.key) for step in planned.sampled_score)


def _size(planned: Plan) -> str:
    asked = sum(step.prompts for step in planned.answer)
    leaks = "".join(f"; suite {name}: {one}" for name, one in planned.resolved.leakage.items())
    return f"{len(planned.tune)} adapters, {asked:,} prompts{leaks}"
