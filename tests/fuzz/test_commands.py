"""Whatever a command is given, it ends with 0, 1, 2 or 3 and one message without internal words.

A few examples of each kind here; ``make fuzz`` tries thousands (PURETUNE_FUZZ: examples per test).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puretune.lab import model_path
from tests.fuzz.junk import JUNK, TEXTS, damaged, mutated
from tests.fuzz.program import ask

EXAMPLES = int(os.environ.get("PURETUNE_FUZZ", "12"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 12,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
OWN = {"name": "own", "source": "d.jsonl", "scorers": ["refusal"]}
STUDY: dict[str, Any] = {
    "name": "x",
    "model": {"model": "lab", "dtype": "float32", "threads": 1},
    "templates": {
        "mine": {"user": "%s", "system": "Be kind.", "demonstrations": [{"user": "a"}, {"assistant": "b"}]}
    },
    "tuning": {
        "data": [{"source": "lab-maths", "limit": 8, "weight": 2.0}],
        "recipe": {"rank": 4, "learning_rate": 1e-3, "steps": 2, "batch_size": 2, "targets": ["q_proj"]},
        "seeds": [0],
    },
    "train": ["untuned", "CV", {"name": "plain", "template": "mine"}],
    "test": ["CV", "mine"],
    "suites": [
        {"name": "lab-maths", "limit": 4},
        {"name": "own", "source": "d.jsonl", "scorers": ["refusal"]},
    ],
    "decoding": {"max_new_tokens": 4, "temperature": 0.5, "n": 2},
    "note": "a note",
}
TEMPLATES = {"x": {"user": "Q: %s", "system": "s", "mode": "text", "separator": " ", "response_prefix": "a"}}
ROWS = [{"id": str(n), "question": f"how many {n}?", "answer": f"#### {n}"} for n in range(4)]
TURNS = {"system": "s", "user": "q", "assistant": "a"}
CHAT = {"messages": [{"role": role, "content": content} for role, content in TURNS.items()]}
ANSWERS = [{"query": f"q {n}", "answer": f"#### {n}", "reference": f"#### {n}"} for n in range(4)]
JUDGE = {
    "judge": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:9/v1",
    "price": {"input": 1.0, "output": 2.0},
    "limits": {"tries": 1, "total": 2, "read": 1},
}

MODEL_FILES = ["config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"]
WORDS = """run init tune recommend compare show data check list score judge cost templates schema lab claims
--out --file --set --template --model --seed --help d.jsonl"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PURETUNE_LEDGER", str(tmp_path / "ledger"))
    rows("d.jsonl", ROWS)
    return tmp_path


def rows(name: str, content: list[Any]) -> None:
    Path(name).write_bytes(
        "".join(json.dumps(row) + "\n" for row in content).encode("utf-8", "surrogatepass")
    )


def dumped(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=False)


@fuzz
@given(mutated(STUDY))
def test_studies(study: Any) -> None:
    Path("s.yaml").write_text(dumped(study))
    ask("run", "s.yaml", "--dry-run")


@fuzz
@given(damaged(dumped(STUDY).encode()))
def test_damaged_yaml(content: bytes) -> None:
    Path("s.yaml").write_bytes(content)
    ask("run", "s.yaml", "--dry-run")
    ask("templates", "list", "--file", "s.yaml")


@fuzz
@given(mutated(TEMPLATES))
def test_template_files(content: Any) -> None:
    Path("t.yaml").write_text(dumped(content))
    ask("templates", "list", "--file", "t.yaml")


@fuzz
@given(st.lists(st.one_of(mutated(ROWS[0]), mutated(CHAT), JUNK), min_size=1, max_size=3))
def test_rows_of_data(content: list[Any]) -> None:
    rows("d.jsonl", [*content, ROWS[0]])
    ask("data", "check", "d.jsonl")
    ask("data", "show", "d.jsonl")


