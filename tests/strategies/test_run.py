"""A study of strategies, run: those that tune alike share their tuning, whatever each keeps of it."""

from __future__ import annotations

from pathlib import Path

from puretune.study import Study, run_study


def test_strategies_that_tune_alike_share_one_tuning_with_all_that_they_keep(tmp_path: Path) -> None:
    study = Study(
        name="s",
        model="lab",
        tuning={"data": "lab-doctor", "recipe": {"learning_rate": 1e-3, "steps": 4, "batch_size": 2}},
        strategies=[
            "untuned",
            "same-template",
            {"name": "early-stopping", "every": 2},
            {"name": "adapter-scaling", "alphas": [0]},
        ],
        suites=[{"name": "lab-benign-twins", "limit": 4}],
        test_leakage=False,
        decoding={"max_new_tokens": 8},
    )
    matrix = run_study(study, tmp_path / "run")
    answers = {
        (cell.condition, cell.step): cell for cell in matrix.cells if cell.test_template == "chat:llama"
    }
    assert set(answers) == {
        ("untuned", None),
        ("same-template", None),
        ("early-stopping", 2),
        ("early-stopping", None),
        ("adapter-scaling x0", None),
    }
    assert len(list((tmp_path / "run/store/adapter").glob("*/*/manifest.json"))) == 3
    assert answers["early-stopping", None].value == answers["same-template", None].value
    assert answers["adapter-scaling x0", None].value == answers["untuned", None].value
