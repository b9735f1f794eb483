"""Messages, prompt templates, and their rendering to token ids and a loss mask."""

from puretune.templates._api import api_turns
from puretune.templates._budget import Exceeded
from puretune.templates._builtin import (
    ALIASES,
    BUILTIN_TEMPLATES,
    alias_of,
    load_templates,
    own_template,
    resolve_template,
)
from puretune.templates._chat_template import TokenizerMarkup, markup_named
from puretune.templates._compare import Difference, chat_template_ids, differences, special_spellings
from puretune.templates._controls import Control, ControlKind, control, random_prefix, without_system
from puretune.templates._conversation_frame import (
    ConversationFrame,
    Step,
    Trims,
    conversation_frame,
    cut,
    spelled,
)
from puretune.templates._fields import TemplateFields
from puretune.templates._markup import MARKUPS, ExplicitMarkup, TurnMarkup
from puretune.templates._message import DefaultSystem, Message, Mode, OwnSystem, Role
from puretune.templates._prompt_template import PromptTemplate, template_from
from puretune.templates._render import RENDERING_VERSION, Renderer, Rendering
from puretune.templates._row_checks import row_notes
from puretune.templates._sandbox import run_chat_template
from puretune.templates._text import pieces, show_tokens
from puretune.templates._thoughts import Thoughts, without_thoughts

__all__ = [
    "ALIASES",
    "BUILTIN_TEMPLATES",
    "MARKUPS",
    "RENDERING_VERSION",
    "Control",
    "ControlKind",
    "ConversationFrame",
    "DefaultSystem",
    "Difference",
    "Exceeded",
    "ExplicitMarkup",
    "Message",
    "Mode",
    "OwnSystem",
    "PromptTemplate",
    "Renderer",
    "Rendering",
    "Role",
    "Step",
    "TemplateFields",
    "Thoughts",
    "TokenizerMarkup",
    "Trims",
    "TurnMarkup",
    "alias_of",
    "api_turns",
    "chat_template_ids",
    "control",
    "conversation_frame",
    "cut",
    "differences",
    "load_templates",
    "markup_named",
    "own_template",
    "pieces",
    "random_prefix",
    "resolve_template",
    "row_notes",
    "run_chat_template",
    "show_tokens",
    "special_spellings",
    "spelled",
    "template_from",
    "without_system",
    "without_thoughts",
]
