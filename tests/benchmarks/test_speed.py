"""The benchmarks' own machinery: turns, resuming, what a peer is given, tables. No test says what is fast."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed import _tuning, tables
from benchmarks.speed._generate import cell_by_cell, in_batches
from benchmarks.speed._matrix import base_model, matrix, requests, tasks
from benchmarks.speed._measure import alternate, in_new_process, median
from benchmarks.speed._predict import predicted
from benchmarks.speed._record import Record, machine
from benchmarks.speed._steps import steps_of
from benchmarks.speed._two import answered_in_two

from puretune.inference import LocalEngine

ITEM: dict[str, Any] = {
    "work": {"adapters": 15, "steps": 8, "seen": 800, "distinct": 500, "trained": 200},
    "predicted": {"+ packing": 1.2},
    "settings": {
        name: {"threads": 1, "processes": 2}
        for name in ("TRL, defaults", "TRL, tuned", "puretune", "loop", "+ gang")
    },
    "runs": {
        name: [{"seconds": seconds, "difference": 1e-6}, {"seconds": seconds + 2, "difference": 2e-6}]
        for name, seconds in (
            ("TRL, defaults", 39),
            ("TRL, tuned", 19),
            ("puretune", 3),
            ("loop", 11),
            ("+ gang", 5),
        )
    },
    "cold": {"runs": {"puretune": [{"seconds": 9.0}]}},
    "failed": {"vLLM": "not installed here"},
}


def test_sides_take_turns_each_round_from_another_one() -> None:
    order: list[str] = []

    def side(name: str) -> Any:
        return lambda: order.append(name) or {"of": name}

    item: dict[str, Any] = {}
    alternate({name: side(name) for name in "abc"}, 3, item, lambda: None)
    assert "".join(order) == "abcbcacab"
    assert [run["of"] for run in item["runs"]["b"]] == ["b"] * 3


def test_what_was_measured_is_not_measured_again_and_a_failing_side_stops_nobody() -> None:
    calls: list[str] = []

    def broken() -> dict[str, Any]:
        calls.append("broken")
        raise ValueError("no such thing\nand more")

    def fine() -> dict[str, Any]:
        calls.append("fine")
        return {"seconds": 2.0}

    item: dict[str, Any] = {"runs": {"fine": [{"seconds": 1.0}]}}
    saved: list[int] = []
    alternate({"broken": broken, "fine": fine}, 3, item, lambda: saved.append(len(calls)))
    assert calls == ["broken", "fine", "fine"]
    assert item["failed"] == {"broken": "ValueError: no such thing"}
    assert median(item, "fine") == 2.0
    assert saved == [1, 2, 3]


def test_a_cold_run_is_a_process_of_its_own_whose_failure_is_told() -> None:
    assert in_new_process(print)["seconds"] > 0
    with pytest.raises(RuntimeError, match="exit code 3"):
        in_new_process(sys.exit, 3)


def test_a_record_goes_on_with_its_own_kind_only_and_names_no_path(tmp_path: Path) -> None:
    first = Record(tmp_path / "speed.json", "make bench", {"repeats": 5})
    first.item("B5")["runs"] = {"puretune": [{"seconds": 1.0}]}
    first.save()
    same = Record(tmp_path / "speed.json", "make bench", {"repeats": 5})
    assert same.goes_on
    assert same.item("B5")["runs"]
    other = Record(tmp_path / "speed.json", "make bench", {"repeats": 2})
    assert not other.goes_on
    assert not other.item("B5")
    assert str(Path.home()) not in first.path.read_text()
    assert machine()["cores"] >= 1


def test_tables_hold_the_medians_and_their_ratios() -> None:
    record = {
        "command": "python -m benchmarks.speed --repeats 5",
        "machine": {"cpu": "X", "cores": 2, "memory_gib": 8, "bf16_products": True},
        "versions": {"torch": "2.13.0"},
        "items": {"B5": ITEM, "B9": {"runs": {"import puretune": [{"seconds": 0.25}]}}},
    }
    text = tables.tables(record)
    assert "| puretune | 2 x 1 | 4.00 (3.00 to 5.00) | 10.0 | 5.0 | - | 200 | 125 | 2.0e-06 |" in text
    assert "puretune is 10.0 times as fast as TRL, defaults, 5.0 times as fast as TRL, tuned" in text
    assert "imports included: puretune 9.00 (9.00 to 9.00) s." in text
    assert "| + gang | 6.00 (5.00 to 7.00) | - | 2.0 |" in text
    assert "Not measured: vLLM (not installed here)." in text
    assert "| import puretune | 0.25 (0.25 to 0.25) |" in text


def test_the_page_has_the_marks_and_names_the_commands() -> None:
    page = tables.PAGE.read_text()
    assert page.count(tables.MARKS[0]) == page.count(tables.MARKS[1]) == 1
    for said in ("make bench", "python -m benchmarks.speed.tables", "python -m benchmarks.gpu"):
        assert said in page


def test_the_matrix_is_fifteen_adapters_of_the_demos_study(tmp_path: Path) -> None:
    made = matrix(steps=2)
    assert len(tasks(made, tmp_path)) == 15
    assert len(made.examples) == 2 * made.recipe.batch_size
    base = base_model(made)
    plain, safe = (steps_of(tasks(made, tmp_path, (0,))[place], base) for place in (0, -1))
    for one in (plain, safe):
        assert sum(len(row.ids) for row in one.rows) == one.tokens["seen"]
    factors = predicted([plain, safe], base)
    assert set(factors) == {"+ packing", "+ prefix", "+ head"}
    assert all(factor > 1 for factor in factors.values())


def test_trl_and_the_plain_loop_make_the_same_adapter_of_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL (the train extra) is not installed")
    bench = _tuning._Bench(matrix(steps=2), tmp_path)
    bench.steps = bench.steps[-1:]
    bench.reference = _tuning.ours(_tuning.Ours("loop"), bench.made, bench.steps, tmp_path)
    for setting in (_tuning._trl.Setting(), _tuning._trl.Setting(tuned=True, padding_free=True)):
        assert bench.side(setting)()["difference"] < 1e-4


def test_two_processes_make_the_adapters_of_one(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL (the train extra) is not installed")
    bench = _tuning._Bench(matrix(steps=2), tmp_path)
    bench.steps = bench.steps[:2]
    bench.reference = _tuning.ours(_tuning.Ours("loop"), bench.made, bench.steps, tmp_path)
    for setting in (_tuning.Ours(processes=2), _tuning._trl.Setting(tuned=True, processes=2)):
        assert bench.side(setting)()["difference"] < 1e-4


def test_generate_and_puretune_answer_alike_token_for_token() -> None:
    made = matrix(prompts=1)
    base = base_model(made)
    asked = [r for r in requests(made, base, [None]) if "llama" in r.key or "vanilla" in r.key]
    ours = {answer.key: answer.token_ids for answer in LocalEngine(base).generate(asked)}
    assert {r.key.split("/")[1]: r.shared > 90 for r in asked} == {
        "text:vanilla": False,
        "chat:vanilla": False,
        "chat:llama": True,
    }
    assert answered_in_two(asked, lambda some: in_batches(base, some, 3)) == ours
    assert cell_by_cell(base, asked, 8) == ours
    assert in_batches(base, asked, 3) == ours


def test_the_page_shows_the_shipped_results_or_says_that_there_are_none() -> None:
    page = tables.PAGE.read_text()
    shipped = [json.loads(path.read_text()) for path in tables.RESULTS.glob("speed*.json")]
    assert any(tables.tables(result) in page for result in shipped) or (
        not shipped and "Not measured yet" in page
    )