@fuzz
@given(st.sampled_from(["d.jsonl", "d.json", "d.csv", "d.tsv", "d.parquet", "d.txt"]), st.data())
def test_damaged_data_files(name: str, data: st.DataObject) -> None:
    right = "question,answer\na,b\nc,d\n" if name.endswith("csv") else "\n".join(map(json.dumps, ROWS))
    Path(name).write_bytes(data.draw(damaged(right.encode())))
    ask("data", "check", name)


@fuzz
@given(
    st.lists(st.one_of(mutated(ANSWERS[0]), JUNK), min_size=1, max_size=3),
    st.sampled_from(["gsm8k", "refusal"]),
)
def test_files_of_answers(content: list[Any], scorer: str) -> None:
    rows("a.jsonl", [*content, ANSWERS[0]])
    ask("score", "a.jsonl", "--scorer", scorer, "--out", "v.jsonl", "--force")


@fuzz
@given(mutated(JUDGE))
def test_judges(content: Any) -> None:
    rows("a.jsonl", ANSWERS)
    Path("j.yaml").write_text(dumped(content))
    ask("judge", "cost", "a.jsonl", "--judge", "j.yaml")


@fuzz
@given(
    st.sampled_from(["config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"]),
    st.data(),
)
def test_model_directories(name: str, data: st.DataObject) -> None:
    directory = Path("m")
    directory.mkdir(exist_ok=True)
    for file in model_path().iterdir():
        if not (directory / file.name).exists():
            (directory / file.name).symlink_to(file)
    right = json.loads((model_path() / name).read_text())
    changed = data.draw(mutated({k: v for k, v in right.items() if k not in ("model", "added_tokens")}))
    if isinstance(changed, dict):
        changed |= {key: right[key] for key in ("model", "added_tokens") if key in right}
    (directory / name).unlink()
    (directory / name).write_bytes(json.dumps(changed).encode("utf-8", "surrogatepass"))
    try:
        ask("show", "./m")
    finally:
        (directory / name).unlink()


@fuzz
@given(
    st.lists(
        st.one_of(
            st.sampled_from(WORDS.split()),
            TEXTS,
        ),
        max_size=5,
    )
)
def test_arguments(arguments: list[str]) -> None:
    whole = [part for part in arguments if "\0" not in part]
    if "demo" not in whole and "build" not in whole and "confirm" not in whole:
        ask(*whole)


@fuzz
@given(st.data())
def test_verdicts_of_a_run(data: st.DataObject) -> None:
    right = [
        {
            "condition": condition,
            "seed": None,
            "step": None,
            "train_template": None,
            "test_template": "CV",
            "suite": "s",
            "scorer": "refusal",
            "prompt_id": str(n),
            "sample": 0,
            "values": {"refusal_rate": float(n % 2)},
        }
        for condition in ("untuned", "plain")
        for n in range(4)
    ]
    Path("r").mkdir(exist_ok=True)
    content = data.draw(mutated(right))
    rows("r/verdicts.jsonl", content if isinstance(content, list) else [content])
    ask("compare", "r")
    ask("recommend", "r")


@fuzz
@given(st.data())
def test_stores(data: st.DataObject) -> None:
    key = "ab" + "0" * 62
    path = Path("r", "store", "answers", "ab", key)
    path.mkdir(parents=True, exist_ok=True)
    file = {"data.jsonl": {"bytes": 3, "sha256": "0" * 64}}
    manifest = {"kind": "answers", "key": key, "about": {"seconds": 1}, "files": file, "sha256": "0" * 64}
    plan = {"tune": [{"key": key, "condition": "a", "seed": 0, "kept": [1], "needs": []}], "cell": []}
    for name, right in (("manifest.json", manifest), ("../../../../plan.json", plan)):
        changed = data.draw(mutated(right))
        (path / name).write_bytes(json.dumps(changed).encode("utf-8", "surrogatepass"))
    for command in ("ls", "verify", "du"):
        ask("store", command, "r")
    ask("store", "gc", "r", "--keep", "r", "--older-than", "0")
