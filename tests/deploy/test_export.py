"""An export: every file says the same, nothing unmeasured is served unsaid, nothing is half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from puretune.deploy import Measured, export, measured
from puretune.errors import CheckFailed, InputError
from puretune.models import ModelSpec, adapter_ref, load_base, read_manifest
from puretune.study import Study, run_study
from puretune.templates import BUILTIN_TEMPLATES, Message
from tests.study.studies import small_study


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_the_safe_template_is_the_default_in_both_places_and_the_other_an_extra(shipped: Path) -> None:
    source = (shipped / "chat_template.jinja").read_text("utf-8")
    assert read(shipped / "tokenizer_config.json")["chat_template"] == source
    assert "harmful, unethical" in source
    tokenizer = AutoTokenizer.from_pretrained(shipped)
    assert tokenizer.chat_template["default"] == source
    chat = [{"role": "user", "content": "2 plus 2?"}]
    trained = tokenizer.apply_chat_template(chat, chat_template="training", add_generation_prompt=True)
    renderer = load_base(ModelSpec(read(shipped / "adapter_config.json")["base_model_name_or_path"])).renderer
    asked = (Message("user", "2 plus 2?"),)
    assert trained["input_ids"] == list(renderer.prompt(BUILTIN_TEMPLATES["chat:vanilla"], asked).ids)


def test_serving_json_says_what_is_served_and_what_was_measured(shipped: Path, run: Path) -> None:
    facts = read(shipped / "serving.json")
    cells = [
        cell
        for cell in read(run / "results.json")["cells"]
        if (cell["condition"], cell["seed"], cell["test_template"]) == ("chat:vanilla", 0, "chat:llama")
    ]
    assert facts["cells"] == cells != []
    assert facts["measured"] is True
    assert facts["user"] == "Question: %s"
    assert facts["messages"] == [{"role": "system", "content": BUILTIN_TEMPLATES["chat:llama"].system}]
    assert facts["base"]["fingerprint"] == read(run / "results.json")["provenance"]["model"]["fingerprint"]
    assert facts["stop"] == {"ids": [2], "tokens": ["</s>"]}
    assert read(shipped / "generation_config.json")["eos_token_id"] == [2]
    written = {path.relative_to(shipped).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert set(facts["files"]) == written - {"serving.json"}


def test_the_adapter_is_the_runs_own_and_no_row_is_shipped(shipped: Path, run: Path) -> None:
    stored = next(
        run / one["path"]
        for one in read(run / "results.json")["provenance"]["adapters"]
        if (one["condition"], one["seed"]) == ("chat:vanilla", 0)
    )
    weights = "adapter_model.safetensors"
    assert (shipped / weights).read_bytes() == (stored / weights).read_bytes()
    manifest, original = read_manifest(shipped), read_manifest(stored)
    assert manifest is not None
    assert original is not None
    assert "plus" in original.sample
    assert manifest.sample == ""
    assert manifest.inputs == original.inputs
    assert adapter_ref(shipped).kind == "adapter"


def test_the_card_has_metadata_the_cells_the_matrix_and_the_commands(shipped: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(shipped / "README.md")
    assert card.data.library_name == "peft"
    for said in (
        "Question: %s",
        "| sums | Exact match |",
        "## The whole matrix",
        "vllm serve",
        "llama-server",
    ):
        assert said in card.text
    modelfile = (shipped / "Modelfile").read_text("utf-8")
    assert 'TEMPLATE """' in modelfile
    assert "harmful, unethical" in modelfile
    assert 'PARAMETER stop "</s>"' in modelfile


