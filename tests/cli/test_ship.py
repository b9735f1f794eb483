"""``puretune export`` and ``puretune verify``, from a finished run of the lab's model to its answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from puretune.cli import command
from puretune.cli.export import export
from puretune.cli.verify import verify
from puretune.errors import InputError
from puretune.study import Study, run_study

STUDY = {
    "name": "ship",
    "model": "lab",
    "tuning": {
        "data": {"source": "lab-maths", "split": "train", "limit": 16},
        "recipe": {"learning_rate": 1e-3, "rank": 4, "steps": 2, "batch_size": 8},
    },
    "pairs": ["CV -> CL"],
    "suites": [{"name": "lab-maths", "limit": 3, "max_new_tokens": 12}],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab")
    (directory / "study.yaml").write_text(yaml.safe_dump(STUDY))
    run_study(Study.load(directory / "study.yaml"), directory / "run")
    return directory / "run"


@pytest.fixture(scope="module")
def shipped(run: Path) -> Path:
    out = run.parent / "ship"
    done = exported(run, out)
    assert done.exit_code == 0, done.output
    assert f"Next: puretune verify {out}" in done.stdout
    return out


def exported(run: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(
        export, [str(run), "--condition", "CV", "--serve-as", "CL", "--out", str(out), *more]
    )


def test_an_export_of_a_run_is_verified(shipped: Path) -> None:
    done = CliRunner().invoke(verify, [str(shipped)], standalone_mode=False)
    assert (done.return_value, done.exception) == (0, None)
    assert "chat:vanilla, served as chat:llama" in done.stdout
    assert (
        "minijinja, tokenizer_config.json  10" in " ".join(done.stdout.split()) or "10 of 10" in done.stdout
    )
    assert done.stdout.endswith("passed\n")


def test_peft_and_transformers_answer_as_the_run_did(run: Path, shipped: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(shipped)
    tokenizer = AutoTokenizer.from_pretrained(shipped)
    rows = [json.loads(line) for line in (run / "answers.jsonl").read_text("utf-8").splitlines()]
    assert {row["test_template"] for row in rows} == {"chat:llama"}
    for row in rows:
        chat = [{"role": "user", "content": row["query"]}]
        asked = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert tokenizer.decode(made, skip_special_tokens=True).strip() == row["answer"]


def test_a_damaged_export_exits_1_with_what_is_lost(shipped: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(shipped, tmp_path / "ship"))
    file = copy / "chat_template.jinja"
    file.write_text(file.read_text("utf-8").replace("Question: ", ""), "utf-8")
    done = CliRunner().invoke(verify, [str(copy)], standalone_mode=False)
    assert done.return_value == 1
    assert "FAILED  transformers: the words around the user's message are lost" in done.stdout
    sarif = CliRunner().invoke(verify, [str(copy), "--format", "sarif"], standalone_mode=False)
    assert sarif.return_value == 1
    assert "places-differ" in {one["ruleId"] for one in json.loads(sarif.stdout)["runs"][0]["results"]}
    content = CliRunner().invoke(verify, [str(copy), "--format", "json"], standalone_mode=False)
    assert json.loads(content.stdout)["passed"] is False


def test_wrong_input_is_told_before_anything_is_written(run: Path, shipped: Path, tmp_path: Path) -> None:
    assert isinstance(exported(run, shipped).exception, InputError)
    assert isinstance(exported(tmp_path / "nothing", tmp_path / "out").exception, InputError)
    assert isinstance(exported(run, tmp_path / "out", "--seed", "5").exception, InputError)
    assert not list(tmp_path.iterdir())


def test_the_help_has_a_group_ship() -> None:
    said = CliRunner().invoke(command, ["--help"]).stdout
    assert "Ship:" in said
    assert said.index("  export") < said.index("  verify")
