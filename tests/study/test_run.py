"""A study runs to its matrix, goes on where it was killed, and computes nothing twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import puretune
from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, Event, Started
from puretune.store import lease
from puretune.study import Matrix, Study, load_results, run_study
from tests.study.studies import STUDY, small_study

ONE_SEED = {**STUDY["tuning"], "seeds": [0]}

# One interpreter loads the libraries; a fork of it is killed at each of the given events.
_KILLED_RUNS = """
import os, signal, sys
from pathlib import Path
import torch, transformers.models.llama.modeling_llama
from puretune.events import Advanced
from puretune.study import Study, run_study
study, out = sys.argv[1:3]
for point in sys.argv[3:]:
    work, at = point.split("@")
    def sink(event):
        if isinstance(event, Advanced) and event.work.startswith(work) and event.done == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
    child = os.fork()
    if child == 0:
        run_study(Study.load(study), Path(out), sink)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), (Path(out) / "results.json").exists(), flush=True)
"""


def cells_text(out: Path) -> str:
    return json.dumps(json.loads((out / "results.json").read_text())["cells"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Watch:
    """Remembers what was done."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def started(self) -> dict[str, int | None]:
        return {event.work: event.total for event in self.events if isinstance(event, Started)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Matrix]:
    """One run of the small study, for the tests that only look at it."""
    directory = tmp_path_factory.mktemp("finished")
    study = Study.load(
        small_study(directory, model, train=["untuned", "CV", {"template": "CL", "name": "mine"}])
    )
    return directory, run_study(study, directory / "run")


def test_the_matrix_has_every_cell(finished: tuple[Path, Matrix]) -> None:
    _, matrix = finished
    assert {(cell.condition, cell.train_template, cell.seed) for cell in matrix.cells} == {
        ("untuned", None, None),
        *(("chat:vanilla", "chat:vanilla", seed) for seed in (0, 1)),
        *(("mine", "chat:llama", seed) for seed in (0, 1)),
    }
    assert matrix.conditions == ("untuned", "chat:vanilla", "mine")
    assert matrix.test_templates == ("chat:vanilla", "chat:llama")
    assert {cell.metric for cell in matrix.cells} == {"exact_match", "exact_match_flexible"}
    assert {cell.n for cell in matrix.cells} == {4}
    assert {pooled.seeds for pooled in matrix.pooled} == {1, 2}


