"""The study's data: examples of suites and tuning parts, and where the two overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from puretune.data import Example, Overlap, SourceSpec, overlap, read_source, trained_queries
from puretune.errors import InputError
from puretune.study._conditions import Templates, template_named
from puretune.study._mix import Part, check_size, weighted
from puretune.study._sections import DataSection
from puretune.study._spec import Study
from puretune.visible import one_line

_Place = tuple[str | int, ...]


def read_part(study: Study, place: _Place, source: SourceSpec, directory: Path | None) -> tuple[Example, ...]:
    """The examples of one source of the study; InputError, with its place, where they are not fit for use.

    ``directory``: the base model's files, as far as they are here.
    """
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


def tuning_parts(study: Study, directory: Path | None, defined: Templates) -> tuple[Part, ...]:
    """The tuning data, part by part, each row as often as its weight says.

    InputError for rows without an answer, and for weights that make too many rows (before any are made).
    """
    assert study.tuning is not None
    data = study.tuning.data
    entries = [data] if isinstance(data, str | DataSection) else list(data)
    listed = len(entries) > 1 or not isinstance(data, str | DataSection)
    places = [("tuning", "data", *((number,) if listed else ())) for number in range(len(entries))]
    sections = [DataSection(source=entry) if isinstance(entry, str) else entry for entry in entries]
    read = [_answered(study, *pair, directory) for pair in zip(places, sections, strict=True)]
    with study.at("tuning", "data"):
        check_size([(len(rows), section.weight) for rows, section in zip(read, sections, strict=True)])
    return tuple(
        _part(study, place, section, rows, defined)
        for place, section, rows in zip(places, sections, read, strict=True)
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


def _answered(
    study: Study, place: _Place, section: DataSection, directory: Path | None
) -> tuple[Example, ...]:
    source = SourceSpec(**{one.name: getattr(section, one.name) for one in fields(SourceSpec)})
    examples = read_part(study, place, source, directory)
    with study.at(*place):
        for example in examples:
            if example.reference is None:
                raise InputError(
                    f"example {one_line(example.id, 60)!r} has no answer to train on. "
                    "Tuning data needs answers."
                )
    return examples


def _part(
    study: Study, place: _Place, section: DataSection, rows: tuple[Example, ...], defined: Templates
) -> Part:
    with study.at(*place):
        template = template_named(section.template, defined) if section.template else None
    return Part(weighted(rows, section.weight, section.seed), template)
