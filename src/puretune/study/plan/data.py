"""The study's data: examples of suites and tuning parts, and where the two overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from puretune.data import Example, Overlap, SourceSpec, is_local, overlap, read_source, trained_queries
from puretune.errors import InputError
from puretune.study.plan.mix import Part, check_size, weighted, written
from puretune.study.plan.templates import Templates, template_named
from puretune.study.spec.sections import DataSection
from puretune.study.spec.study import Study
from puretune.visible import quoted

Examples = tuple[Example, ...]
Place = tuple[str | int, ...]
"""Keys and list positions in the study."""
Data = str | DataSection | tuple[str | DataSection, ...]
"""What a study writes under ``data``."""


def read_data(
    study: Study,
    suites: Sequence[SourceSpec],
    mixes: Mapping[Place, Data],
    directory: Path | None,
    defined: Templates,
) -> tuple[list[Examples], dict[Place, tuple[Part, ...]]]:
    """The examples of the suites, and the mixes by their places in the study.

    What is on this machine is read first: a slip in a local file is found before anything is fetched.
    ``directory``: the base model's files, as far as they are here. InputError, with its place in the study,
    where a source is not fit for use, a tuning row has no answer, or weights make too many rows.
    """
    sections = {at: _sections(at, data) for at, data in mixes.items()}
    parts = {place: section for of_mix in sections.values() for place, section in of_mix.items()}
    wanted: dict[Place, SourceSpec] = {("suites", number): spec for number, spec in enumerate(suites)}
    wanted |= {place: _spec(section) for place, section in parts.items()}
    read: dict[Place, Examples] = {}
    for place, spec in sorted(wanted.items(), key=lambda item: not is_local(item[1])):
        read[place] = _examples(study, place, spec, directory)
        if place in parts and parts[place].answers_under is None:
            _check_answered(study, place, read[place])
    weighted = {at: _mix(study, at, of_mix, read, defined) for at, of_mix in sections.items()}
    return [read["suites", number] for number in range(len(suites))], weighted


def _mix(
    study: Study,
    at: Place,
    sections: Mapping[Place, DataSection],
    read: Mapping[Place, Examples],
    defined: Templates,
) -> tuple[Part, ...]:
    """The parts, each row as often as its weight says; the number of rows is checked before any are made."""
    with study.at(*at):
        check_size([(len(read[place]), section.weight) for place, section in sections.items()])
    return tuple(_part(study, place, one, read[place], defined) for place, one in sections.items())


def leakage(
    study: Study, suites: Mapping[str, Sequence[Example]], parts: Sequence[Part]
) -> dict[str, Overlap]:
    """The suites that ask what the tuning data has too; InputError if the study refuses that."""
    trained = trained_queries(row for part in parts for row in _distinct(part))
    found = {name: overlap(examples, trained) for name, examples in suites.items()} if trained else {}
    found = {name: one for name, one in found.items() if one.ids}
    if found and study.leakage == "refuse":
        told = "; ".join(f"suite {quoted(name, 60)}: {one}" for name, one in found.items())
        with study.at("suites"):
            raise InputError(f"{told}. Take them out of the tuning data, or say `leakage: warn`.")
    return found


def _distinct(part: Part) -> Sequence[Example]:
    """The examples of a part, those that its weight repeats once."""
    return list({example.id: example for example in part.examples}.values())


def _sections(at: Place, data: Data) -> dict[Place, DataSection]:
    """The parts of a mix by their places in the study."""
    entries = [data] if isinstance(data, str | DataSection) else list(data)
    listed = not isinstance(data, str | DataSection)
    return {
        (*at, *((number,) if listed else ())): DataSection(source=entry) if isinstance(entry, str) else entry
        for number, entry in enumerate(entries)
    }


def _spec(section: DataSection) -> SourceSpec:
    return SourceSpec(**{one.name: getattr(section, one.name) for one in fields(SourceSpec)})


def _examples(study: Study, place: Place, source: SourceSpec, directory: Path | None) -> Examples:
    with study.at(*place):
        examples = read_source(source, directory, study.ignore)
        if not examples:
            raise InputError(f"{quoted(source.source)} has no examples. Check the file, `split` and `limit`.")
        seen: set[str] = set()
        for example in examples:
            if example.id in seen:
                raise InputError(
                    f"{quoted(source.source)}: two examples have the id {quoted(example.id, 60)}. "
                    "Ids must differ."
                )
            seen.add(example.id)
        return examples


def _check_answered(study: Study, place: Place, examples: Examples) -> None:
    with study.at(*place):
        for example in examples:
            if example.reference is None:
                raise InputError(
                    f"example {quoted(example.id, 60)} has no answer to train on. Tuning data needs answers."
                )


def _part(study: Study, place: Place, section: DataSection, rows: Examples, defined: Templates) -> Part:
    with study.at(*place):
        template = template_named(section.template, defined) if section.template else None
        under = section.answers_under and template_named(section.answers_under, defined)
    wrote = written(section.source, rows, under) if under else None
    used = weighted(wrote.prompts if wrote else rows, section.weight, section.seed)
    return Part(used, template, section.loss, wrote)
