"""What people audit: an export, an adapter, a model directory, or an endpoint; each becomes a ``Target``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from puretune.deploy._file_names import SERVING
from puretune.deploy.audit._names import RELEASE
from puretune.deploy.audit._study import Target
from puretune.errors import CheckFailed, InputError
from puretune.files import read_mapping
from puretune.models import ADAPTER_CONFIG, read_manifest
from puretune.scoring._registry import SUITES
from puretune.study import Study, TrainSection
from puretune.study.plan.templates import templates_of
from puretune.templates import PromptTemplate, TemplateFields, resolve_template, template_from
from puretune.visible import one_line, visible


def target_at(
    directory: Path,
    model: str | None = None,
    serve_as: str | None = None,
    trained_under: str | None = None,
    base: Study | None = None,
) -> Target:
    """What is in a directory: an export, an adapter in PEFT format, or a model.

    ``model``: the untuned base, where the directory does not name it; the templates by name, built-in or of
    the study ``base``. InputError for anything else, and where a name is missing; CheckFailed for an export
    whose description was damaged.
    """
    if (directory / SERVING).is_file():
        if serve_as or trained_under:
            raise InputError("an export says itself what it serves. Omit --serve-as and --trained-under.")
        return _exported(directory, model)
    if (directory / ADAPTER_CONFIG).is_file():
        return _adapter(directory, model, serve_as, trained_under, base)
    if (directory / "config.json").is_file():
        return _checkpoint(directory, model, serve_as, trained_under, base)
    raise InputError(
        f"{visible(directory)}: neither a run, an export, an adapter nor a model. Name one, or --base-url."
    )


def target_served(
    base_url: str,
    served_model: str,
    reference: str | None,
    api_key_env: str | None,
    trained_under: str | None = None,
    base: Study | None = None,
) -> Target:
    """What an endpoint serves: its own template is the one that is served."""
    engine: dict[str, Any] = {"name": "openai", "base_url": base_url}
    if api_key_env:
        engine["api_key_env"] = api_key_env
    return Target(
        model=reference or served_model,
        release=TrainSection(name=RELEASE, served=served_model),
        served=PromptTemplate("served"),
        training=_template(trained_under, base) if trained_under else None,
        engine=engine,
        reference=reference is not None,
    )


def _exported(directory: Path, model: str | None) -> Target:
    facts = read_mapping(directory / SERVING)
    try:
        said = facts["base"]
        base = {key: value for key, value in said.items() if key != "fingerprint" and value is not None}
        trained = facts["trained_under"]
        return Target(
            model=model or base,
            release=_release(directory),
            served=_read(facts["template"]),
            training=_read(trained) if trained else None,
            policy=facts["system_message"],
            suites=tuple(_registered(cell["suite"] for cell in facts["cells"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckFailed(
            f"{visible(directory / SERVING)}: not as an export writes it ({one_line(error)}). Export again."
        ) from None


def _release(directory: Path) -> TrainSection | None:
    """An export's weights; None: it has none of its own."""
    if (directory / ADAPTER_CONFIG).is_file():
        return TrainSection(name=RELEASE, adapter=directory.resolve(), tokenizer="base")
    if any(directory.glob("*.safetensors")):
        return TrainSection(name=RELEASE, checkpoint=directory.resolve(), tokenizer="base")
    return None


def _adapter(
    directory: Path, model: str | None, serve_as: str | None, trained_under: str | None, base: Study | None
) -> Target:
    manifest = read_manifest(directory)
    named = model or (manifest.base.get("model") if manifest else None)
    named = named or read_mapping(directory / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not named and base is None:
        raise InputError(f"{visible(directory)} does not name its base model. Give it with --model.")
    training = _template(trained_under, base) if trained_under else _of(manifest)
    served = _served(serve_as, base)
    release = TrainSection(name=RELEASE, adapter=directory.resolve(), tokenizer="base")
    return Target(str(named), release, served, training)


def _of(manifest: Any) -> PromptTemplate | None:
    """The template that a manifest says was trained under; None if it names none, or several."""
    if manifest is None or len(manifest.templates) != 1:
        return None
    return _read(next(iter(manifest.templates.values())))


def _checkpoint(
    directory: Path, model: str | None, serve_as: str | None, trained_under: str | None, base: Study | None
) -> Target:
    training = _template(trained_under, base) if trained_under else None
    served = _served(serve_as, base)
    if model is None:
        return Target({"path": directory.resolve()}, None, served, training)
    release = TrainSection(name=RELEASE, checkpoint=directory.resolve(), tokenizer="base")
    return Target(model, release, served, training)


def _served(name: str | None, base: Study | None) -> PromptTemplate:
    if name is None:
        raise InputError("say under which template it is served: --serve-as TEMPLATE, such as CL.")
    return _template(name, base)


def _template(name: str, base: Study | None) -> PromptTemplate:
    return templates_of(base).named(name) if base is not None else resolve_template(name)


def _read(said: Mapping[str, Any]) -> PromptTemplate:
    """A template as an export or a manifest has it."""
    known = {key: said[key] for key in TemplateFields.model_fields if key in said}
    turns = known.get("demonstrations") or ()
    known["demonstrations"] = [{turn["role"]: turn["content"]} if "role" in turn else turn for turn in turns]
    known["arguments"] = dict(known.get("arguments") or {})
    template = template_from("audited", TemplateFields.model_validate(known))
    if said.get("fingerprint") not in (None, template.fingerprint):
        raise ValueError("a template has another fingerprint")
    return template


def _registered(names: Iterable[str]) -> list[str]:
    known = SUITES.names()
    return [name for name in dict.fromkeys(names) if name in known]
