"""The recordings in a folder, by its manifest or by a layout that its names follow; and the manifest made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryFile

from hydroear.errors import UsageError
from hydroear_train.corpus import Entry, read_rows
from hydroear_train.scan.finding import Case, Finding, Severity
from hydroear_train.scan.layouts import LABELS, LAYOUTS, Layout, MisnamedError
from hydroear_train.textfile import csv_text, write_text

MANIFEST_NAME = "manifest.csv"
MANIFEST_LAYOUT = "manifest"
LAYOUT_NAMES = (MANIFEST_LAYOUT, *(layout.name for layout in LAYOUTS))
SUFFIXES = frozenset({".wav", ".flac", ".aif", ".aiff", ".w64", ".rf64", ".caf", ".au", ".ogg", ".opus", ".mp3"})


@dataclass(frozen=True)
class Corpus:
    """What a folder says of its recordings before any is heard.

    Attributes
    ----------
    layout
        One of :data:`LAYOUT_NAMES`.
    entries
        A row for each recording, each recording once.
    findings
        Recordings and rows that have no place in it.
    manifest
        The manifest that it was read from; None where names were read.
    """

    layout: str
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    manifest: Path | None = None


def read_corpus(folder: Path, layout_name: str | None = None) -> Corpus:
    """Read the manifest of a folder, or what the names of its recordings say.

    Parameters
    ----------
    folder
        A manifest in it, ``manifest.csv``, is its layout.
    layout_name
        One of :data:`LAYOUT_NAMES`; None to recognise it.

    Raises
    ------
    UsageError
        If the folder cannot be read or holds no recordings, the manifest is none, or no layout or more than one fits.
    """
    recordings = _find_recordings(folder)
    manifest = folder / MANIFEST_NAME
    if layout_name == MANIFEST_LAYOUT or (layout_name is None and manifest.exists()):
        return _read_manifest(manifest, recordings)
    if not recordings:
        raise UsageError(
            "holds no recordings", where=folder, expected=f"files named {', '.join(sorted(SUFFIXES))}", fix="check it"
        )
    paths = {path: path.relative_to(folder) for path in recordings}
    if layout_name is None:
        layout = _recognise(folder, list(paths.values()))
    else:
        layout = next(layout for layout in LAYOUTS if layout.name == layout_name)
    return _read_names(folder, layout, paths)


def write_manifest(path: Path, entries: Sequence[Entry]) -> None:
    """Write a manifest, whole or not at all; paths in it are relative to it, columns that nothing fills are left out.

    Raises
    ------
    UsageError
        If it cannot be written.
    """
    rows = [{**entry.columns, "file": _relative(entry.path, path)} for entry in entries]
    columns = dict.fromkeys(["file", "label", *(column for row in rows for column in row)])
    filled = [column for column in columns if any(row.get(column) for row in rows)]
    write_text(path, csv_text(filled, ([row.get(column, "") for column in filled] for row in rows)))


def check_writable(path: Path) -> None:
    """Make sure that a manifest may be written, before hours go into what is to stand in it.

    Raises
    ------
    UsageError
        If something is there already, or the folder takes no file.
    """
    if path.exists():
        raise UsageError("is there already", where=path, fix="remove it, or name another file with --out")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _find_recordings(folder: Path) -> list[Path]:
    """Audio files below a folder, sorted; hidden files and folders are passed over, links to folders not followed."""

    def refuse(error: OSError) -> None:
        raise error

    found = []
    try:
        for parent, folders, files in os.walk(folder, onerror=refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [
                Path(parent, name)
                for name in files
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
            ]
    except OSError as error:
        raise UsageError(
            f"cannot be read ({error.strerror})", where=error.filename or folder, expected="a folder of recordings"
        ) from error
    return sorted(found)


def _read_manifest(manifest: Path, recordings: Sequence[Path]) -> Corpus:
    rows = read_rows(manifest)
    entries: dict[Path, Entry] = {}
    repeated: list[Case] = []
    for row in rows:
        path = Path(os.path.normpath(manifest.parent / row["file"]))
        if path not in entries:
            entries[path] = Entry(path, row)
        else:
            labels = {entries[path].columns.get("label"), row.get("label")}
            repeated.append(Case((row["file"],), "with other labels" if len(labels) > 1 else ""))
    findings = []
    if "label" not in rows[0]:
        findings.append(Finding(Severity.ERROR, "labels", "the manifest has no column label: training refuses it"))
    else:
        unknown = [
            Case((entry.columns["file"],), f"label {entry.columns['label']!r}")
            for entry in entries.values()
            if entry.columns["label"] not in LABELS
        ]
        if unknown:
            known = ", ".join(LABELS)
            findings.append(Finding(Severity.ERROR, "labels", f"labels other than {known}", tuple(unknown)))
    if repeated:
        contradict = any(case.detail for case in repeated)
        severity = Severity.ERROR if contradict else Severity.WARNING
        findings.append(Finding(severity, "rows", "recordings named by more than one row", tuple(repeated)))
    strays = [path for path in recordings if Path(os.path.normpath(path)) not in entries]
    if strays:
        cases = tuple(Case((_shown(path.relative_to(manifest.parent)),)) for path in strays)
        findings.append(Finding(Severity.NOTE, "rows", "recordings in the folder that no row names", cases))
    return Corpus(MANIFEST_LAYOUT, tuple(entries.values()), tuple(findings), manifest)


def _recognise(folder: Path, paths: Sequence[PurePath]) -> Layout:
    counts = {layout: sum(layout.reads(path) for path in paths) for layout in LAYOUTS}
    fitting = [layout for layout, count in counts.items() if count]
    if [layout.name for layout in fitting] == ["mimii", "class-folders"]:  # the first is a kind of the second
        fitting.pop()
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        told = ", ".join(f"{layout.name} ({counts[layout]} of {len(paths)} recordings)" for layout in fitting)
        raise UsageError(f"more than one layout fits: {told}", where=folder, fix="choose one with --layout")
    known = ", ".join(f"{layout.name} ({layout.example})" for layout in LAYOUTS)
    raise UsageError(
        f"no known layout: none of its {len(paths)} recordings says what its label is",
        where=folder,
        expected=f"a {MANIFEST_NAME} with the columns file and label, or names as of {known}",
    )


def _read_names(folder: Path, layout: Layout, paths: Mapping[Path, PurePath]) -> Corpus:
    entries, misnamed = [], []
    for path, relative in paths.items():
        try:
            str(relative).encode()
            entries.append(Entry(path, {"file": str(relative), **layout.read(relative)}))
        except UnicodeEncodeError:
            misnamed.append(Case((_shown(relative),), "not UTF-8"))
        except MisnamedError as error:
            misnamed.append(Case((_shown(relative),), str(error)))
    findings = []
    if misnamed:
        message = f"names that do not follow the layout {layout.name}, left out of the manifest"
        findings.append(Finding(Severity.ERROR, "names", message, tuple(misnamed)))
    if not entries:
        raise UsageError(
            f"no recording follows the layout {layout.name}: {misnamed[0].files[0]}: {misnamed[0].detail}",
            where=folder,
            expected=layout.example,
            fix="choose another with --layout",
        )
    return Corpus(layout.name, tuple(entries), tuple(findings))


def _relative(path: Path, manifest: Path) -> str:
    return Path(os.path.relpath(path.parent.resolve() / path.name, manifest.parent.resolve())).as_posix()


def _shown(path: PurePath) -> str:
    """A name that can be printed, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot be written ({error.strerror})", where=path, fix="name a file in another folder with --out"
    )
