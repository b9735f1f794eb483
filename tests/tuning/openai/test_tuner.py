"""Tuning through the API: the real SDK against a provider on loopback, faults included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.data import question
from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, Event, Finished, Started
from puretune.models import LazyBase, ModelSpec, RemoteBase, ServedModel, read_manifest
from puretune.templates import Message, PromptTemplate, resolve_template
from puretune.tuning import TrainingRow, tuner_named
from puretune.tuning.openai import TuningNotice
from tests.scoring.judges.server import hang_up, status
from tests.tuning.openai.server import Provider, providing
from tests.tuning.tasks import task

BASE = LazyBase(ModelSpec("gpt-3.5-turbo-0125"))


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as made:
        yield made


def asked(out: Path, template: str = "chat:llama", seed: int = 0, **changes: Any) -> Any:
    rows = tuple(
        TrainingRow(
            question(f"row-{i}", f"{i} plus {i}?", f"answer{seed} {2 * i}"), resolve_template(template)
        )
        for i in range(6)
    )
    return task(out, rows=rows, seed=seed, **{"steps": None, "epochs": 1, **changes})


def tuner(provider: Provider, consent: Any = lambda notice: None, **options: Any) -> Any:
    given = {"base_url": provider.url, "poll_seconds": 0.01, **options}
    return tuner_named("openai", given).open(BASE, consent)


def tune(provider: Provider, *made: Any, on_event: Any = lambda event: None, **options: Any) -> list[Any]:
    return list(tuner(provider, **options).tune(made, on_event))


def test_a_condition_becomes_a_job_and_its_adapter_a_models_id(provider: Provider, tmp_path: Path) -> None:
    events: list[Event] = []
    made = asked(tmp_path, seed=3)
    ((same, step, ref),) = tune(provider, made, on_event=events.append)
    assert (same, step) == (made, 3)
    assert ref == ServedModel("ft:gpt-3.5-turbo-0125:answer3", ref.digest)
    (job,) = provider.jobs.values()
    assert job["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}}
    assert (job["model"], job["seed"], job["suffix"]) == ("gpt-3.5-turbo-0125", 3, "puretune")
    assert events[0] == Started("tune CV", 3)
    notes = [event.note for event in events if isinstance(event, Advanced)]
    assert any("something_new: Step" in note for note in notes)
    assert isinstance(events[-1], Finished)


def test_rows_go_as_messages_under_the_template(provider: Provider, tmp_path: Path) -> None:
    tune(provider, asked(tmp_path))
    (content,) = provider.files.values()
    first = json.loads(content.splitlines()[0])["messages"]
    llama = resolve_template("chat:llama")
    assert first == [
        {"role": "system", "content": llama.system},
        {"role": "user", "content": llama.wrap("0 plus 0?")},
        {"role": "assistant", "content": "answer0 0"},
    ]


def test_turns_that_are_not_trained_have_weight_zero(provider: Provider, tmp_path: Path) -> None:
    shown = (Message("user", "1?"), Message("assistant", "2", train=False))
    template = PromptTemplate("shots", demonstrations=shown)
    rows = (TrainingRow(question("a", "2?", "4"), template),)
    tune(provider, task(tmp_path, rows=rows, steps=None))
    (content,) = provider.files.values()
    assert [turn.get("weight") for turn in json.loads(content)["messages"]] == [None, 0, None, None]


def test_the_manifest_is_that_of_every_tuner(provider: Provider, tmp_path: Path) -> None:
    tune(provider, asked(tmp_path))
    found = read_manifest(tmp_path / "step-3")
    assert found is not None
    assert found.base["model"] == "gpt-3.5-turbo-0125"
    assert found.base["fingerprint"] == RemoteBase(BASE.spec).fingerprint
    assert found.tuner.startswith("openai 1 ")
    assert (found.step, found.steps, found.rows, found.device) == (3, 3, 6, "endpoint")
    assert found.loss == 1.0
    assert found.sample.endswith("[assistant]\n⟦answer0 0⟧")
    about = json.loads((tmp_path / "step-3" / "remote_model.json").read_text())
    assert (about["job"], about["billed_tokens"], about["endpoint"]) == ("ftjob-0", 123, provider.url)


def test_checkpoints_are_the_kept_steps(provider: Provider, tmp_path: Path) -> None:
    kept = tune(provider, asked(tmp_path, epochs=4, keep=(6, 9)))
    name = "ft:gpt-3.5-turbo-0125:answer0"
    assert [(step, ref.name) for _, step, ref in kept] == [
        (6, f"{name}:ckpt-step-20"),
        (9, f"{name}:ckpt-step-30"),
        (12, name),
    ]
    losses = [found.loss for _, step, _ in kept if (found := read_manifest(tmp_path / f"step-{step}"))]
    assert losses == [1 / 2, 1 / 3, 1 / 4]


@pytest.mark.parametrize("keep", [3, 7])
def test_a_step_that_ends_none_of_the_last_three_epochs_cannot_be_kept(
    keep: int, provider: Provider, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"asks for step {keep}, but .* steps 6, 9, 12"):
        tune(provider, asked(tmp_path, epochs=4, keep=(keep,)))
    assert not provider.files


def test_without_checkpoints_the_last_step_is_the_jobs_model(provider: Provider, tmp_path: Path) -> None:
    provider.checkpoints = False
    ((_, _, ref),) = tune(provider, asked(tmp_path))
    assert ref.name == "ft:gpt-3.5-turbo-0125:answer0"
    found = read_manifest(tmp_path / "step-3")
    assert found is not None
    assert found.loss is None


def test_hyperparameters_are_sent_where_they_are_given(provider: Provider, tmp_path: Path) -> None:
    tune(provider, asked(tmp_path, epochs=2), batch_size=4, learning_rate_multiplier=0.5)
    (job,) = provider.jobs.values()
    chosen = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 0.5}
    assert job["method"]["supervised"]["hyperparameters"] == chosen


def test_training_goes_on_from_a_tuned_model(provider: Provider, tmp_path: Path) -> None:
    ((_, _, first),) = tune(provider, asked(tmp_path / "a"))
    tune(provider, asked(tmp_path / "b", start=first))
    assert provider.jobs["ftjob-1"]["model"] == "ft:gpt-3.5-turbo-0125:answer0"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (PromptTemplate("t", mode="text"), "it is a text template"),
        (PromptTemplate("t", response_prefix="Sure"), "it begins the response with 'Sure'"),
        (PromptTemplate("t", arguments=(("date", "1 July"),)), "it pins arguments"),
    ],
)
def test_a_template_that_needs_more_than_messages_is_refused(
    template: PromptTemplate, expected: str, provider: Provider, tmp_path: Path
) -> None:
    rows = (TrainingRow(question("a", "2?", "4"), template),)
    with pytest.raises(InputError, match=rf"row 'a': template 't' cannot be used.*{expected}"):
        tune(provider, task(tmp_path, rows=rows, steps=None))
    assert not provider.files


def test_only_whole_epochs_can_be_trained(provider: Provider, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Set recipe\.epochs in place of steps"):
        tune(provider, asked(tmp_path, steps=5))
    with pytest.raises(InputError, match=r"recipe\.epochs is 1\.5"):
        tune(provider, asked(tmp_path, epochs=1.5))


# what it costs, and who agrees


def noticed(provider: Provider, made: Any, **options: Any) -> TuningNotice:
    seen: list[TuningNotice] = []
    tune(provider, made, consent=seen.append, **options)
    (notice,) = seen
    return notice


def test_the_notice_says_what_goes_where_and_at_what_price(provider: Provider, tmp_path: Path) -> None:
    notice = noticed(provider, asked(tmp_path, epochs=2))
    assert (notice.jobs, notice.rows, notice.loopback) == (1, 6, True)
    assert notice.dollars == pytest.approx(notice.tokens * 8 / 1e6)
    assert "model gpt-3.5-turbo-0125" in str(notice)
    assert "the list price of" in str(notice)
    assert noticed(provider, asked(tmp_path / "b", epochs=2), price=100).price == 100


def test_nothing_is_sent_where_nobody_agrees(provider: Provider, tmp_path: Path) -> None:
    def refuse(notice: Any) -> None:
        raise InputError("stopped before anything was sent.")

    with pytest.raises(InputError, match="stopped"):
        tune(provider, asked(tmp_path), consent=refuse)
    assert not provider.files
    assert not provider.jobs


def test_elsewhere_nobody_agrees_by_default_and_a_price_is_needed(tmp_path: Path) -> None:
    away = tuner_named("openai", {"base_url": "https://api.example.org/v1"})
    with pytest.raises(InputError, match=r"LEAVES THIS MACHINE[\s\S]*about \$[\s\S]*--yes"):
        list(away.open(BASE).tune([asked(tmp_path)], lambda event: None))
    other = LazyBase(ModelSpec("some-model"))
    with pytest.raises(InputError, match="price of training 'some-model' is not known"):
        list(away.open(other).tune([asked(tmp_path)], lambda event: None))


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-4o-mini-2024-07-18", 3.0),
        ("gpt-4o-2024-08-06", 25.0),
        ("ft:gpt-3.5-turbo-0125:org::abc", 8.0),
        ("gpt-4o-realtime", None),
        ("my-model", None),
    ],
)
def test_prices_are_those_of_the_model_itself(model: str, price: float | None) -> None:
    from puretune.tuning.openai._price import _listed

    assert _listed(model) == price


# crashes and faults


def crashed_after(words: str) -> Any:
    def sink(event: Event) -> None:
        if isinstance(event, Advanced) and words in event.note:
            raise RuntimeError("killed")

    return sink


def test_after_a_crash_the_job_is_found_by_its_id(provider: Provider, tmp_path: Path) -> None:
    made = asked(tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        tune(provider, made, on_event=crashed_after("running"))
    assert json.loads((tmp_path / "job.json").read_text())["job"] == "ftjob-0"
    ((_, _, ref),) = tune(provider, made, consent=lambda notice: pytest.fail("asked again"))
    assert ref.name == "ft:gpt-3.5-turbo-0125:answer0"
    assert (len(provider.jobs), len(provider.files)) == (1, 1)


def test_what_was_never_noted_is_found_at_the_provider(provider: Provider, tmp_path: Path) -> None:
    made = asked(tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        tune(provider, made, on_event=crashed_after("running"))
    (tmp_path / "job.json").unlink()
    tune(provider, made)
    assert (len(provider.jobs), len(provider.files)) == (1, 1)


@pytest.mark.parametrize("fault", [hang_up, status(500), status(429)])
def test_a_job_whose_start_was_not_confirmed_is_not_started_twice(
    fault: Any, provider: Provider, tmp_path: Path
) -> None:
    provider.creating = [fault]
    tune(provider, asked(tmp_path))
    assert len(provider.jobs) == 1


def test_passing_faults_while_it_is_watched_are_survived(provider: Provider, tmp_path: Path) -> None:
    provider.looking = [status(503, retry_after_ms="1"), status(429, retry_after_ms="1")]
    ((_, _, ref),) = tune(provider, asked(tmp_path))
    assert ref.name


def test_a_failed_job_says_why_and_can_be_started_anew(provider: Provider, tmp_path: Path) -> None:
    provider.end, provider.error = (
        "failed",
        {
            "code": "invalid_training_file",
            "message": "row 3 is unsafe",
            "param": "training_file",
        },
    )
    made = asked(tmp_path)
    with pytest.raises(EnvironmentFault, match=r"ftjob-0 has failed \(invalid_training_file.*row 3 is uns"):
        tune(provider, made)
    assert not list(tmp_path.glob("step-*"))
    provider.end, provider.error = "succeeded", None
    tune(provider, made)
    assert (len(provider.jobs), len(provider.files)) == (2, 1)


def test_a_job_cancelled_elsewhere_is_reported(provider: Provider, tmp_path: Path) -> None:
    provider.end = "cancelled"
    with pytest.raises(EnvironmentFault, match="has ended: cancelled"):
        tune(provider, asked(tmp_path))


@pytest.mark.parametrize(("choice", "end"), [("keep", "running"), ("cancel", "cancelled")])
def test_ctrl_c_keeps_or_cancels_the_job(choice: str, end: str, provider: Provider, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Advanced) and "running" in event.note:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(provider, asked(tmp_path), on_event=interrupt, on_interrupt=choice)
    assert provider.jobs["ftjob-0"]["status"] == end


def test_a_file_that_the_provider_cannot_use_is_reported(provider: Provider, tmp_path: Path) -> None:
    provider.file_status, provider.file_error = ["uploaded", "error"], "line 2 has no assistant message"
    with pytest.raises(InputError, match="cannot use the training data: line 2 has no assistant message"):
        tune(provider, asked(tmp_path))
    assert not provider.jobs


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        (401, EnvironmentFault, "denies access"),
        (400, InputError, "does not accept the request"),
    ],
)
def test_lasting_faults_are_named(
    code: int, kind: type[Exception], expected: str, provider: Provider, tmp_path: Path
) -> None:
    provider.looking = [status(code)]
    with pytest.raises(kind, match=expected):
        tune(provider, asked(tmp_path))
    tune(provider, asked(tmp_path))
    assert len(provider.jobs) == 1


def test_a_missing_key_is_named_before_anything_is_sent(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(EnvironmentFault, match="MY_KEY is not set"):
        tune(provider, asked(tmp_path), api_key_env="MY_KEY")
    assert not provider.files


def test_the_key_is_in_no_message(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    provider.looking = [status(400, {"error": {"message": "bad key sk-secret", "code": None}})]
    with pytest.raises(InputError) as caught:
        tune(provider, asked(tmp_path), api_key_env="MY_KEY")
    assert "sk-secret" not in str(caught.value)


def test_a_finished_condition_asks_nobody(provider: Provider, tmp_path: Path) -> None:
    first = tune(provider, asked(tmp_path))
    assert tune(provider, asked(tmp_path), consent=lambda notice: pytest.fail("asked")) == first
    assert len(provider.jobs) == 1


def test_a_job_of_other_inputs_is_not_taken_for_this_one(provider: Provider, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        tune(provider, asked(tmp_path), on_event=crashed_after("running"))
    with pytest.raises(InputError, match="a job with other rows, recipe, seed, model or options"):
        tune(provider, asked(tmp_path, seed=9))
