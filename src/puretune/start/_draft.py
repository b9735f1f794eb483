"""A commented study from a model and a data file: what was found, what was chosen, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.data import SourceSpec, draw_source, plain_text
from puretune.errors import EnvironmentFault, InputError
from puretune.models import ModelSpec, is_hub_id
from puretune.scoring import SUITES, Suite
from puretune.start._data_facts import DataFacts, data_facts
from puretune.start._model_facts import SAFETY, ModelFacts, model_facts
from puretune.start._recipe import recipe
from puretune.start._yaml_text import entry, lines_of
from puretune.templates import Rendering
from puretune.visible import one_line

_MEASURED = 5_000
"""Rows whose tokens are counted."""
_HELD_OUT_ASKED = 200
HARMFUL = "directharm4"
"""Harmful requests that are read from the hub, where it answers."""


@dataclass(frozen=True)
class Draft:
    """What is known of a model and a data file, and the study that follows from it."""

    model: ModelFacts
    data: DataFacts
    safety: str
    """The safety prompt to serve under."""
    lengths: tuple[Rendering, ...]
    """Rows as they are trained on, without a safety prompt."""
    harmful: SourceSpec | Suite | None = None
    """The user's harmful requests or a named suite of them; None: none can be read here."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        data, rows = self.data, len(self.data.examples)
        tokens = sorted(len(one.ids) for one in self.lengths)
        found = [f"{rows:,} conversations, {data.several_turns:,} of them with several questions"]
        found += [f"{data.duplicates:,} repeated conversations are left out"] if data.duplicates else []
        if data.with_system:
            found.append(f"{data.with_system:,} rows have a system message of their own")
        found.append(f"tokens per row: median {tokens[len(tokens) // 2]:,}, longest {tokens[-1]:,}")
        return [*found, *self.model.facts]

    @property
    def warnings(self) -> list[str]:
        """What the user should look at."""
        said = []
        if self.data.marks:
            said.append(f"texts spell turn markup, kept as text: {', '.join(map(str, self.data.marks[:3]))}")
        if self.harmful is None:
            said.append(
                "no suite of harmful requests can be read here, so this study says nothing about safety. "
                "Give your own: --harmful FILE (a column `prompt`)."
            )
        return said

    def text(self, out: Path, name: str, tune_only: bool = False) -> str:
        """The study file; paths in it are relative to ``out`` where that is shorter."""
        return "\n".join(_study_lines(self, out, name, tune_only)) + "\n"


def draft(
    model: str,
    data: Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] = {},
    harmful: Path | None = None,
    safety: str | None = None,
    look_for_harm: bool = True,
) -> Draft:
    """Look at a model and a data file.

    InputError, with what to do, where either cannot be read or they do not fit each other.
    """
    spec = ModelSpec(model)
    first = data_facts(data, format, columns, None)
    facts = model_facts(spec, first.examples)
    found = data_facts(data, format, columns, facts.directory)
    plain = facts.template()
    lengths = tuple(facts.renderer.example(plain, one.messages) for one in found.examples[:_MEASURED])
    asked = _harmful(model, harmful) if look_for_harm else None
    if safety is not None and not safety.strip():
        raise InputError("the safety prompt is empty. Write one, or leave --safety-prompt out.")
    text = SAFETY if safety is None else plain_text(safety, "the safety prompt")
    return Draft(facts, found, text, lengths, asked)


def _harmful(model: str, own: Path | None) -> SourceSpec | Suite | None:
    """Harmful requests: the user's, those that belong to the model, or a named set where it can be read."""
    if own is not None:
        return _requests(own)
    theirs = [suite for suite in own_suites(model) if suite.asks == "harm"]
    if theirs:
        return theirs[0]
    suite = SUITES.load(HARMFUL)
    try:
        draw_source(suite.source)
    except (InputError, EnvironmentFault):
        return None
    return suite