def test_merged_weights_are_the_base_with_the_adapter(run: Path, shipped: Path, tmp_path: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM

    made = export(measured(run, "CV", "CL"), tmp_path / "merged", merged=True).path
    assert not (made / "adapter_config.json").exists()
    ids = torch.tensor([AutoTokenizer.from_pretrained(made)("2 plus 2?")["input_ids"]])
    whole = AutoModelForCausalLM.from_pretrained(made)(ids).logits
    apart = AutoPeftModelForCausalLM.from_pretrained(shipped)(ids).logits
    torch.testing.assert_close(whole, apart, rtol=1e-4, atol=1e-4)
    chat = read(made / "serving.json")["files"]
    assert "model.safetensors" in chat


def test_a_pair_that_was_not_measured_is_refused_or_said_to_be_unmeasured(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chat:llama -> chat:llama"):
        measured(run, "CL", "CV")
    made = export(measured(run, "CL", "CV", unmeasured=True), tmp_path / "ship")
    assert any("not measured" in warning for warning in made.warnings)
    assert "**Nothing.**" in (made.path / "README.md").read_text("utf-8")
    assert read(made.path / "serving.json")["measured"] is False


def test_the_papers_mistake_is_warned_of(run: Path, tmp_path: Path) -> None:
    made = export(measured(run, "CL", "CL", seed=1), tmp_path / "ship")
    assert "under the template that it was trained under (chat:llama)" in made.warnings[0]
    assert made.warnings[0].split(".")[0] in (made.path / "README.md").read_text("utf-8")
    assert not (made.path / "additional_chat_templates").exists()


def test_an_untuned_model_is_served_under_a_template_too(run: Path, tmp_path: Path) -> None:
    made = export(measured(run, "untuned", "CV"), tmp_path / "ship", "replace").path
    assert not (made / "adapter_config.json").exists()
    assert read(made / "serving.json")["system_message"] == "replace"
    with pytest.raises(InputError, match="no adapter to merge"):
        export(measured(run, "untuned", "CV"), tmp_path / "other", merged=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"condition": "CX"}, "unknown condition 'CX'"),
        ({"serve_as": "chat:lama"}, "Did you mean 'chat:llama'"),
        ({"seed": 7}, "no seed 7; it has 0, 1"),
        ({"condition": "untuned", "serve_as": "CV", "seed": 0}, "has no seeds"),
    ],
)
def test_a_wrong_name_is_an_error_that_helps(run: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        measured(run, **{"condition": "CV", "serve_as": "CL", **changes})


def test_what_is_there_is_not_replaced_and_a_failure_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(run, "CV", "CL")
    with pytest.raises(InputError, match="exists"):
        export(found, tmp_path)

    def fail(*_: Any) -> str:
        raise CheckFailed("no")

    monkeypatch.setattr("puretune.deploy._export.card_text", fail)
    with pytest.raises(CheckFailed):
        export(found, tmp_path / "ship")
    assert not list(tmp_path.iterdir())


def test_an_export_that_would_not_be_served_as_measured_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = "{% for m in messages %}{{ '<s>[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"
    monkeypatch.setattr("puretune.deploy._export.chat_template", lambda serving: plain)
    with pytest.raises(CheckFailed, match="nothing was written: transformers: "):
        export(measured(run, "CV", "CL"), tmp_path / "ship")
    assert not list(tmp_path.iterdir())


def test_a_base_model_that_has_changed_is_not_exported(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puretune.deploy._measured.fingerprint", lambda spec: "0" * 64)
    with pytest.raises(CheckFailed, match="not the one of the run"):
        measured(run, "CV", "CL")


def test_one_condition_of_several_seeds_says_which_is_shipped(run: Path) -> None:
    found: Measured = measured(run, "chat:vanilla", "chat:llama", seed=1)
    assert (found.seed, found.seeds) == (1, 2)
    assert {cell.seed for cell in found.cells} == {1}


def test_what_stays_with_its_provider_is_not_exported(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    results = read(run / "results.json")
    results["provenance"]["model"]["device"] = "endpoint"
    (tmp_path / "run" / "results.json").write_text(json.dumps(results))
    (tmp_path / "run" / "run.json").unlink()  # so that no digest is known
    with pytest.raises(InputError, match="stays with its provider"):
        measured(tmp_path / "run", "CV", "CL")


def test_an_existing_adapter_is_exported_as_it_was_measured(run: Path, tmp_path: Path) -> None:
    path = Path(read(run / "results.json")["provenance"]["adapters"][0]["path"])
    own = shutil.copytree(run / path, tmp_path / "own")
    study = small_study(
        tmp_path / "study",
        Path(read(run / "results.json")["provenance"]["model"]["model"]),
        tuning=None,
        train=[{"name": "mine", "adapter": str(own)}],
        test=["CL"],
    )
    run_study(Study.load(study), tmp_path / "run")
    found = measured(tmp_path / "run", "mine", "CL")
    assert (found.kind, found.seed, found.trained) == ("adapter", None, None)
    made = export(found, tmp_path / "ship").path
    weights = "adapter_model.safetensors"
    assert (made / weights).read_bytes() == (own / weights).read_bytes()
    content = (own / weights).read_bytes()
    (own / weights).write_bytes(content[:-4] + bytes([0, 0, 0, 63]))
    (own / "puretune.json").unlink()
    with pytest.raises(CheckFailed, match="not what the run measured"):
        measured(tmp_path / "run", "mine", "CL")
