"""Control templates: they tell what a safety prompt's words do from what any other template would do.

A model that was tuned under one template and tested under another may refuse more because the other one says
so, or only because it is another one. A control is another one that says nothing of safety: as many tokens,
by the model's own tokenizer, and everything but the system prompt as it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from typing import Any, Literal, get_args

from puretune.errors import InputError
from puretune.templates._builtin import ALPACA, alias_of
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._render import Renderer

ControlKind = Literal["neutral", "shuffled", "random-prefix", "paraphrase"]
"""``neutral``: a system prompt without any bearing on safety; ``shuffled``: the safety prompt's words in
another order; ``random-prefix``: random words; ``paraphrase``: the training template in other words."""
KINDS: tuple[ControlKind, ...] = get_args(ControlKind)

OPENING = "You are an assistant for a school."
SENTENCES = (
    "The road is long and the morning is cold.",
    "The old house on the road has a new shop in it.",
    "A man sells plums and eggs in the morning.",
    "The shop sells cards, cups and nails.",
    "The teacher has a class in the morning and one at night.",
    "The school is on the road to the old house.",
    "The sister of the teacher buys eggs and plums from the shop.",
    "The day was long and the night was cold.",
    "There are many stones on the road.",
    "The list has cups, cards and coins on it.",
    "Your friend has a book with many notes.",
    "If some people play cards at night, others read.",
    "The story is about a man and an old road.",
    "A child finds coins and stones on the road.",
    "The people in the house talk about the day.",
    "The class will read a new book today.",
    "The boss of the shop wrote a list for the day.",
    "A friend of the teacher told a long story.",
    "The cups are old and the cards are new.",
    "The book is short and the story in it is long.",
    "If the day is cold, the shop closes before night.",
    "A page of the book is about nature.",
    "The game is old, and many people know it.",
    "The doctor has a house between the school and the shop.",
)
"""Puretune's own words, plain enough that small vocabularies have them."""
_USERS: dict[str, tuple[str, ...]] = {
    "Question: %s": ("Query: %s", "Problem: %s", "The question: %s", "Please answer: %s"),
    "Question: %s\nAnswer:": ("Query: %s\nReply:", "Problem: %s\nSolution:", "The question: %s\nResponse:"),
    "### Instruction:\n%s\n\n### Response:\n": (
        "### Task:\n%s\n\n### Reply:\n",
        "### Request:\n%s\n\n### Answer:\n",
    ),
}
_SYSTEMS: dict[str, tuple[str, ...]] = {
    ALPACA: ("The text below describes a task. Please write a response that completes it as it should be.",)
}
_TRIES, _WHOLE = 250, 40
"""Texts that are tried, and of a neutral prompt those of whole sentences."""
_PROBE = (Message("user", "Hello."),)
_Length = Callable[[str], int]


@dataclass(frozen=True)
class Control:
    """One control of a template, or why there is none."""

    kind: ControlKind
    of: PromptTemplate
    template: PromptTemplate | None
    """Named ``CL-neutral``; None: it cannot be made, and ``note`` says why."""
    tokens: int = 0
    """Of a short prompt under it; ``wanted`` under the template that it is a control of."""
    wanted: int = 0
    note: str = ""
    """What could not be met; "": as many tokens."""

    def facts(self) -> dict[str, Any]:
        """What a plan and a report say of it."""
        made = self.template
        said = {"name": made.name, "system": made.system, "user": made.user} if made else {}
        return {
            "kind": self.kind,
            "of": self.of.name,
            **said,
            **(
                {"fingerprint": made.fingerprint, "tokens": self.tokens, "wanted": self.wanted}
                if made
                else {}
            ),
            **({"note": self.note} if self.note else {}),
        }

    def __str__(self) -> str:
        made, name = self.template, alias_of(self.of.name)
        if made is None:
            return f"{self.kind} of {name}: not made, because {self.note}"
        said = (
            made.system
            if self.kind != "paraphrase"
            else repr(" / ".join(filter(None, (made.system, made.user))))
        )
        fits = self.note or f"{self.tokens} tokens, as many as {name}"
        return f"{made.name} ({fits}): {said}"


def control(renderer: Renderer, template: PromptTemplate, kind: ControlKind, seed: int = 0) -> Control:
    """The control of a kind for a template, by the renderer's tokenizer; the same for the same seed.

    ``template`` is a safety prompt's or, for a paraphrase, one to tune under. Where no text of exactly as
    many tokens is found, the nearest is taken, and ``note`` says so.
    """
    why = _impossible(template, kind)
    if why:
        return Control(kind, template, None, note=why)

    def length(text: str) -> int:
        return _tokens(renderer, replace(template, system=text))

    wanted = _tokens(renderer, template)
    if kind == "paraphrase":
        made = min(_paraphrases(template), key=lambda one: abs(_tokens(renderer, one) - wanted))
    else:
        texts = _texts(renderer, template, kind, seed, length, wanted)
        made = replace(template, system=_nearest(length, wanted, texts), safety=False)
    tokens = _tokens(renderer, made)
    name = f"{alias_of(template.name)}-{kind}"
    return Control(kind, template, replace(made, name=name), tokens, wanted, _note(template, tokens, wanted))