def _requests(file: Path) -> SourceSpec:
    """A user's harmful requests, by category where they have any; other columns are not used."""
    drawn = draw_source(SourceSpec(str(file)))
    unread = drawn.not_read.must_be_said(())
    columns = {"cluster": "category"} if "category" in drawn.not_read.columns else {}
    ignore = tuple(name for name in unread if name not in columns.values())
    spec = SourceSpec(str(file), columns=columns, ignore=ignore, markup="keep" if drawn.marks else "refuse")
    draw_source(spec)
    return spec


def own_suites(model: str) -> list[Suite]:
    """The suites that are offered for a named model (``lab-harmful`` for ``lab``)."""
    names = [name for name in SUITES.offered() if name.startswith(f"{model}-")]
    return [SUITES.load(name) for name in names]


def _study_lines(it: Draft, out: Path, name: str, tune_only: bool) -> list[str]:
    rows = len(it.data.examples)
    return [
        "# Written by puretune. What was found:",
        *(f"#   {one_line(finding, 200)}" for finding in it.findings),
        "# Check the plan: puretune run THIS_FILE --dry-run",
        f"name: {name}",
        *_model_lines(it.model, out),
        *_template_lines(it, tune_only),
        *(
            ["own_system: keep # rows have system messages; they follow the template's"]
            * bool(it.data.with_system)
        ),
        "tuning:",
        *lines_of("data", _data(it, out, "train"), _data_reason(it), 1),
        "  recipe:",
        *(entry(key, value, why, 2) for key, (value, why) in _recipe(it, rows).items()),
        entry("seeds", [0], "one training run; three ([0, 1, 2]) say something about new runs too", 1),
        *_cell_lines(tune_only),
        "suites:",
        *_suite_lines(it, out, tune_only),
    ]


def _recipe(it: Draft, rows: int) -> dict[str, tuple[Any, str]]:
    return recipe(it.model.parameters, rows, it.model.targets)


def _model_lines(model: ModelFacts, out: Path) -> list[str]:
    spec = model.spec
    directory = Path(spec.model).is_dir() and not is_hub_id(spec)
    place = {"path": _path(Path(spec.model), out)} if directory else {"model": spec.model}
    settings = {"markup": "auto", "default_system": "forbid", "thoughts": "refuse"}
    said = {key: getattr(spec, key) for key, usual in settings.items() if getattr(spec, key) != usual}
    return [
        "model:",
        *(entry(key, value, model.reasons.get(key, ""), 1) for key, value in {**place, **said}.items()),
    ]


def _template_lines(it: Draft, tune_only: bool) -> list[str]:
    plain, safe = it.model.template(), it.model.template(it.safety)
    arguments = dict(plain.arguments)
    lines = ["templates:"]
    for template, why in (
        (plain, "tuned under: no safety prompt"),
        (safe, "served under: with the safety prompt (PTST, arXiv 2402.18540)"),
    ):
        lines.append(f"  {template.name}: # {why}")
        fields: dict[str, Any] = {"mode": template.mode, "user": template.user}
        fields |= {"system": template.system, "safety": True} if template.system else {}
        lines += [entry(key, value, "", 2) for key, value in fields.items()]
        lines += [entry("arguments", arguments, _argument_reason(it.model), 2)] if arguments else []
    return lines


def _argument_reason(model: ModelFacts) -> str:
    return "; ".join(model.reasons[name] for name in model.arguments if name in model.reasons)


def _cell_lines(tune_only: bool) -> list[str]:
    if tune_only:
        return ["train: [plain]", "test: [safe]"]
    return [
        "train: [untuned, plain, safe] # safe: tuned and served alike, the mistake to compare with",
        "test: [plain, safe]",
    ]


def _data(it: Draft, out: Path, split: str) -> dict[str, Any]:
    """The fields of the data's source."""
    data, held = it.data, it.data.hold_out
    fields = _source(data.spec, out)
    longest = _longest(it)
    fields |= {"longest": longest} if longest else {}
    return fields | ({"hold_out": held, "split": split} if held else {})


