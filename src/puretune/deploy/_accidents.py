"""What can happen to a template between measurement and server: each accident by name, with what stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from puretune.deploy._facts import Facts
from puretune.deploy._probes import Probe
from puretune.thoughts import MARKS
from puretune.visible import quoted


class Accident(NamedTuple):
    """One kind of accident."""

    title: str
    cure: str


ACCIDENTS: Mapping[str, Accident] = {
    "two-bos": Accident(
        "two BOS tokens", "The chat template writes BOS: switch off adding it in the tokenizer or the server."
    ),
    "no-bos": Accident("BOS is missing", "Restore chat_template.jinja: it writes BOS."),
    "lost-template": Accident(
        "the chat template is missing in one of its places", "Export again, or copy the other place's over."
    ),
    "places-differ": Accident(
        "chat_template.jinja and tokenizer_config.json hold different chat templates",
        "Some servers read one, some the other: export again.",
    ),
    "changed-file": Accident("a file was changed or lost since the export", "Export again."),
    "lost-system": Accident(
        "the system prompt is lost", "Give the server this export's chat template, and no other."
    ),
    "other-system": Accident(
        "another system prompt than the one that was measured",
        "Restore the chat template, or measure that prompt and export again.",
    ),
    "default-system": Accident(
        "a system prompt that nobody asked for", "Give the server this export's chat template."
    ),
    "served-as-trained": Accident(
        "served under the template of the training", "Name `default`, not `training`, as the chat template."
    ),
    "base-template": Accident(
        "the base model's own chat template is used",
        "Pass the export's: --chat-template chat_template.jinja (vLLM), --chat-template-file (llama.cpp).",
    ),
    "lost-wrapper": Accident(
        "the words around the user's message are lost", "Give the server this export's chat template."
    ),
    "caller-system-lost": Accident(
        "the caller's system message is lost", "Give the server this export's chat template."
    ),
    "accepted": Accident(
        "a request is answered that the export refuses",
        "Give the server this export's chat template; a server that swallows its errors cannot refuse.",
    ),
    "refused": Accident(
        "a request is refused that the export answers", "Update the consumer, or report what it says."
    ),
    "thoughts": Accident(
        "a thinking block that was not measured", "Switch thinking off (`enable_thinking: false`)."
    ),
    "special-token": Accident(
        "a message became special tokens", "Restore the chat template: it keeps such a spelling as text."
    ),
    "no-answer-start": Accident(
        "the prompt ends before an answer begins", "Ask with `add_generation_prompt: true`."
    ),
    "stop-not-set": Accident(
        "a token that ends answers is not set as a stop",
        "Restore `eos_token_id` of generation_config.json; vLLM reads it with --generation-config.",
    ),
    "stop-not-trained": Accident(
        "no answer was trained to end", "Tune again: the last trained token must be the end of the turn."
    ),
    "nothing-trained": Accident("the training saw no token of an answer", "Tune again, and look at `show`."),
    "modelfile": Accident("the Modelfile has no TEMPLATE or lacks a stop", "Export again."),
    "other-tokens": Accident(
        "other tokens than those that were measured", "Compare them with `puretune show`."
    ),
}


@dataclass(frozen=True)
class Finding:
    """One accident."""

    accident: str
    consumer: str
    """Who renders it so, or the file that is wrong."""
    said: str
    """What is lost, or what is there in its place."""
    probes: tuple[str, ...] = ()
    """The requests that show it."""
    file: str = ""
    """The file that it is in, where that is known."""

    @property
    def title(self) -> str:
        """The accident in words."""
        return ACCIDENTS[self.accident].title

    @property
    def cure(self) -> str:
        """How to stop it."""
        return ACCIDENTS[self.accident].cure


Decode = Any
"""Token ids -> their text."""


def accident_of(
    probe: Probe, ids: tuple[int, ...] | None, facts: Facts, decode: Decode
) -> tuple[str, str] | None:
    """The accident that a consumer's tokens show, and what is lost; None where they are as they should be."""
    expected = probe.expected
    if expected is None:
        return None if ids is None else ("accepted", f"it is shown {quoted(decode(ids), 80)}")
    if ids is None:
        return "refused", "it has no prompt"
    if ids in (expected, probe.ids):
        return None
    by_ids = _by_ids(probe, expected, ids, facts)
    if by_ids:
        return by_ids, _difference(expected, ids, decode)
    return _by_text(probe, expected, ids, facts, decode)


def _by_ids(probe: Probe, expected: tuple[int, ...], ids: tuple[int, ...], facts: Facts) -> str:
    bos = facts.bos.id
    if bos is not None and ids[:2] == (bos, bos) != expected[:2]:
        return "two-bos"
    if bos is not None and expected[:1] == (bos,) != ids[:1]:
        return "no-bos"
    if ids == probe.training:
        return "served-as-trained"
    if ids == probe.base:
        return "base-template"
    special = set(facts.special_ids)
    more = sum(i in special for i in ids) > sum(i in special for i in expected)
    if more and "special" in probe.name:
        return "special-token"
    return "no-answer-start" if expected[: len(ids)] == ids else ""


def _by_text(
    probe: Probe, expected: tuple[int, ...], ids: tuple[int, ...], facts: Facts, decode: Decode
) -> tuple[str, str]:
    shown, wanted = decode(ids), decode(expected)
    said = _difference(expected, ids, decode)
    if facts.system and _flat(facts.system) not in _flat(shown):
        put = _put_in(_flat(wanted), _flat(shown), _flat(facts.system))
        other = put and put not in _flat(wanted)
        return ("other-system", f"it is shown {quoted(put, 80)}") if other else ("lost-system", said)
    if any(mark in shown and mark not in wanted for pair in MARKS for mark in pair):
        return "thoughts", said
    callers = [str(m["content"]) for m in probe.request["messages"] if m["role"] == "system"]
    if any(c and _flat(c) in _flat(wanted) and _flat(c) not in _flat(shown) for c in callers):
        return "caller-system-lost", said
    if any(
        _flat(part) and _flat(shown).count(_flat(part)) < _flat(wanted).count(_flat(part))
        for part in facts.wrapper
    ):
        return "lost-wrapper", said
    if not facts.system and len(ids) > len(expected) and shown.endswith(wanted[-20:]):
        return "default-system", said
    return "other-tokens", said


def _put_in(wanted: str, shown: str, system: str) -> str:
    """What is shown in the place of the system prompt, where its start and its end are others."""
    before, _, after = wanted.partition(system)
    start, end = len(_common(before, shown)), len(_common(after[::-1], shown[::-1]))
    return shown[start : len(shown) - end].strip()


def _common(one: str, other: str) -> str:
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return one[:number]
    return one[: len(other)]


def _difference(expected: Sequence[int], ids: Sequence[int], decode: Decode) -> str:
    """The first place where two prompts differ, in words."""
    for tag, i, j, k, n in SequenceMatcher(None, expected, ids, autojunk=False).get_opcodes():
        if tag != "equal":
            lost, put = decode(expected[i:j]), decode(ids[k:n])
            told = (
                f"from token {i} on, {quoted(lost, 80)} is lost" if j > i else f"at token {i} nothing is lost"
            )
            return f"{told}; {quoted(put, 80)} is there" if n > k else told
    return ""


def _flat(text: str) -> str:
    return " ".join(text.split())
