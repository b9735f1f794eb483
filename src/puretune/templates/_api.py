"""Templates through an API: turns as messages, for a provider that puts its own markup around them.

{"role": "system", "content": "Be helpful ..."}, {"role": "user", "content": "Question: 2 + 2?"}
"""

from __future__ import annotations

from collections.abc import Sequence

from puretune.errors import InputError
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._tool_turns import WITHOUT_TOOLS
from puretune.thoughts import thinking_in
from puretune.visible import quoted


def api_turns(template: PromptTemplate, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The turns that a chat API is sent: system prompt, demonstrations, wrapped messages.

    InputError for a template that an API cannot be asked under: there the provider's own chat template makes
    the tokens, so neither text mode, nor a response prefix, nor arguments are possible. InputError, too, for
    thoughts in an answer.
    """
    reason = _unsafe(template)
    if reason:
        raise InputError(
            f"template {template.name!r} cannot be used through a chat API: {reason}. Use a chat template "
            "with a system prompt and a user wrapper only, or an engine that takes token ids."
        )
    turns = template.turns(messages)
    if any(turn.is_about_tools for turn in turns):
        raise InputError(f"an API is not sent tool calls and their results. {WITHOUT_TOOLS}")
    for turn in turns:
        block = thinking_in(turn.content)[0] if turn.role == "assistant" else None
        if block is not None:
            raise InputError(
                f"an assistant message has thoughts, {quoted(block.text, 60)} before {block.ends}; an "
                "API takes answers alone. Take the thoughts out of the row."
            )
    return turns


def _unsafe(template: PromptTemplate) -> str:
    if template.mode == "text":
        return "it is a text template, and an API puts its own turn markup around everything"
    if template.response_prefix:
        return f"it begins the response with {template.response_prefix[:40]!r}, and an API begins its own"
    if template.arguments:
        names = ", ".join(name for name, _ in template.arguments)
        return f"it pins arguments of the model's chat template ({names}), which an API does not take"
    return ""
