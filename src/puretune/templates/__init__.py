"""What is said: messages, prompt templates, and their rendering to token ids and a loss mask."""

from puretune.templates._api import api_turns
from puretune.templates._builtin import (
    ALIASES,
    BUILTIN_TEMPLATES,
    alias_of,
    define_templates,
    load_templates,
    resolve_template,
)
from puretune.templates._chat_template import TokenizerMarkup, markup_named
from puretune.templates._markup import MARKUPS, ExplicitMarkup, TurnMarkup
from puretune.templates._render import Renderer, Rendering
from puretune.templates._text import show_tokens
from puretune.templates._values import (
    DefaultSystem,
    Message,
    Mode,
    OwnSystem,
    PromptTemplate,
    Role,
    template_from,
)

__all__ = [
    "ALIASES",
    "BUILTIN_TEMPLATES",
    "MARKUPS",
    "DefaultSystem",
    "ExplicitMarkup",
    "Message",
    "Mode",
    "OwnSystem",
    "PromptTemplate",
    "Renderer",
    "Rendering",
    "Role",
    "TokenizerMarkup",
    "TurnMarkup",
    "alias_of",
    "api_turns",
    "define_templates",
    "load_templates",
    "markup_named",
    "resolve_template",
    "show_tokens",
    "template_from",
]