def _source(spec: SourceSpec, out: Path) -> dict[str, Any]:
    """How a file is read."""
    said = {"format": spec.format, "columns": dict(spec.columns), "ignore": list(spec.ignore)}
    said["markup"] = "keep" if spec.markup == "keep" else None
    return {"source": _path(Path(spec.source), out), **{key: value for key, value in said.items() if value}}


def _data_reason(it: Draft) -> str:
    said = [f"{it.data.hold_out:.0%} of the prompts are kept for the suite below"] if it.data.hold_out else []
    said += ["too few rows to hold any out"] if not it.data.hold_out else []
    said += ["columns that no format reads are ignored"] if it.data.unread else []
    said += ["longer rows do not fit into the model's context"] if _longest(it) else []
    return "; ".join(said)


def _longest(it: Draft) -> int | None:
    """Characters of the longest conversation that is sure to fit into the context under the safety prompt;
    None: all fit."""
    context = it.model.context
    if context is None:
        return None
    extra = len(it.model.renderer.tokenizer(it.safety)["input_ids"])
    sizes = [
        (sum(len(turn.content) for turn in one.messages), len(made.ids) + extra)
        for one, made in zip(it.data.examples, it.lengths, strict=False)
    ]
    over = [characters for characters, tokens in sizes if tokens > context]
    return max(min(over) - 1, 1) if over else None


def _suite_lines(it: Draft, out: Path, tune_only: bool) -> list[str]:
    suites = [] if tune_only else _usual_suites(it, out)
    if it.data.hold_out:
        suites.insert(0, _task_suite(it, out))
    if not suites:
        suites = [({"name": "everyday", "max_new_tokens": 64}, "too few rows for a suite of their own")]
    return [line for fields, why in suites for line in lines_of("", fields, why, 1)]


def _task_suite(it: Draft, out: Path) -> tuple[dict[str, Any], str]:
    scorers, why = it.data.scorers
    answers = sorted(one.trained for one in it.lengths)
    tokens = answers[int(0.95 * (len(answers) - 1))]
    fields = {
        "name": _name(Path(it.data.spec.source).stem),
        **_data(it, out, "test"),
        "limit": _HELD_OUT_ASKED,
        "scorers": [*scorers, "held_out_loss"],
        "asks": "task",
        "max_new_tokens": max(32, -(-tokens * 5 // 4 // 16) * 16),
    }
    return fields, f"rows that are not tuned on; {why}; 95 % of the answers have at most {tokens:,} tokens"


def _usual_suites(it: Draft, out: Path) -> list[tuple[dict[str, Any], str]]:
    theirs = own_suites(it.model.spec.model)
    if theirs:
        chosen = [suite for suite in theirs if suite.asks in ("harm", "benign")]
        return [({"name": suite.name}, f"asks for {suite.asks}; made for this model") for suite in chosen]
    found: list[tuple[dict[str, Any], str]] = []
    if isinstance(it.harmful, Suite):
        found.append(({"name": HARMFUL, "limit": 100, "max_new_tokens": 128}, "harmful requests: refusals"))
    elif it.harmful is not None:
        fields = {"name": "harmful", **_source(it.harmful, out)}
        more = {"scorers": ["refusal", "coherence"], "asks": "harm", "limit": 100, "max_new_tokens": 128}
        found.append(({**fields, **more}, "your harmful requests: refusals; add a judge to measure harm"))
    found.append(({"name": "looks-harmful", "max_new_tokens": 128}, "harmless requests: over-refusal"))
    found.append(({"name": "everyday", "max_new_tokens": 64}, "whether it can still do other things"))
    return found


def _path(path: Path, out: Path) -> str:
    """A path as a study in ``out``'s directory names it: relative where it lies below, else absolute."""
    whole, base = os.path.abspath(path), os.path.abspath(out.parent)  # noqa: PTH100 (resolve() follows links)
    near = os.path.relpath(whole, base)
    return whole if near.startswith("..") else f"./{near}"


def _name(text: str) -> str:
    """A file's name as the name of a suite or a study."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or "mine"


def study_name(data: Path) -> str:
    """What a study of a file is called."""
    return _name(data.stem)
