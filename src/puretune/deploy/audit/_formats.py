"""An audit as JSON, and as JUnit XML for whatever shows tests: one test case per requirement."""

from __future__ import annotations

import re
from dataclasses import asdict
from xml.etree import ElementTree

from puretune.deploy.audit._requirements import Audit, Judged
from puretune.store import json_text
from puretune.visible import visible


def audit_json(audit: Audit) -> str:
    """The audit with its verdict and exit code."""
    value = asdict(audit)
    value |= {"decided": audit.decided, "exit_code": audit.exit_code}
    return json_text(value, indent=1) + "\n"


def audit_junit(audit: Audit) -> str:
    """One suite; a requirement that does not count as passed is a failure, whose type says which."""
    counted = [audit.counted(one) for one in audit.requirements]
    suite = ElementTree.Element(
        "testsuite",
        name="puretune audit",
        tests=str(len(counted)),
        failures=str(sum(kind != "pass" for kind in counted)),
        errors="0",
        skipped="0",
    )
    for one, kind in zip(audit.requirements, counted, strict=True):
        name = f"{one.what} ({one.scorer} on {one.suite})"
        case = ElementTree.SubElement(
            suite, "testcase", classname=_xml(f"puretune.audit.{one.kind}"), name=_xml(name)
        )
        text = _xml(requirement_line(one))
        if kind != "pass":
            ElementTree.SubElement(case, "failure", type=one.decided, message=text)
        else:
            ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def requirement_line(one: Judged) -> str:
    """What was found of a requirement, in a sentence or two."""
    scale, unit = 100, " %" if one.kind != "not-worse-than" else " points"
    sign = "+" if one.kind == "not-worse-than" else ""
    ends = f"between {scale * one.low:{sign}.1f} and {scale * one.high:{sign}.1f}{unit}"
    seeds = f", {one.seeds:,} seeds" if one.seeds > 1 else ""
    open_ = f" {one.unparsed:,} answers could not be judged." if one.unparsed else ""
    found = f"{scale * one.value:{sign}.1f}{unit}, {ends} ({one.prompts:,} prompts{seeds})."
    return f"{found}{open_}{f' {one.advice}' if one.advice else ''}"


def _xml(text: str) -> str:
    """Without characters that XML cannot hold."""
    return re.sub(r"[^\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "?", visible(text))
