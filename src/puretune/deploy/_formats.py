"""A verification as JSON, and as SARIF 2.1.0 for code hosts that show findings at files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

from puretune.deploy._accidents import ACCIDENTS, Finding
from puretune.deploy._file_names import SERVING
from puretune.deploy._verify import Verification
from puretune.store import json_text

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(found: Verification) -> str:
    """The verification, each finding with its title and cure."""
    value = asdict(found)
    value["passed"] = found.passed
    value["findings"] = [{**asdict(one), "title": one.title, "cure": one.cure} for one in found.findings]
    return json_text(value, indent=1)


def as_sarif(found: Verification) -> str:
    """One run of one tool: a rule per accident, a result per finding."""
    named = {one.accident for one in found.findings}
    rules = [
        {
            "id": name,
            "shortDescription": {"text": accident.title},
            "help": {"text": accident.cure},
            "defaultConfiguration": {"level": "error"},
        }
        for name, accident in ACCIDENTS.items()
        if name in named
    ]
    driver = {"name": "puretune verify", "version": metadata.version("puretune"), "rules": rules}
    run = {
        "tool": {"driver": driver},
        "results": [_result(one) for one in found.findings],
        "invocations": [{"executionSuccessful": True}],
    }
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def sentence(finding: Finding) -> str:
    """A finding in one sentence or two, with the requests that show it."""
    shown = f" ({', '.join(finding.probes)})" if finding.probes else ""
    return f"{finding.consumer}: {finding.title}: {finding.said}{shown}. {finding.cure}"


def _result(finding: Finding) -> Mapping[str, Any]:
    place = {"artifactLocation": {"uri": finding.file or SERVING}, "region": {"startLine": 1}}
    return {
        "ruleId": finding.accident,
        "level": "error",
        "message": {"text": sentence(finding)},
        "locations": [{"physicalLocation": place}],
    }
