"""A run directory: whose it is, which files it vouches for, and what was damaged in it.

``run.json`` names the study, the key of its plan, and the SHA-256 of every file that belongs to the finished
run. It is written last, and taken back before anything that it names is replaced:

    {"study": "lab-demo", "key": "9f2c...", "files": {"results.json": "ab12...", "report.html": "..."}}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from puretune.errors import CheckFailed, InputError
from puretune.files import read_mapping
from puretune.store import Say, encoded, faults, json_text, lease, set_aside, sha256_file, write_bytes
from puretune.study.matrix.reports import BESIDE, report_files
from puretune.study.plan.steps import PLAN_VERSION
from puretune.visible import quoted, visible

RECORD = "run.json"
FILES = ("study.yaml", "plan.json", "answers.jsonl", "verdicts.jsonl", "prompts.jsonl", "results.json")


@dataclass(frozen=True)
class Record:
    """What a run directory says of itself."""

    study: str
    key: str | None = None
    """The key of the plan whose results these are; None: nothing is finished."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by name."""


class RunDirectory:
    """The directory of one study, held by this process."""

    def __init__(self, path: Path, study: str, say: Say) -> None:
        """Takes the directory for a study and sets aside what was damaged in it.

        InputError if it holds another study's run or one of another layout, or files of these names that no
        run wrote.
        """
        self.path = path
        self._say = say
        self._record = self._claimed(study)
        self._refuse_older()
        for name in (*FILES, *report_files()):
            self._check(path / name)

    def finished(self, key: str, names: Iterable[str]) -> bool:
        """Whether these files, and all others of the run, are there, belong to the plan of this key, and are
        as they were written."""
        kept, wanted = self._record.files, set(names)
        there = all((self.path / name).is_file() for name in kept if name in wanted or name == BESIDE)
        return self._record.key == key and wanted <= kept.keys() and there

    def publish(self, key: str, texts: Mapping[str, str]) -> None:
        """Write files of the plan of this key, each whole or not at all; those of another plan go first."""
        content = {name: encoded(text, self.path / name) for name, text in texts.items()}
        kept = dict(self._record.files) if self._record.key == key else {}
        for name in set(self._record.files) - set(kept) - set(texts):
            with faults(self.path / name):
                (self.path / name).unlink(missing_ok=True)
        kept = {name: digest for name, digest in kept.items() if name not in texts}
        self._write(Record(self._record.study, key if kept else None, kept))
        for name, data in content.items():
            write_bytes(self.path / name, data)
        made = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
        self._write(Record(self._record.study, key, {**kept, **made}))

    def _claimed(self, study: str) -> Record:
        found = self._found(study)
        if found is None:
            self._refuse_foreign()
            found = Record(study)
        if found.study != study:
            raise InputError(
                f"{visible(self.path)} holds the run of the study {quoted(found.study)}, not of "
                f"{study!r}. Choose another --out directory for {study!r}, or remove that one."
            )
        if not (self.path / RECORD).exists():
            self._write(found)
        return found

    def _found(self, study: str) -> Record | None:
        """The record; where it was lost, what the plan says, or else this study; None: an unclaimed
        directory."""
        file, plan = self.path / RECORD, self.path / "plan.json"
        lost = plan.exists()
        if file.exists():
            try:
                return _read(file)
            except InputError as error:
                set_aside(file, str(error).removesuffix("."), self._say)
                lost = True
        try:
            return Record(str(read_mapping(plan)["study"]))
        except (InputError, KeyError):
            return Record(study) if lost else None

    def _refuse_foreign(self) -> None:
        """InputError if files of these names are somebody else's."""
        taken = next((name for name in (*FILES, *report_files()) if (self.path / name).exists()), None)
        if taken is not None:
            raise InputError(
                f"{visible(self.path)} holds {taken}, which no run of puretune wrote, and a run would "
                "replace it. Choose another --out directory."
            )

    def _refuse_older(self) -> None:
        """InputError if the run was planned by a version of puretune with other steps and keys."""
        plan, digest = self.path / "plan.json", self._record.files.get("plan.json")
        if digest is None or not plan.is_file() or _fault(plan, digest):
            return
        version = read_mapping(plan).get("schema_version")
        if version != PLAN_VERSION:
            raise InputError(
                f"{visible(self.path)} holds a run of another version of puretune (its plan.json has "
                f"schema_version {version}, this one writes {PLAN_VERSION}). Choose another --out directory."
            )

    def _check(self, path: Path) -> None:
        """Sets a file aside that is not the one that was written."""
        why = _fault(path, self._record.files.get(path.name))
        if why:
            set_aside(path, why, self._say)

    def _write(self, record: Record) -> None:
        self._record = record
        text = json_text({"study": record.study, "key": record.key, "files": dict(record.files)}, indent=1)
        write_bytes(self.path / RECORD, encoded(text + "\n", self.path / RECORD))


def replace_reports(run: Path, texts: Mapping[str, str], say: Say) -> None:
    """Write reports of a finished run again, so that its record vouches for them.

    InputError if the run is not finished; EnvironmentFault if another process is at work in it.
    """
    with lease(run):
        record = _read(run / RECORD)
        if record.key is None:
            raise InputError(f"{visible(run)}: the run is not finished. Run the same command again.")
        RunDirectory(run, record.study, say).publish(record.key, texts)


def sound_file(run: Path, name: str) -> Path:
    """A file of a run directory, where it is the one that was written; any file where no run is recorded.

    InputError if the run is not finished, CheckFailed if the file was changed or lost since.
    """
    if not (run / RECORD).exists():
        return run / name
    again = "Run the same command again: it is made again."
    try:
        digest = _read(run / RECORD).files.get(name)
    except InputError as error:
        raise CheckFailed(f"{error} {again}") from None
    if digest is None:
        raise InputError(f"{visible(run)}: the run is not finished. Run the same command again.")
    why = _fault(run / name, digest) or ("" if (run / name).exists() else "it is missing")
    if why:
        raise CheckFailed(f"{visible(run / name)} was damaged: {why}. {again}")
    return run / name


def _read(file: Path) -> Record:
    """The record in a file; InputError if it is none."""
    content = read_mapping(file, "record of a run")
    study, key, files = (content.get(name) for name in ("study", "key", "files"))
    if (
        not isinstance(study, str)
        or not isinstance(key, str | None)
        or not isinstance(files, dict)
        or not all(isinstance(digest, str) for digest in files.values())
    ):
        raise InputError(f"{visible(file)}: not the record of a run.")
    known = {name: digest for name, digest in files.items() if name in (*FILES, *report_files())}
    return Record(study, key, known)


def _fault(path: Path, digest: str | None) -> str:
    """What is wrong with a file that may be there; "": nothing. ``digest`` None: nothing is known of it."""
    if path.is_dir():
        return "it is a directory"
    if path.exists() and not path.is_file():
        return "it is a device or a pipe"
    if digest is None:
        return ""
    try:
        return "" if sha256_file(path) == digest else "its content is not what the run wrote"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
