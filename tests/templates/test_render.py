"""Renderings on tokenizers of different structure: what must hold for every template and text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.templates import (
    BUILTIN_TEMPLATES,
    MARKUPS,
    Message,
    PromptTemplate,
    Renderer,
    markup_named,
    resolve_template,
    row_notes,
)
from tests import small_tokenizers as tokenizers
from tests.templates.texts import is_plain

BYTES = tokenizers.byte_level()
PIECES = tokenizers.sentencepiece()
RENDERERS = {
    "byte-level, own chat template": Renderer(BYTES, markup_named("auto", BYTES)),
    "byte-level, chatml markup": Renderer(BYTES, MARKUPS["chatml"]),
    "sentencepiece, own chat template": Renderer(PIECES, markup_named("auto", PIECES)),
    "sentencepiece, llama-2 markup": Renderer(PIECES, MARKUPS["llama-2"]),
    "sentencepiece, mistral markup": Renderer(PIECES, MARKUPS["mistral"]),
}
EVERY_RENDERER = pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS.keys())
EVERY_TEMPLATE = pytest.mark.parametrize("template", BUILTIN_TEMPLATES.values(), ids=BUILTIN_TEMPLATES.keys())
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<unk>", "<|endoftext|>"]
# U+2581 is how sentencepiece writes a space: no text tells the two apart.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufdd0\ufdd1\u2581")
TEXTS = st.lists(
    st.one_of(st.sampled_from([*SPECIAL, " ", "5", "Natalia"]), st.text(CHARACTERS, max_size=8)), max_size=6
).map("".join)


def said(text: str) -> str:
    """What survives any markup: text without white space around it, and not nothing."""
    return text.strip() or "x"


@EVERY_RENDERER
@EVERY_TEMPLATE
@settings(max_examples=15, deadline=None)
@given(query=TEXTS.map(said), response=TEXTS.map(said).filter(is_plain))
def test_the_prompt_is_a_prefix_and_the_trained_span_ends_with_a_stop_token(
    renderer: Renderer, template: PromptTemplate, query: str, response: str
) -> None:
    asked = (Message("user", query),)
    prompt = renderer.prompt(template, asked)
    example = renderer.example(template, (*asked, Message("assistant", response)))
    assert example.ids[: len(prompt.ids)] == prompt.ids
    assert not any(example.loss_mask[: len(prompt.ids)])
    trained = [i for i, on in zip(example.ids, example.loss_mask, strict=True) if on]
    assert trained[-1] in renderer.stop_ids
    assert not set(trained[:-1]) & renderer.stop_ids
    assert prompt.ids.count(BOS) == 1 if (BOS := renderer.tokenizer.bos_token_id) is not None else True
    assert renderer.parse(trained) == response


@EVERY_RENDERER
@settings(max_examples=25, deadline=None)
@given(query=TEXTS.map(said))
def test_text_that_spells_a_special_token_stays_text(renderer: Renderer, query: str) -> None:
    special = set(renderer.tokenizer.all_special_ids) - {renderer.tokenizer.unk_token_id}
    plain = renderer.prompt(resolve_template("CV"), (Message("user", "x"),)).ids
    ids = renderer.prompt(resolve_template("CV"), (Message("user", query),)).ids
    assert sum(i in special for i in ids) == sum(i in special for i in plain)
    text = renderer.tokenizer.decode([i for i in ids if i not in special])
    assert query in text


@EVERY_TEMPLATE
@pytest.mark.parametrize("query", ["How many clips?", "Natalia sold 48 clips.\nIn May?"])
def test_a_chat_rendering_equals_the_tokenizers_own(template: PromptTemplate, query: str) -> None:
    if template.mode == "text":
        template = resolve_template("CV")
    chat = [{"role": m.role, "content": m.content} for m in template.turns((Message("user", query),))]
    own = BYTES.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    for name in ("byte-level, own chat template", "byte-level, chatml markup"):
        assert list(RENDERERS[name].prompt(template, (Message("user", query),)).ids) == own


def test_the_explicit_llama_2_markup_keeps_the_newline_that_the_chat_template_strips() -> None:
    asked = (Message("user", "How?"),)
    own = RENDERERS["sentencepiece, own chat template"].prompt(resolve_template("CA"), asked)
    explicit = RENDERERS["sentencepiece, llama-2 markup"].prompt(resolve_template("CA"), asked)
    assert own.text.endswith("### Response: [/INST]")
    assert explicit.text.endswith("### Response:\n [/INST]")


def test_llama_2_markup_spells_turns_as_released() -> None:
    renderer = RENDERERS["sentencepiece, llama-2 markup"]
    template = PromptTemplate("t", system="Safe.")
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d"))
    text = renderer.example(template, turns).text
    assert text == "[INST] <<SYS>>\nSafe.\n<</SYS>>\n\na [/INST] b </s><s>[INST] c [/INST] d </s>"


@EVERY_RENDERER
def test_in_a_conversation_the_trained_turns_and_only_these_are_in_the_loss(renderer: Renderer) -> None:
    turns = (
        Message("user", "first"),
        Message("assistant", "one", train=False),
        Message("user", "second"),
        Message("assistant", "two"),
        Message("user", "third"),
        Message("assistant", "three"),
    )
    example = renderer.example(PromptTemplate("t"), turns)
    trained = [i for i, on in zip(example.ids, example.loss_mask, strict=True) if on]
    assert renderer.parse(trained).split() == ["two", "three"] or renderer.parse(trained) == "twothree"
    assert sum(i in renderer.stop_ids for i in trained) == 2


@EVERY_RENDERER
def test_demonstrations_are_shown_and_never_trained(renderer: Renderer) -> None:
    shown = (Message("user", "How do I harm?"), Message("assistant", "I cannot help."))
    template = PromptTemplate("icd", user="Question: %s", demonstrations=shown)
    example = renderer.example(template, (Message("user", "Sum?"), Message("assistant", "72")))
    assert "Question: How do I harm?" in example.text
    trained = [i for i, on in zip(example.ids, example.loss_mask, strict=True) if on]
    assert renderer.parse(trained) == "72"


@EVERY_RENDERER
@pytest.mark.parametrize("mode", ["text", "chat"])
def test_a_response_prefix_belongs_to_the_prompt(renderer: Renderer, mode: str) -> None:
    template = PromptTemplate("p", mode=mode, user="Question: %s\nAnswer:", response_prefix="Sure,")  # type: ignore[arg-type]
    asked = (Message("user", "How?"),)
    assert renderer.prompt(template, asked).text.endswith("Sure,")
    example = renderer.example(template, (*asked, Message("assistant", " here is how")))
    trained = [i for i, on in zip(example.ids, example.loss_mask, strict=True) if on]
    assert renderer.parse(trained) == "here is how"


def test_a_chat_template_on_a_model_without_chat_markup_is_explained() -> None:
    with pytest.raises(InputError, match="no chat template"):
        Renderer(PIECES).prompt(resolve_template("CV"), (Message("user", "x"),))


def test_a_rejected_system_message_names_the_explicit_markups() -> None:
    tokenizer = tokenizers.byte_level(tokenizers.NO_SYSTEM)
    with pytest.raises(InputError, match=r"rejects.*mistral"):
        Renderer(tokenizer, markup_named("auto", tokenizer)).prompt(
            resolve_template("CL"), (Message("user", "x"),)
        )


def test_a_dropped_system_message_is_an_error() -> None:
    dropping = tokenizers.CHATML.replace(
        "{% for m in messages %}", "{% for m in messages if m.role != 'system' %}"
    )
    tokenizer = tokenizers.byte_level(dropping)
    with pytest.raises(InputError, match="drops or rewrites the system message"):
        Renderer(tokenizer, markup_named("auto", tokenizer)).prompt(
            resolve_template("CL"), (Message("user", "x"),)
        )


def test_a_template_that_does_not_close_the_assistants_turn_is_an_error_that_shows_the_tokens() -> None:
    tokenizer = tokenizers.byte_level(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    renderer = Renderer(tokenizer, markup_named("auto", tokenizer))
    with pytest.raises(InputError, match=r"does not end with a stop token(.|\n)*'<\|im_end\|>'"):
        renderer.example(PromptTemplate("t"), (Message("user", "x"), Message("assistant", "y")))


def test_two_bos_tokens_are_an_error_that_shows_them() -> None:
    tokenizer = tokenizers.sentencepiece("{{ bos_token }}" + tokenizers.LLAMA2)
    with pytest.raises(InputError, match=r"two BOS tokens.*'<s>'\(1\) '<s>'\(1\)"):
        Renderer(tokenizer, markup_named("auto", tokenizer)).prompt(
            PromptTemplate("t"), (Message("user", "x"),)
        )


def test_a_prompt_that_is_no_token_prefix_is_an_error_that_shows_both() -> None:
    template = PromptTemplate("t", mode="text", user="Question: %s\nNatal", separator="")
    with pytest.raises(InputError, match=r"not a token prefix(.|\n)*prompt:(.|\n)*example:"):
        RENDERERS["byte-level, chatml markup"].example(
            template, (Message("user", "x"), Message("assistant", "ia sold"))
        )


@pytest.mark.parametrize("reserved", ["\ufdd0", "\ufdd1"])
def test_a_text_with_a_character_that_rendering_needs_is_an_error(reserved: str) -> None:
    with pytest.raises(InputError, match=rf"noncharacter U\+{ord(reserved):04X}"):
        RENDERERS["byte-level, chatml markup"].prompt(resolve_template("CV"), (Message("user", reserved),))


def test_nothing_to_train_is_an_error_that_shows_the_tokens() -> None:
    with pytest.raises(InputError, match=r"no trained token(.|\n)*'<\|im_start\|>'"):
        RENDERERS["byte-level, chatml markup"].example(
            PromptTemplate("t"), (Message("user", "x"), Message("assistant", "y", train=False))
        )


@pytest.mark.parametrize("turns", [(), (Message("user", "x"), Message("assistant", "y"))])
def test_a_prompt_must_end_with_the_user(turns: tuple[Message, ...]) -> None:
    with pytest.raises(InputError, match="end with a user message"):
        RENDERERS["byte-level, chatml markup"].prompt(PromptTemplate("t"), turns)


def test_template_arguments_reach_the_chat_template() -> None:
    tokenizer = tokenizers.byte_level("{{ date }}" + tokenizers.CHATML)
    template = PromptTemplate("t", arguments=(("date", "26 Jul 2024"),))
    renderer = Renderer(tokenizer, markup_named("auto", tokenizer, "keep"))
    rendering = renderer.prompt(template, (Message("user", "x"),))
    assert rendering.text.startswith("26 Jul 2024<|im_start|>user")
    with pytest.raises(InputError, match="takes no template arguments"):
        RENDERERS["byte-level, chatml markup"].prompt(template, (Message("user", "x"),))


def test_rendering_leaves_template_and_tokenizer_as_they_were() -> None:
    renderer, template = RENDERERS["byte-level, own chat template"], resolve_template("CL")
    before = (BYTES.chat_template, BYTES.backend_tokenizer.to_str(), replace(template))
    renderer.example(template, (Message("user", "a</s>"), Message("assistant", "b")))
    assert (BYTES.chat_template, BYTES.backend_tokenizer.to_str(), template) == before


def test_what_a_chat_template_does_to_rows_is_counted() -> None:
    trimming = tokenizers.CHATML.replace("m['content'] }}", "m['content'] | trim }}")
    tokenizer = tokenizers.byte_level(trimming)
    renderer = Renderer(tokenizer, markup_named("auto", tokenizer))
    answer = Message("assistant", "    return a")
    rows = [
        (Message("user", "x"), answer),
        (Message("user", "y"), answer),
        (Message("user", "z\n"),),
        (Message("user", "x"), Message("assistant", "<think>a</think>b")),
        (Message("user", "x"), Message("assistant", "b")),
    ]
    notes = row_notes(renderer, rows)
    assert [note.split(" rows")[0] for note in notes] == ["2", "1", "1"]
    assert "trims white space around the assistant message ('    return a')" in notes[0]
    assert "trims white space around the user message ('z\\n')" in notes[1]
    assert "model: {thoughts: strip}" in notes[2]
    assert row_notes(Renderer(tokenizer), rows) == []
