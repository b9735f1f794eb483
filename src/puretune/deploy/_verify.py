"""Verifying an export: every consumer renders every probe; its tokens are compared with the measured ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from puretune.deploy._accidents import Finding, accident_of
from puretune.deploy._consumers import Consumer, Tokens, installed, refusing, template_in
from puretune.deploy._facts import Facts
from puretune.deploy._file_names import (
    CHAT_TEMPLATE,
    GENERATION_CONFIG,
    MODELFILE,
    PROBES,
    SERVING,
    TOKENIZER_CONFIG,
)
from puretune.deploy._probes import Probe, from_json
from puretune.errors import CheckFailed, InputError
from puretune.files import read_mapping
from puretune.store import sha256_file
from puretune.templates import Exceeded, run_chat_template
from puretune.visible import one_line, visible


@dataclass(frozen=True)
class Checked:
    """One consumer, and how many requests it rendered as they were measured."""

    consumer: str
    requests: int
    """0: it was not asked."""
    right: int
    note: str = ""
    """Why it was not asked, or what is not known."""


@dataclass(frozen=True)
class Verification:
    """What was checked of an export, and what was found."""

    directory: str
    condition: str
    template: str
    checked: tuple[Checked, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(directory: Path, servers: Iterable[Consumer] = ()) -> Verification:
    """Whether an export still serves what was measured, wherever it is rendered.

    InputError for a directory that is no export.
    """
    facts = Facts.read(directory)
    try:
        probes = from_json(read_mapping(directory / PROBES)["probes"])
        tokens = Tokens(directory)
    except (InputError, KeyError, TypeError) as error:
        raise CheckFailed(
            f"{visible(directory)}: the export cannot be read ({one_line(error)}). Export again."
        ) from error
    _require_bounded(directory, probes)
    findings = [*_files(directory, facts), *_places(directory), *_stops(directory, facts)]
    findings += _training(facts)
    checked = []
    for consumer in (*installed(directory, tokens), *servers):
        one, found = _asked(consumer, probes, facts, tokens)
        checked.append(one)
        findings += found
    return Verification(
        directory=str(directory),
        condition=facts.condition,
        template=facts.template.name,
        checked=tuple(checked),
        findings=tuple(findings),
        notes=tuple(_notes(facts, probes)),
    )


def _asked(
    consumer: Consumer, probes: Iterable[Probe], facts: Facts, tokens: Tokens
) -> tuple[Checked, list[Finding]]:
    """One consumer on all probes; the same accident is told once, with the probes that show it."""
    if consumer.render is None:
        return Checked(consumer.name, 0, 0, consumer.missing), []
    ask, count, shown = refusing(consumer.render), 0, dict[tuple[str, str], list[str]]()
    said: dict[str, str] = {}
    for probe in probes:
        count += 1
        ids, why = ask(probe.request)
        found = _count_of(probe, ids) if consumer.counts else accident_of(probe, ids, facts, tokens.decode)
        if found is not None:
            kind = found[0]
            shown.setdefault((kind, consumer.name), []).append(probe.name)
            said.setdefault(kind, why or found[1])
    findings = [
        Finding(kind, name, said[kind], tuple(names), consumer.file) for (kind, name), names in shown.items()
    ]
    wrong = sum(len(one.probes) for one in findings)
    note = "only the numbers of tokens are compared" if consumer.counts else ""
    return Checked(consumer.name, count, count - wrong, note), findings


def _count_of(probe: Probe, ids: tuple[int, ...] | None) -> tuple[str, str] | None:
    """The accident that a number of tokens shows."""
    expected = probe.expected
    if (expected is None) == (ids is None) and (ids is None or len(ids) == len(expected or ())):
        return None
    if expected is None or ids is None:
        return ("refused", "it has no prompt") if ids is None else ("accepted", f"it has {len(ids)} tokens")
    told = f"the prompt has {len(ids)} tokens, not {len(expected)}"
    if len(ids) == len(expected) + 1:
        return "two-bos", f"{told}: one more, as a second BOS would make it"
    for kind, other in (("served-as-trained", probe.training), ("base-template", probe.base)):
        if other is not None and len(other) == len(ids):
            return kind, told
    return "other-tokens", told


def _files(directory: Path, facts: Facts) -> Iterator[Finding]:
    """Files that are not as they were written."""
    for name, digest in facts.files.items():
        path = directory / name
        if not path.is_file():
            kind = "lost-template" if name == CHAT_TEMPLATE else "changed-file"
            yield Finding(kind, name, f"{name} is missing", file=name)
        elif sha256_file(path) != digest:
            yield Finding("changed-file", name, f"{name} is not what the export wrote", file=name)


def _require_bounded(directory: Path, probes: Iterable[Probe]) -> None:
    """CheckFailed for a chat template that takes more than any ordinary one: other engines have no bound."""
    for file in (CHAT_TEMPLATE, TOKENIZER_CONFIG):
        source = template_in(directory, file)
        for probe in probes if source else ():
            try:
                run_chat_template(str(source), {**probe.request, "add_generation_prompt": True})
            except Exceeded as error:
                raise CheckFailed(
                    f"{visible(directory / file)}: the chat template is stopped: {error}. Export again."
                ) from None
            except Exception:  # whatever it raises is a refusal
                continue


def _places(directory: Path) -> Iterator[Finding]:
    """The two places of the chat template."""
    places = {file: template_in(directory, file) for file in (CHAT_TEMPLATE, TOKENIZER_CONFIG)}
    if places[TOKENIZER_CONFIG] is None:
        said = f"{TOKENIZER_CONFIG} has no `chat_template`, which servers of older libraries read"
        yield Finding("lost-template", TOKENIZER_CONFIG, said, file=TOKENIZER_CONFIG)
    elif places[CHAT_TEMPLATE] is not None and len(set(places.values())) > 1:
        said = "newer libraries read chat_template.jinja, others tokenizer_config.json"
        yield Finding("places-differ", CHAT_TEMPLATE, said, file=CHAT_TEMPLATE)


def _stops(directory: Path, facts: Facts) -> Iterator[Finding]:
    """Tokens that end an answer, in the two files that say so."""
    file = directory / GENERATION_CONFIG
    stated = read_mapping(file, infinite=True).get("eos_token_id") if file.is_file() else None
    given = stated if isinstance(stated, list) else [stated]
    missing = [one for one in facts.stop.ids if one not in given]
    if missing:
        said = f"`eos_token_id` lacks {missing}: answers run on to the limit"
        yield Finding("stop-not-set", GENERATION_CONFIG, said, file=GENERATION_CONFIG)
    file = directory / MODELFILE
    text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
    stops = [stop for stop in facts.stop.tokens if f'PARAMETER stop "{stop}"' not in text]
    if 'TEMPLATE """' not in text or stops:
        lacking = ", ".join(stops) if 'TEMPLATE """' in text else "TEMPLATE"
        yield Finding("modelfile", MODELFILE, f"{lacking} is missing", file=MODELFILE)


def _training(facts: Facts) -> Iterator[Finding]:
    """What the adapter's manifest said of its training."""
    if facts.training and facts.training.trained_tokens == 0:
        yield Finding("nothing-trained", SERVING, "0 trained tokens", file=SERVING)
    if facts.training and facts.training.ends_with_stop is False:
        said = "the first row's trained tokens end without a stop token: answers would run on"
        yield Finding("stop-not-trained", SERVING, said, file=SERVING)


def _notes(facts: Facts, probes: Iterable[Probe]) -> Iterator[str]:
    if any(probe.served is not None for probe in probes):
        kept = facts.special_tokens_in_messages.kept_as_text_with
        yield (
            f"A message that spells a special token stays text with {kept} put into it, a character that the "
            "measurement did not have: such messages have other tokens than the measured ones."
        )
    refused = [probe.name for probe in probes if probe.expected is None]
    if refused:
        yield f"Refused by the export, as nothing was measured of it: {', '.join(refused)}."
    yield from (f"At the export: {re.sub(r'[.]$', '', str(one))}." for one in facts.warnings)
