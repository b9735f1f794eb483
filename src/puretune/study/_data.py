"""The study's data: examples of suites and tuning parts, and where the two overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from puretune.data import Example, Overlap, SourceSpec, is_local, overlap, read_source, trained_queries
from puretune.errors import InputError
from puretune.study._conditions import Templates, template_named
from puretune.study._mix import Part, check_size, weighted
from puretune.study._sections import DataSection
from puretune.study._spec import Study
from puretune.visible import one_line

Examples = tuple[Example, ...]
_Place = tuple[str | int, ...]


def read_sources(
    study: Study, suites: Sequence[SourceSpec], directory: Path | None, tunes: bool
) -> tuple[list[Examples], list[Examples]]:
    """The examples of the suites, and of the tuning data's parts where the study ``tunes``, in their order.

    What is on this machine is read first: a slip in a local file is found before anything is fetched.
    ``directory``: the base model's files, as far as they are here. InputError, with its place in the study,
    where a source is not fit for use, or a tuning row has no answer.
    """
    parts = _sections(study) if tunes else {}
    wanted: dict[_Place, SourceSpec] = {("suites", number): spec for number, spec in enumerate(suites)}
    wanted |= {place: _spec(section) for place, section in parts.items()}
    read: dict[_Place, Examples] = {}
    for place, spec in sorted(wanted.items(), key=lambda item: not is_local(item[1])):
        read[place] = _examples(study, place, spec, directory)
        if place in parts:
            _check_answered(study, place, read[place])
    return [read["suites", number] for number in range(len(suites))], [read[place] for place in parts]


def weighted_parts(study: Study, rows: Sequence[Examples], defined: Templates) -> tuple[Part, ...]:
    """The tuning data, part by part, each row as often as its weight says.

    InputError for weights that make too many rows, before any are made.
    """
    if not rows:
        return ()
    sections = _sections(study)
    with study.at("tuning", "data"):
        check_size([(len(part), one.weight) for part, one in zip(rows, sections.values(), strict=True)])
    return tuple(
        _part(study, place, section, part, defined)
        for (place, section), part in zip(sections.items(), rows, strict=True)
    )


def leakage(
    study: Study, suites: Mapping[str, Sequence[Example]], parts: Sequence[Part]
) -> dict[str, Overlap]:
    """The suites that ask what the tuning data has too; InputError where the study refuses that."""
    trained = trained_queries(row for part in parts for row in _distinct(part))
    found = {name: overlap(examples, trained) for name, examples in suites.items()} if trained else {}
    found = {name: one for name, one in found.items() if one.ids}
    if found and study.leakage == "refuse":
        told = "; ".join(f"suite {one_line(name, 60)!r}: {one}" for name, one in found.items())
        with study.at("suites"):
            raise InputError(f"{told}. Take them out of the tuning data, or say `leakage: warn`.")
    return found


def _distinct(part: Part) -> Sequence[Example]:
    """The examples of a part, those that its weight repeats once."""
    return list({example.id: example for example in part.examples}.values())


def _sections(study: Study) -> dict[_Place, DataSection]:
    """The parts of the tuning data by their places in the study."""
    assert study.tuning is not None
    data = study.tuning.data
    entries = [data] if isinstance(data, str | DataSection) else list(data)
    listed = not isinstance(data, str | DataSection)
    return {
        ("tuning", "data", *((number,) if listed else ())): DataSection(source=entry)
        if isinstance(entry, str)
        else entry
        for number, entry in enumerate(entries)
    }


def _spec(section: DataSection) -> SourceSpec:
    return SourceSpec(**{one.name: getattr(section, one.name) for one in fields(SourceSpec)})


def _examples(study: Study, place: _Place, source: SourceSpec, directory: Path | None) -> Examples:
    with study.at(*place):
        examples = read_source(source, directory, study.ignore)
        if not examples:
            raise InputError(
                f"{one_line(source.source)!r} has no examples. Check the file, `split` and `limit`."
            )
        seen: set[str] = set()
        for example in examples:
            if example.id in seen:
                raise InputError(
                    f"{one_line(source.source)!r}: two examples have the id {one_line(example.id, 60)!r}. "
                    "Ids must differ."
                )
            seen.add(example.id)
        return examples


def _check_answered(study: Study, place: _Place, examples: Examples) -> None:
    with study.at(*place):
        for example in examples:
            if example.reference is None:
                raise InputError(
                    f"example {one_line(example.id, 60)!r} has no answer to train on. "
                    "Tuning data needs answers."
                )


def _part(study: Study, place: _Place, section: DataSection, rows: Examples, defined: Templates) -> Part:
    with study.at(*place):
        template = template_named(section.template, defined) if section.template else None
    return Part(weighted(rows, section.weight, section.seed), template)