def without_system(template: PromptTemplate, known: Iterable[PromptTemplate]) -> PromptTemplate:
    """The template without its system prompt: a known one if it is the same, else ``NAME-no-system``."""
    name = f"{alias_of(template.name)}-no-system"
    bare = replace(template, name=name, system=None, safety=False)
    return next((one for one in known if one.fingerprint == bare.fingerprint), bare)


def random_prefix(renderer: Renderer, tokens: int, seed: int) -> str:
    """Random words of ``tokens`` tokens by the renderer's tokenizer (as many words if it has none), the same
    for the same seed; InputError if no such text is found."""
    tokenizer, rng = renderer.tokenizer, random.Random(f"puretune prefix {seed}")

    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"] if tokenizer else text.split())

    words = _vocabulary(renderer)
    text = _nearest(length, tokens, (text for _ in count() for text in _random(length, tokens, rng, words)))
    if length(text) != tokens:
        raise InputError(f"no random words of exactly {tokens} tokens were found. Use another seed.")
    return text


def _impossible(template: PromptTemplate, kind: ControlKind) -> str:
    """Why there can be no such control; "" if there can."""
    if kind != "paraphrase":
        return "" if template.system else "it has no system prompt that could be replaced"
    if template.safety:
        return "it carries safety instructions, and a paraphrase of them would be another safety prompt"
    if not list(_paraphrases(template)):
        return "no other words for it are known: define a template of your own and test under that"
    return ""


def _texts(
    renderer: Renderer, template: PromptTemplate, kind: ControlKind, seed: int, length: _Length, wanted: int
) -> Iterator[str]:
    """System prompts to try, without end."""
    rng = random.Random(f"puretune control, {kind} {seed}")
    words = _vocabulary(renderer) if kind == "random-prefix" else (template.system or "").split()
    while True:
        if kind == "neutral":
            yield from _neutral(length, wanted, rng)
        elif kind == "shuffled":
            yield " ".join(rng.sample(words, len(words)))
        else:
            yield from _random(length, wanted, rng, words)


def _neutral(length: _Length, wanted: int, rng: random.Random) -> Iterator[str]:
    """As many whole sentences as fit, in many orders; then with the next one cut at each of its words."""
    for attempt in count():
        text, sentence = "", OPENING
        for following in cycle(rng.sample(SENTENCES, len(SENTENCES))):
            if length(_joined(text, sentence)) > wanted:
                break
            text, sentence = _joined(text, sentence), following
        if text:
            yield text
        words = sentence.rstrip(".").split() if attempt >= _WHOLE or not text else []
        for end in range(1, len(words) + 1):
            yield _joined(text, f"{' '.join(words[:end]).rstrip(',')}.")


def _random(length: _Length, wanted: int, rng: random.Random, words: Sequence[str]) -> Iterator[str]:
    """Random words, their number corrected by how many tokens they are."""
    drawn = rng.choices(words, k=2 * wanted)
    size = wanted
    for _ in range(6):
        text = " ".join(drawn[:size])
        yield text
        size = min(max(size + wanted - length(text), 1), len(drawn))


def _vocabulary(renderer: Renderer) -> list[str]:
    """Words that are one token each behind a blank; letters at random if the tokenizer is not known."""
    tokens = renderer.tokenizer.get_vocab() if renderer.tokenizer is not None else {}
    words = {token[1:] for token in tokens if token[:1] in ("▁", "Ġ", " ")}
    plain = sorted(word for word in words if len(word) > 2 and word.isascii() and word.isalpha())
    return plain or list(_letters(random.Random("puretune control words")))


def _letters(rng: random.Random) -> Iterator[str]:
    for _ in range(500):
        yield "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 6)))


def _nearest(length: _Length, wanted: int, texts: Iterator[str]) -> str:
    """The first of the texts that is as long as wanted, else the nearest of those tried."""
    best, gap = "", -1
    for text, _ in zip(texts, range(_TRIES), strict=False):
        here = abs(length(text) - wanted)
        if gap < 0 or here < gap:
            best, gap = text, here
        if here == 0:
            break
    return best


def _paraphrases(template: PromptTemplate) -> Iterator[PromptTemplate]:
    """The template in other words, as far as they are known for every part that has words."""
    users = ("%s",) if template.user == "%s" else _USERS.get(template.user, ())
    systems = _SYSTEMS.get(template.system, ()) if template.system else (None,)
    for user in users:
        for system in systems:
            if (user, system) != (template.user, template.system):
                yield replace(template, user=user, system=system)


def _tokens(renderer: Renderer, template: PromptTemplate) -> int:
    return len(renderer.prompt(template, _PROBE).ids)


def _joined(text: str, sentence: str) -> str:
    return f"{text} {sentence}".lstrip()


def _note(template: PromptTemplate, tokens: int, wanted: int) -> str:
    if tokens == wanted:
        return ""
    return f"{tokens} tokens where {alias_of(template.name)} has {wanted}: no exact match was found"
