"""Data: examples, readers of users' formats, named sources."""

from puretune.data._check import DataCheck, DataReport, check_source, notes_on
from puretune.data._clean import Change, Cleaned, clean
from puretune.data._example import Example, question
from puretune.data._files import read_rows
from puretune.data._formats import FORMATS
from puretune.data._leakage import Overlap, overlap, trained_queries
from puretune.data._markup import Mark, marks_in, special_tokens
from puretune.data._messages import plain_text
from puretune.data._read import SOURCES, draw_source, is_local, read_source
from puretune.data._repair import Rules
from puretune.data._sampling import Drawn, data_digest
from puretune.data._source import Source, SourceSpec
from puretune.data._unread_columns import NotRead
from puretune.data.sources import NAMED_SOURCES, NamedSource

__all__ = [
    "FORMATS",
    "NAMED_SOURCES",
    "SOURCES",
    "Change",
    "Cleaned",
    "DataCheck",
    "DataReport",
    "Drawn",
    "Example",
    "Mark",
    "NamedSource",
    "NotRead",
    "Overlap",
    "Rules",
    "Source",
    "SourceSpec",
    "check_source",
    "clean",
    "data_digest",
    "draw_source",
    "is_local",
    "marks_in",
    "notes_on",
    "overlap",
    "plain_text",
    "question",
    "read_rows",
    "read_source",
    "special_tokens",
    "trained_queries",
]
