"""The files of an export."""

from __future__ import annotations

CHAT_TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
"""The other place of the chat template."""
TRAINING = "additional_chat_templates/training.jinja"
"""The chat template of the training, by the name ``training`` in transformers."""
GENERATION_CONFIG = "generation_config.json"
SERVING = "serving.json"
"""What is served, what was measured of it, and the digests of all other files."""
PROBES = "probes.json"
MODELFILE = "Modelfile"
CARD = "README.md"
