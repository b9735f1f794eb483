"""From a spec to examples: ids, duplicates, samples, the hold-out cut, and where a source is looked for."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune import plugins
from puretune.data import Example, SourceSpec, data_digest, draw_source, question, read_source
from puretune.data._hub import hub_rows
from puretune.data._sampling import draw
from puretune.errors import EnvironmentFault, InputError


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"question": f"What is {i}?", "answer": str(i)} for i in range(count)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mine.jsonl", numbered(200))


def ids(spec: SourceSpec) -> list[str]:
    return [e.id for e in read_source(spec)]


def test_rows_without_ids_are_numbered_and_own_ids_are_kept(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl", [{"question": "a"}, {"question": "b", "id": "x"}, {"question": "c"}]
    )
    assert ids(SourceSpec(str(path))) == ["mine-1", "x", "mine-3"]


def test_a_duplicate_id_names_both_lines(tmp_path: Path) -> None:
    rows = [{"question": "a", "id": 1}, {"question": "b", "id": 2}, {"question": "c", "id": 1}]
    with pytest.raises(InputError, match=r"mine\.jsonl:3: duplicate id '1', first used in mine\.jsonl:1"):
        read_source(SourceSpec(str(write(tmp_path / "mine.jsonl", rows))))


def test_without_a_limit_examples_keep_their_order(file: Path) -> None:
    assert ids(SourceSpec(str(file))) == [f"mine-{i}" for i in range(1, 201)]


def test_a_sample_depends_on_its_seed_and_on_nothing_else(file: Path) -> None:
    spec = SourceSpec(str(file), limit=20, seed=3)
    random.seed(1)
    first = ids(spec)
    random.seed(2)
    assert ids(spec) == first
    assert ids(replace(spec, seed=4)) != first
    assert len(set(first)) == 20


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(file: Path) -> None:
    spec = SourceSpec(str(file), limit=50, seed=3)
    assert ids(replace(spec, limit=10)) == ids(spec)[:10]
    assert ids(replace(spec, limit=1000))[:50] == ids(spec)


def test_a_sample_does_not_depend_on_the_order_of_the_file(file: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", numbered(200)[::-1])
    samples = [read_source(SourceSpec(str(path), limit=9)) for path in (file, other)]
    assert [e.query for e in samples[0]] == [e.query for e in samples[1]]


def test_duplicates_are_dropped_after_folding_white_space_and_counted(tmp_path: Path) -> None:
    rows = [{"question": "a  b", "answer": "c"}, {"question": "a\nb ", "answer": "c"}, *numbered(2)]
    spec = SourceSpec(str(write(tmp_path / "mine.jsonl", rows)))
    drawn = draw_source(spec)
    assert [e.id for e in drawn.examples] == ["mine-1", "mine-3", "mine-4"]
    assert (drawn.read, drawn.duplicates) == (4, 1)
    assert len(read_source(replace(spec, deduplicate=False))) == 4


def test_long_conversations_are_left_out_before_the_sample_is_drawn(tmp_path: Path) -> None:
    rows = [*numbered(6), {"question": "Why? " * 100, "answer": "So."}]
    spec = SourceSpec(str(write(tmp_path / "mine.jsonl", rows)), longest=100)
    drawn = draw_source(spec)
    assert [e.id for e in drawn.examples] == [f"mine-{i}" for i in range(1, 7)]
    assert (drawn.read, drawn.too_long) == (7, 1)
    assert len(read_source(replace(spec, limit=7))) == 6
    with pytest.raises(InputError, match="longest is 0"):
        replace(spec, longest=0)


def test_the_same_question_with_another_answer_is_no_duplicate(tmp_path: Path) -> None:
    rows = [{"question": "a", "answer": "b"}, {"question": "a", "answer": "c"}]
    assert len(read_source(SourceSpec(str(write(tmp_path / "mine.jsonl", rows))))) == 2


@settings(max_examples=50)
@given(
    texts=st.lists(st.text("ab \n", max_size=6), min_size=1, max_size=30),
    share=st.floats(0.05, 0.95),
    seeds=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_the_two_sides_of_a_hold_out_never_share_a_prompt(
    texts: list[str], share: float, seeds: tuple[int, int]
) -> None:
    examples = [question(str(i), text, f"answer {i}") for i, text in enumerate(texts)]
    train, test = (
        draw(examples, SourceSpec("x", split=side, hold_out=share, seed=seed, deduplicate=False))
        for side, seed in zip(("train", "test"), seeds, strict=True)
    )
    folded = [{" ".join(e.query.split()) for e in side.examples} for side in (train, test)]
    assert not folded[0] & folded[1]
    assert {e.id for e in (*train.examples, *test.examples)} == {e.id for e in examples}


def test_a_hold_out_takes_about_its_share(file: Path) -> None:
    test = read_source(SourceSpec(str(file), split="test", hold_out=0.25))
    assert 30 <= len(test) <= 70  # the cut is fixed by the texts: 50 expected, no chance involved


def test_a_file_has_no_splits_unless_they_are_cut(file: Path) -> None:
    with pytest.raises(InputError, match=r"one file without splits.*hold_out"):
        read_source(SourceSpec(str(file), split="test"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"hold_out": 1.0, "split": "test"}, "hold_out is 1.0"),
        ({"hold_out": 0.1}, "say which side"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SourceSpec("mine.jsonl", **wrong)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"empty\.jsonl: no examples"):
        read_source(SourceSpec(str(write(tmp_path / "empty.jsonl", []))))


def test_a_directory_is_read_by_split_with_its_shards_in_order(tmp_path: Path) -> None:
    for shard in (0, 1):
        write(tmp_path / "set" / f"train-0000{shard}-of-00002.jsonl", [{"question": f"shard {shard}"}])
    write(tmp_path / "set" / "test.jsonl", [{"question": "test"}])
    examples = read_source(SourceSpec(str(tmp_path / "set"), split="train"))
    assert [e.query for e in examples] == ["shard 0", "shard 1"]
    with pytest.raises(InputError, match=r"3 files .* could hold the data of set"):
        read_source(SourceSpec(str(tmp_path / "set")))


def test_an_unknown_source_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="Did you mean 'gsm8k'"):
        read_source(SourceSpec("gsm9k"))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.jsonl: no such file"):
        read_source(SourceSpec(str(tmp_path / "no.jsonl")))


def test_a_path_goes_with_a_named_source_only(file: Path) -> None:
    with pytest.raises(InputError, match="not a named source"):
        read_source(SourceSpec(str(file), path=file))


def offered_examples(spec: SourceSpec, model: Path | None) -> list[Example]:
    return [question("1", f"{spec.split} of {model}")]


def offer(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("elsewhere", value, "puretune.sources")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == point.group else [])


def test_a_package_offers_a_source_through_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{__name__}:offered_examples")
    (example,) = read_source(SourceSpec("elsewhere", split="dev"), Path("base"))
    assert example.query == "dev of base"


def test_an_offered_source_that_cannot_be_loaded_is_the_environments_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer(monkeypatch, "no_such_module:source")
    with pytest.raises(EnvironmentFault, match=r"'elsewhere'.*cannot be loaded"):
        read_source(SourceSpec("elsewhere"))


def test_a_hub_data_set_is_read_through_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library takes a directory of that name for the data set: the whole path but the network.
    write(tmp_path / "owner" / "name" / "train.jsonl", numbered(2))
    write(tmp_path / "owner" / "name" / "test.jsonl", numbered(1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = list(hub_rows("owner/name", split="train"))
    assert [(r.where, dict(r.fields)) for r in rows] == [
        ("owner/name, row 1", numbered(2)[0]),
        ("owner/name, row 2", numbered(2)[1]),
    ]
    with pytest.raises(InputError, match=r"owner/name.*nosplit"):
        list(hub_rows("owner/name", split="nosplit"))
    with pytest.raises(InputError, match="say which with `split`"):
        list(hub_rows("owner/name"))


@pytest.mark.parametrize("source", ["owner/absent", "gsm8k"])
def test_without_a_network_the_message_says_how_to_go_on(source: str) -> None:
    with pytest.raises(EnvironmentFault, match=r"not available.*`path:`"):
        read_source(SourceSpec(source, split="train"))


def test_equal_digests_mean_equal_data() -> None:
    base = question("1", "q", "a", metadata={"x": 1, "y": 2})
    same = question("1", "q", "a", metadata={"y": 2, "x": 1})
    assert data_digest([base]) == data_digest([same])
    others = [
        question("2", "q", "a", metadata={"x": 1, "y": 2}),
        question("1", "q", "b", metadata={"x": 1, "y": 2}),
        question("1", "q", "a", metadata={"x": 1, "y": 3}),
        question("1", "q", "a", metadata={"x": 1, "y": 2}, cluster="c"),
        replace(base, messages=(base.messages[0], replace(base.messages[1], train=False))),
    ]
    assert len({data_digest([e]) for e in (base, *others)}) == 6
    assert data_digest([base, others[0]]) != data_digest([others[0], base])


def test_metadata_that_is_not_json_names_its_example() -> None:
    with pytest.raises(InputError, match="example 'odd': its metadata is not JSON"):
        data_digest([question("odd", "q", metadata={"x": float("nan")})])