def test_results_are_read_back_as_they_were_written(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    read = load_results(directory / "run")
    assert (read.cells, read.pooled, read.transcripts) == (matrix.cells, matrix.pooled, matrix.transcripts)
    assert (read.measures, read.kinds) == (matrix.measures, matrix.kinds)


def test_answers_and_verdicts_can_be_opened(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    answers, verdicts = (
        lines(directory / "run" / "answers.jsonl"),
        lines(directory / "run" / "verdicts.jsonl"),
    )
    assert (
        len(answers) == len(verdicts) == sum(cell.n for cell in matrix.cells if cell.metric == "exact_match")
    )
    tuned = next(row for row in answers if row["condition"] == "mine")
    assert tuned["train_template"] == "chat:llama"
    assert tuned["train_fingerprint"] != tuned["test_fingerprint"]
    assert {"prompt_id", "sample", "query", "reference", "answer", "finish", "suite", "seed"} <= set(tuned)
    assert {"scorer", "values", "behaviour", "parse", "prompt_id", "sample"} <= set(verdicts[0])
    assert not {"query", "answer", "reference"} & set(verdicts[0]), "an answer is stored once"


def test_the_rates_are_those_of_the_stored_verdicts(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    verdicts = lines(directory / "run" / "verdicts.jsonl")
    for cell in matrix.cells:
        same = [
            row["values"][cell.metric]
            for row in verdicts
            if (row["condition"], row["seed"], row["test_template"])
            == (cell.condition, cell.seed, cell.test_template)
        ]
        assert cell.value == sum(same) / len(same)


def test_provenance_says_where_the_numbers_come_from(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    facts = matrix.provenance
    assert {"torch", "transformers", "peft", "puretune", "python"} <= set(facts["versions"])
    assert facts["decoding"]["sums"]["max_new_tokens"] == 4
    assert facts["templates"]["chat:llama"]["rendering"].endswith("[/INST]")
    assert "####" in facts["templates"]["chat:llama"]["training_rendering"]
    assert facts["tokens"]["seen"] > facts["tokens"]["trained"] > 0
    assert len(facts["adapters"]) == 4
    assert all(
        (directory / "run" / adapter["path"] / "adapter_config.json").is_file()
        for adapter in facts["adapters"]
    )


def test_the_same_command_again_computes_nothing(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    before = {path: path.stat().st_mtime_ns for path in (directory / "run").glob("*.json*")}
    watch = Watch()
    again = run_study(Study.load(directory / "study.yaml"), directory / "run", watch)
    assert again.cells == matrix.cells
    assert set(watch.started) == {"plan"}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_lost_output_file_is_written_again_without_computing(finished: tuple[Path, Matrix]) -> None:
    directory, _ = finished
    before = (directory / "run" / "answers.jsonl").read_bytes()
    (directory / "run" / "answers.jsonl").unlink()
    watch = Watch()
    run_study(Study.load(directory / "study.yaml"), directory / "run", watch)
    assert (directory / "run" / "answers.jsonl").read_bytes() == before
    assert set(watch.started) == {"plan"}


def test_the_copy_in_the_run_directory_is_the_same_study(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    watch = Watch()
    again = run_study(Study.load(directory / "run" / "study.yaml"), directory / "run", watch)
    assert again.cells == matrix.cells
    assert set(watch.started) == {"plan"}


def test_one_more_template_computes_only_its_own_cells(finished: tuple[Path, Matrix]) -> None:
    directory, matrix = finished
    more = json.loads((directory / "run" / "results.json").read_text())
    study = Study.load(directory / "study.yaml").model_copy(update={"test": ("CV", "CL", "CS")})
    watch = Watch()
    out = directory / "run"
    wider = run_study(study, out, watch)
    assert watch.started["answer"] == 5 * 4
    assert not [work for work in watch.started if work.startswith("tune")]
    assert [cell for cell in wider.cells if cell.test_template != "chat:llama-short"] == list(matrix.cells)
    run_study(Study.load(directory / "study.yaml"), out)
    assert json.loads((out / "results.json").read_text())["cells"] == more["cells"]


def test_killed_anywhere_it_goes_on_to_the_very_same_results(tmp_path: Path, model: Path) -> None:
    study = small_study(tmp_path, model)
    killed = tmp_path / "killed"
    points = ("tune@2", "answer@9", "score@3")
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_RUNS, str(study), str(killed), *points],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout.splitlines() == [f"{-signal.SIGKILL} False"] * 3
    watch = Watch()
    run_study(Study.load(study), killed, watch)
    assert set(watch.started) == {"plan", "score"}
    assert not (killed / "scratch").exists()
    run_study(Study.load(study), tmp_path / "whole")
    assert cells_text(killed) == cells_text(tmp_path / "whole")
    assert (killed / "answers.jsonl").read_bytes() == (tmp_path / "whole" / "answers.jsonl").read_bytes()
    assert (killed / "verdicts.jsonl").read_bytes() == (tmp_path / "whole" / "verdicts.jsonl").read_bytes()


def test_ctrl_c_frees_the_directory_and_keeps_what_was_done(tmp_path: Path, model: Path) -> None:
    study = Study.load(small_study(tmp_path, model, tuning=ONE_SEED, train=["CV"], test=["CV", "CL"]))

    def interrupt(event: Event) -> None:
        if isinstance(event, Advanced) and event.work == "answer" and event.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "run", interrupt)
    watch = Watch()
    run_study(study, tmp_path / "run", watch)
    assert watch.started["answer"] == 4
    assert not [work for work in watch.started if work.startswith("tune")]


def test_studies_share_a_store_that_the_environment_names(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PURETUNE_STORE", str(tmp_path / "shared"))
    study = Study.load(small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"]))
    run_study(study, tmp_path / "one")
    watch = Watch()
    run_study(study, tmp_path / "two", watch)
    assert set(watch.started) == {"plan"}
    assert cells_text(tmp_path / "one") == cells_text(tmp_path / "two")


def test_adapters_and_checkpoints_that_exist_are_conditions(tmp_path: Path, model: Path) -> None:
    first = Study.load(small_study(tmp_path, model, tuning=ONE_SEED, train=["CV"], test=["CV"]))
    made = run_study(first, tmp_path / "first")
    adapter = str(tmp_path / "first" / made.provenance["adapters"][0]["path"])
    train = [
        "untuned",
        {"adapter": adapter, "name": "mine"},
        {"checkpoint": "model", "name": "same"},
        {"template": "CV", "start": adapter, "name": "twice"},
    ]
    second = Study.load(small_study(tmp_path, model, tuning=ONE_SEED, train=train, test=["CV"]))
    matrix = run_study(second, tmp_path / "second")
    assert matrix.conditions == ("untuned", "mine", "same", "twice")
    texts: dict[str, list[str]] = {}
    for row in lines(tmp_path / "second" / "answers.jsonl"):
        texts.setdefault(row["condition"], []).append(row["answer"])
    assert texts["same"] == texts["untuned"]
    assert texts["mine"] == [row["answer"] for row in lines(tmp_path / "first" / "answers.jsonl")]
    assert len({tuple(texts[name]) for name in ("untuned", "mine", "twice")}) == 3


def test_kept_steps_are_cells_of_their_own(tmp_path: Path, model: Path) -> None:
    tuning = {**ONE_SEED, "recipe": {**ONE_SEED["recipe"], "keep": [1]}}
    study = Study.load(small_study(tmp_path, model, tuning=tuning, train=["CV"], test=["CV"]))
    matrix = run_study(study, tmp_path / "run")
    assert {(cell.step, cell.seed) for cell in matrix.cells} == {(1, 0), (None, 0)}


def test_several_samples_per_prompt_are_kept_apart(tmp_path: Path, model: Path) -> None:
    decoding = {"temperature": 1.0, "n": 3}
    study = Study.load(
        small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"], decoding=decoding)
    )
    matrix = run_study(study, tmp_path / "run")
    rows = lines(tmp_path / "run" / "answers.jsonl")
    assert [row["sample"] for row in rows] == [0, 1, 2] * 4
    assert len({row["answer"] for row in rows}) > 4
    assert matrix.cells[0].n == 12


def test_python_gets_what_the_command_line_gets(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_study(tmp_path, model)
    monkeypatch.chdir(tmp_path)
    matrix = puretune.run(
        Study(name="frames", model="./model", train=["untuned"], test=["CV"], suites=STUDY["suites"])
    )
    out = tmp_path / "runs" / "frames"
    matrix.write("again")
    for name in ("report.md", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    assert puretune.run(out / "study.yaml", str(out)) == matrix
    frame = matrix.frame()
    assert frame[["condition", "metric", "n"]].values.tolist() == [
        ["untuned", "exact_match", 4], ["untuned", "exact_match_flexible", 4]
    ]  # fmt: skip
    assert {"truncated", "value", "low", "high"} <= set(frame.columns)
    assert (out / "results.json").is_file()


def test_a_query_longer_than_the_context_is_refused_before_anything_is_computed(
    tmp_path: Path, model: Path
) -> None:
    study = small_study(tmp_path, model)
    with (tmp_path / "sums.jsonl").open("a") as file:
        file.write(json.dumps({"question": "why " * 300, "answer": "#### 1"}) + "\n")
    fields = {**STUDY["suites"][0], "limit": None}
    study = small_study_with_data(study, suites=[fields])
    watch = Watch()
    with pytest.raises(
        InputError, match=r"suite 'sums', prompt 'sums-7': \d+ tokens under template 'chat:vanilla'.*256"
    ):
        run_study(Study.load(study), tmp_path / "run", watch)
    assert set(watch.started) == {"plan"}


def test_an_answer_that_may_outgrow_the_context_is_refused_before_anything_is_computed(
    tmp_path: Path, model: Path
) -> None:
    suites = [{**STUDY["suites"][0], "max_new_tokens": 250}]
    watch = Watch()
    with pytest.raises(InputError, match=r"up to 250 new ones do not fit into the model's context of 256"):
        run_study(Study.load(small_study(tmp_path, model, suites=suites)), tmp_path / "run", watch)
    assert set(watch.started) == {"plan"}


def test_a_training_row_longer_than_the_context_is_refused_before_anything_is_computed(
    tmp_path: Path, model: Path
) -> None:
    study = small_study(tmp_path, model)
    long = {"question": "why?", "answer": "because " * 300}
    (tmp_path / "long.jsonl").write_text(json.dumps(long) + "\n")
    tuning = {**ONE_SEED, "data": ["sums.jsonl", "long.jsonl"]}
    watch = Watch()
    with pytest.raises(InputError, match=r"row 'long-1': \d+ tokens under template 'chat:vanilla'"):
        run_study(Study.load(small_study_with_data(study, tuning=tuning)), tmp_path / "run", watch)
    assert set(watch.started) == {"plan", "load model"}


def test_suites_may_share_their_prompts_and_conditions_their_training(tmp_path: Path, model: Path) -> None:
    first = STUDY["suites"][0]
    suites = [first, {**first, "name": "again", "scorers": ["refusal"]}]
    train = ["CV", {"template": "CV", "name": "same"}]
    fields = {"suites": suites, "train": train, "test": ["CV"], "tuning": ONE_SEED}
    watch = Watch()
    matrix = run_study(Study.load(small_study(tmp_path, model, **fields)), tmp_path / "run", watch)
    assert watch.started["answer"] == 4
    assert len([work for work in watch.started if work.startswith("tune")]) == 1
    assert {(cell.suite, cell.metric) for cell in matrix.cells} == {
        ("sums", "exact_match"),
        ("sums", "exact_match_flexible"),
        ("again", "refusal_rate"),
    }
    assert {cell.condition for cell in matrix.cells} == {"chat:vanilla", "same"}
    assert {
        row["scorer"] for row in lines(tmp_path / "run" / "verdicts.jsonl") if row["suite"] == "again"
    } == {"refusal"}


def test_an_edited_results_file_is_written_again(tmp_path: Path, model: Path) -> None:
    study = Study.load(small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"]))
    run_study(study, tmp_path / "run")
    before = (tmp_path / "run" / "results.json").read_text()
    (tmp_path / "run" / "results.json").write_text(before.replace('"n": 4', '"n": 5'))
    run_study(study, tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_text() == before


def small_study_with_data(path: Path, **changes: Any) -> Path:
    """The study file with changes, its data left alone."""
    import yaml

    fields = {**yaml.safe_load(path.read_text()), **changes}
    path.write_text(yaml.safe_dump(fields))
    return path


def test_a_reference_that_a_scorer_cannot_use_is_refused_before_anything_is_computed(
    tmp_path: Path, model: Path
) -> None:
    study = small_study(tmp_path, model)
    (tmp_path / "words.jsonl").write_text('{"question": "why?", "answer": "because"}\n')
    suites = [{"name": "words", "source": "words.jsonl", "scorers": ["gsm8k"]}]
    with pytest.raises(InputError, match=r"suite 'words': example words-1: no number in the reference"):
        run_study(Study.load(small_study_with_data(study, suites=suites)), tmp_path / "run")


def test_a_second_process_on_the_same_directory_is_refused(tmp_path: Path, model: Path) -> None:
    study = Study.load(small_study(tmp_path, model))
    with lease(tmp_path / "run"), pytest.raises(EnvironmentFault, match="in use by process"):
        run_study(study, tmp_path / "run")


def test_an_output_directory_that_cannot_be_written_is_an_environment_fault(
    tmp_path: Path, model: Path
) -> None:
    study = Study.load(small_study(tmp_path, model))
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot write"):
        run_study(study, tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "not valid JSON"),
        ("{}", "schema_version is None"),
        ('{"schema_version": 3}', "not a results file"),
    ],
)
def test_a_file_that_is_no_results_file_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match=expected):
        load_results(tmp_path)


def test_provenance_says_which_of_xstests_labels_were_asked(tmp_path: Path, model: Path) -> None:
    labels = ("safe", "unsafe")
    named = [{"id": i, "prompt": "How?", "type": "homonyms", "label": one} for i, one in enumerate(labels)]
    (tmp_path / "xstest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    suite = {"name": "xstest", "path": "xstest.jsonl", "split": "unsafe", "max_new_tokens": 2}
    study = small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"], suites=[suite])
    matrix = run_study(Study.load(study), tmp_path / "run")
    facts = matrix.provenance["data"]["xstest"]
    assert (facts["prompts"], facts["labels"]) == (1, ["unsafe"])
    (refusals,) = (one for one in matrix.measures if one.scorer == "refusal")
    assert (refusals.asks, refusals.better) == ("harm", "higher")
    assert matrix.kinds == {"untuned": "untuned"}


def test_a_suite_of_ones_own_says_what_it_asks_for(tmp_path: Path, model: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"id": "0", "question": "How?"}\n')
    own = {"name": "pharmacy", "source": "own.jsonl", "scorers": ["refusal"], "max_new_tokens": 2}
    found = {}
    for asks in ("benign", None):
        suites = [{**own, "asks": asks}]
        study = small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"], suites=suites)
        (measure,) = run_study(Study.load(study), tmp_path / "run").measures
        found[measure.asks] = measure.better
    assert found == {"benign": "lower", None: None}


def test_an_existing_adapter_is_not_called_untuned(tmp_path: Path, model: Path) -> None:
    entry = {"name": "untuned", "checkpoint": str(model)}
    study = small_study(tmp_path, model, tuning=None, train=[entry], test=["CV"])
    with pytest.raises(InputError, match="reserved for the untuned base model"):
        run_study(Study.load(study), tmp_path / "run")
