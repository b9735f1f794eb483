"""What people ship: an export with its safe chat template, verified wherever it is rendered.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.deploy._accidents import ACCIDENTS, Finding
    from puretune.deploy._consumers import Consumer
    from puretune.deploy._export import Exported, check_out, export
    from puretune.deploy._formats import as_json, as_sarif, sentence
    from puretune.deploy._jinja import chat_template
    from puretune.deploy._measured import Measured, measured
    from puretune.deploy._server import server
    from puretune.deploy._serving import Policy, Serving
    from puretune.deploy._verify import Checked, Verification, verify

__all__ = [
    "ACCIDENTS",
    "Checked",
    "Consumer",
    "Exported",
    "Finding",
    "Measured",
    "Policy",
    "Serving",
    "Verification",
    "as_json",
    "as_sarif",
    "chat_template",
    "check_out",
    "export",
    "measured",
    "sentence",
    "server",
    "verify",
]
__getattr__ = lazy(__name__)
