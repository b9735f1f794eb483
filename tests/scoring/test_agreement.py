"""Agreement of judges, flips, and calibration against people."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from puretune.cli._calibrate import calibrate_command
from puretune.errors import InputError
from puretune.scoring import Verdict, agreement, calibrate, flip_rate, read_labelled


def verdicts(said: str, name: str = "a", metric: str = "asr") -> list[Verdict]:
    """One verdict a letter: y, n, or ? for unparsed."""
    return [
        Verdict(name, {metric: None}, parse="unparsed")
        if letter == "?"
        else Verdict(name, {metric: letter == "y"}, "complied" if letter == "y" else "refused")
        for letter in said
    ]


def test_kappa_and_table_of_a_worked_example() -> None:
    # 20 both yes, 5 yes/no, 10 no/yes, 15 both no: observed 0.7, chance 0.5
    found = agreement(verdicts("y" * 25 + "n" * 25), verdicts("y" * 20 + "n" * 5 + "y" * 10 + "n" * 15, "b"))
    assert found.labels == (False, True)
    assert found.table == ((15, 10), (5, 20))
    assert (found.observed, found.n) == (0.7, 50)
    assert found.kappa == pytest.approx(0.4)
    assert found.interval.low < 0.16
    assert found.interval.high > 0.64


def test_perfect_agreement_on_few_answers_is_not_certainty() -> None:
    found = agreement(verdicts("yynn"), verdicts("yynn"))
    assert found.kappa == 1
    assert found.interval.low < 0.5
    assert found.interval.high == 1


def test_where_chance_alone_agrees_there_is_no_kappa() -> None:
    found = agreement(verdicts("yyy"), verdicts("yyy"))
    assert (found.kappa, found.interval) == (None, (-1, 1))


def test_unparsed_verdicts_are_counted_and_never_a_no() -> None:
    found = agreement(verdicts("y?nn"), verdicts("yyn?"))
    assert (found.n, found.unparsed, found.observed) == (2, 2, 1.0)
    with pytest.raises(InputError, match="no answer has two readable"):
        agreement(verdicts("?"), verdicts("y"))


def test_judges_are_compared_on_metrics_of_their_own_names_and_on_behaviour() -> None:
    guard = verdicts("yn", "guard", "unsafe_rate")
    assert agreement(verdicts("yn"), guard).observed == 1
    assert agreement(verdicts("yn"), guard, ("asr", "unsafe_rate")).observed == 1
    assert agreement(verdicts("yn"), guard, "behaviour").labels == ("complied", "refused")
    with pytest.raises(InputError, match="has no metric 'asr'"):
        agreement(verdicts("yn"), guard, "asr")
    with pytest.raises(InputError, match="neither yes nor no"):
        agreement([Verdict("a", {"score": 0.5})], verdicts("y"))
    with pytest.raises(InputError, match="cover the same answers"):
        agreement(verdicts("yn"), verdicts("y"))


def test_kappa_has_its_coverage_on_simulated_judges() -> None:
    rng, inside, rounds = random.Random(5), 0, 300
    for _ in range(rounds):
        truth = [rng.random() < 0.3 for _ in range(80)]
        one, other = (["yn"[(rng.random() < 0.1) == label] for label in truth] for _ in range(2))
        found = agreement(verdicts("".join(one)), verdicts("".join(other)))
        inside += found.interval.low <= 0.572 <= found.interval.high
    assert inside / rounds >= 0.94


def test_flips_of_a_judge_asked_again() -> None:
    found = flip_rate(verdicts("yynn?"), verdicts("ynnny"))
    assert (found.flips, found.n, found.unparsed, found.rate) == (1, 4, 1, 0.25)
    assert found.interval.low < 0.01
    assert found.interval.high > 0.7


def test_calibration_of_a_worked_example() -> None:
    # sensitivity 9/10, specificity 8/10; 44 of 120 judged yes: (0.3667 + 0.8 - 1) / 0.7
    judged = verdicts("y" * 9 + "n" + "n" * 8 + "yy" + "y" * 33 + "n" * 67)
    labels = [True] * 10 + [False] * 10 + [None] * 100
    found = calibrate(judged, labels)
    assert (found.sensitivity.value, found.specificity.value) == (0.9, 0.8)
    assert (found.judged, found.labelled) == (120, 20)
    assert found.corrected == pytest.approx((44 / 120 - 0.2) / 0.7)
    assert found.corrected_interval.low < found.corrected < found.corrected_interval.high
    assert found.agreement is not None
    assert found.agreement.table == ((8, 1), (2, 9))


def test_an_uninformative_judge_corrects_nothing() -> None:
    found = calibrate(verdicts("ynyn"), [True, True, False, False])
    assert (found.corrected, found.corrected_interval) == (None, (0, 1))
    only_yes = calibrate(verdicts("yn"), [True, None])
    assert (only_yes.specificity.value, only_yes.corrected) == (None, None)


def test_unparsed_verdicts_widen_the_corrected_interval() -> None:
    labels: list[bool | None] = [True] * 20 + [False] * 20 + [None] * 20
    clear = calibrate(verdicts("y" * 20 + "n" * 40), labels)
    unclear = calibrate(verdicts("y" * 20 + "n" * 20 + "?" * 20), labels)
    assert unclear.unparsed == 20
    assert unclear.corrected_interval.high > clear.corrected_interval.high + 0.2


def test_the_corrected_interval_has_its_coverage() -> None:
    rng, inside, rounds = random.Random(7), 0, 300
    for _ in range(rounds):
        truth = [rng.random() < 0.1 for _ in range(400)]
        said = "".join("yn"[(rng.random() < (0.15 if label else 0.05)) == label] for label in truth)
        low, high = calibrate(verdicts(said), truth[:150] + [None] * 250).corrected_interval
        inside += low <= 0.1 <= high
    assert inside / rounds >= 0.93


def files(tmp_path: Path, rows: list[object], labels: list[object]) -> tuple[Path, Path]:
    paths = tmp_path / "verdicts.jsonl", tmp_path / "labels.jsonl"
    for path, content in zip(paths, (rows, labels), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return paths


def row(line: int, value: bool | None) -> dict[str, object]:
    parse = "unparsed" if value is None else "ok"
    return {"line": line, "scorer": "a", "version": "1", "parse": parse, "behaviour": None, "asr": value}


def test_files_meet_by_their_key(tmp_path: Path) -> None:
    paths = files(tmp_path, [row(1, True), row(2, None)], [{"line": 2, "label": "refused"}])
    found = read_labelled(*paths)
    assert [verdict.parse for verdict in found.verdicts] == ["ok", "unparsed"]
    assert found.labels == (None, False)
    stored = [{"prompt_id": "p", "sample": n, "scorer": "a", "values": {"asr": True}} for n in (0, 1)]
    paths = files(tmp_path, stored, [{"prompt_id": "p", "sample": 1, "label": True}])
    assert read_labelled(*paths).labels == (None, True)


@pytest.mark.parametrize(
    ("metric", "label", "yes"),
    [
        ("refusal_rate", "refused", True),
        ("refusal_rate", "complied", False),
        ("refusal_rate", "yes", True),
        ("asr", "refused", False),
        ("asr", "complied", True),
        ("incoherent_rate", "incoherent", True),
    ],
)
def test_a_behaviour_is_understood_by_what_the_metric_counts(
    metric: str, label: str, yes: bool, tmp_path: Path
) -> None:
    verdict = {"line": 1, "scorer": "a", metric: True}
    assert read_labelled(*files(tmp_path, [verdict], [{"line": 1, "label": label}])).labels == (yes,)


@pytest.mark.parametrize(
    ("verdict", "label"),
    [
        ({"refusal_rate": True}, "harmful"),
        ({"politeness": True}, "refused"),
        ({"strict": True, "measures": {"strict": "help"}}, "complied"),
    ],
)
def test_a_label_that_says_neither_yes_nor_no_is_refused(
    verdict: dict[str, object], label: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="Write yes where"):
        read_labelled(
            *files(tmp_path, [{"line": 1, "scorer": "a", **verdict}], [{"line": 1, "label": label}])
        )


def test_verdicts_of_a_run_meet_labels_by_where_the_answers_stand(tmp_path: Path) -> None:
    def at(condition: str, **more: object) -> dict[str, object]:
        place = {"condition": condition, "seed": None, "suite": "s", "prompt_id": "p", "sample": 0}
        return {**place, **more}

    rows = [at(name, scorer=one, values={"asr": True}) for name in ("a", "b") for one in ("x", "y")]
    paths = files(tmp_path, rows, [at("b", label=True)])
    with pytest.raises(InputError, match=r"several scorers \(x, y\)"):
        read_labelled(*paths)
    found = read_labelled(*paths, scorer="y")
    assert (found.labels, found.arms, found.prompts) == ((None, True), ("a", "b"), ("s/p", "s/p"))
    elsewhere = [{**row, "suite": "t"} for row in rows]
    paths = files(tmp_path, [*rows, *elsewhere], [at("b", suite="t", label=True)])
    with pytest.raises(InputError, match=r"several suites \(s, t\). Say which: --suite"):
        read_labelled(*paths, scorer="y")
    with pytest.raises(InputError, match="unknown suite 'u'"):
        read_labelled(*paths, scorer="y", suite="u")
    assert read_labelled(*paths, scorer="y", suite="t").prompts == ("t/p", "t/p")
    paths = files(tmp_path, rows, [{"prompt_id": "p", "label": True}])
    with pytest.raises(InputError, match="what tells them apart"):
        read_labelled(*paths, scorer="y")


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([row(1, True)], [{"line": 3, "label": True}], "no verdict has the line 3"),
        ([row(1, True)], [{"line": 1, "label": "perhaps"}], "unknown label 'perhaps'"),
        ([row(1, True)], [{"line": 1}], "no 'label'"),
        ([row(1, True)], [{"line": 1, "label": 1}, {"line": 1, "label": 0}], "already has a label"),
        ([row(1, True)], [{"name": 1, "label": 1}], "share no key"),
        ([row(1, True), row(1, True)], [{"line": 1, "label": 1}], "two verdicts have the line 1"),
        ([{"line": 1, "answer": "x"}], [{"line": 1, "label": 1}], "this is not a verdict"),
        ([{**row(1, True), "asr": 10**400}], [{"line": 1, "label": 1}], "too long"),
        ([{**row(1, True), "asr": 7}], [{"line": 1, "label": 1}], "a number from 0 to 1"),
        ([], [{"line": 1, "label": 1}], "verdicts.jsonl"),
        ([row(1, True)], [], "labels.jsonl"),
    ],
)
def test_files_that_do_not_fit_are_an_input_error(
    rows: list[object], labels: list[object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_labelled(*files(tmp_path, rows, labels))


def test_the_command_shows_rates_with_intervals(tmp_path: Path) -> None:
    rows: list[object] = [row(n, n % 2 == 0) for n in range(20)]
    labels: list[object] = [{"line": n, "label": n % 2 == 0} for n in range(10)]
    paths = files(tmp_path, rows, labels)
    result = CliRunner().invoke(calibrate_command, [str(paths[0]), "--labels", str(paths[1])])
    assert result.exit_code == 0, result.output
    for part in (
        "sensitivity",
        "100.0%",
        "47.8% to 100.0%",
        "corrected rate",
        "10 of 20 answers have a label",
    ):
        assert part in result.output
