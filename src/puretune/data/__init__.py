"""What is asked: examples, readers of users' formats, named sources."""

from puretune.data._check import DataCheck, DataReport, check_source
from puretune.data._draw import Drawn, data_digest
from puretune.data._example import Example, question
from puretune.data._files import parse_json, read_rows
from puretune.data._formats import FORMATS
from puretune.data._messages import plain_text
from puretune.data._read import ENTRY_POINTS, draw_source, offered_sources, read_source
from puretune.data._source import Source, SourceSpec
from puretune.data.sources import NAMED_SOURCES, NamedSource

__all__ = [
    "ENTRY_POINTS",
    "FORMATS",
    "NAMED_SOURCES",
    "DataCheck",
    "DataReport",
    "Drawn",
    "Example",
    "NamedSource",
    "Source",
    "SourceSpec",
    "check_source",
    "data_digest",
    "draw_source",
    "offered_sources",
    "parse_json",
    "plain_text",
    "question",
    "read_rows",
    "read_source",
]
