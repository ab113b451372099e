"""What must not leave a unit, and its removal from what does.

Twice: a setting that may be a secret is left out where it stands, and then every secret that the unit is known to have
is looked for in all that is said, whoever said it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from hydroear.config.document import Tree, YamlError, parse_yaml
from hydroear.config.schema import Config

REMOVED = "[removed]"
SHORTEST = 4
"""Of what is looked for, in characters: anything shorter is part of ordinary words."""
SHORTEST_ARGUMENT = 8
"""Of an argument of a program that is looked for; shorter ones are names of formats, rates and the like."""

_CREDENTIAL_BYTES = 1 << 16
"""Files beside a configuration that are larger are no passwords, keys or certificates."""

_FILES = ("password_file", "key_file")
_LOGIN_IN_URL = re.compile(r"(?P<scheme>\w://)(?P<login>[^\s/@'\"]+)@")
# Errors repeat the beginning of a wrong value; that of a former configuration is nowhere to be looked up.
_SHORTENED_LOGIN = re.compile(r"(?P<scheme>\w://)[^\s/@'\"]+:[^\s/@'\"]*…")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_TELLING_NAME = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credential|api_?key)[\w-]*[\"']?"
_TOLD = re.compile(rf"{_TELLING_NAME}\s*[:=]\s*[\"']?([^\s\"',]+)", re.IGNORECASE)
_TOLD_TO_PROGRAM = re.compile(rf"-{_TELLING_NAME}[\s=]+(\S+)", re.IGNORECASE)


class Redactor:
    """Removes secrets from text.

    Parameters
    ----------
    secrets
        What must not be told. Also found as JSON, Python and URLs write it, and where "…" has taken the place of its
        end.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {spelling for secret in secrets if len(secret) >= SHORTEST for spelling in _spellings(secret)}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(_with_its_beginnings, longest_first)) or r"(?!)")

    def __call__(self, text: str) -> str:
        """The text without secrets, logins in URLs and private keys."""
        text = _PRIVATE_KEY.sub(REMOVED, text)
        text = self._secrets.sub(REMOVED, text)
        text = _LOGIN_IN_URL.sub(rf"\g<scheme>{REMOVED}@", text)
        return _SHORTENED_LOGIN.sub(rf"\g<scheme>{REMOVED}", text)


def _spellings(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""), unquote(secret)}


def _with_its_beginnings(secret: str) -> str:
    beginnings = [re.escape(secret[:end]) + "…" for end in range(len(secret) - 1, SHORTEST - 1, -1)]
    return "|".join([re.escape(secret), *beginnings])


def read_tree(text: str) -> Tree:
    """The values of a configuration as they are written, right or wrong; None where it is no YAML."""
    try:
        return parse_yaml(text).tree
    except YamlError:
        return None


def presentable(tree: Tree, key: str = "") -> Tree:
    """A configuration without what may be a secret: values of unknown settings, and arguments of programs.

    Parameters
    ----------
    tree
        The values.
    key
        The setting whose values they are.
    """
    match tree:
        case dict():
            return {name: presentable(value, name) for name, value in tree.items()}
        case list() if key == "command":
            return [*tree[:1], *[REMOVED] * len(tree[1:])]
        case list():
            return [presentable(value, key) for value in tree]
        case None:
            return None
        case _:
            return tree if _may_be_shown(key, tree) else REMOVED


def _may_be_shown(key: str, value: str) -> bool:
    # Somebody may have written the password where the name of its file belongs.
    return key in _known_settings() and (key not in _FILES or value.startswith("/"))


@cache
def _known_settings() -> frozenset[str]:
    schema = Config.model_json_schema(by_alias=True)
    sections: list[Mapping[str, Any]] = [schema, *schema["$defs"].values()]
    return frozenset(name for section in sections for name in section.get("properties", ()))


def secrets_of(path: Path, text: str) -> set[str]:
    """Every secret that a configuration, and what lies beside it, tells.

    Parameters
    ----------
    path
        The configuration.
    text
        What is in it.
    """
    path = path.absolute()
    tree = read_tree(text)
    found = {secret for key, value in _scalars(tree) for secret in _secrets_in(key, value)}
    found |= {secret for command in _commands(tree) for secret in _secrets_in_command(command)}
    found |= set(_told(text))
    named = [path.parent / value for key, value in _scalars(tree) if key in _FILES]
    for folder in {path.parent, *(file.parent for file in named)}:
        found |= {secret for file in _files(folder) if file != path for secret in _secrets_in_file(file)}
    return found - {value for _, value in _scalars(presentable(tree))}


def _scalars(tree: Tree, key: str = "") -> Iterator[tuple[str, str]]:
    """Every value but the arguments of programs, with the setting whose value it is."""
    match tree:
        case dict():
            for name, value in tree.items():
                yield from _scalars(value, name)
        case list():
            for value in tree[:1] if key == "command" else tree:
                yield from _scalars(value, key)
        case str():
            yield key, tree


def _commands(tree: Tree) -> Iterator[list[str]]:
    match tree:
        case dict():
            for name, value in tree.items():
                if name == "command" and isinstance(value, list):
                    yield [str(argument) for argument in value[1:]]
                else:
                    yield from _commands(value)
        case list():
            for value in tree:
                yield from _commands(value)


def _secrets_in(key: str, value: str) -> Iterator[str]:
    yield from _logins(value)
    if not _may_be_shown(key, value):
        yield value


def _secrets_in_command(arguments: list[str]) -> Iterator[str]:
    line = " ".join(arguments)
    yield from _logins(line)
    yield from (match[1] for match in _TOLD_TO_PROGRAM.finditer(line))
    yield from (argument for argument in arguments if len(argument) >= SHORTEST_ARGUMENT)


def _logins(text: str) -> Iterator[str]:
    for url in _LOGIN_IN_URL.finditer(text):
        yield url["login"]
        yield url["login"].partition(":")[2]


def _told(text: str) -> Iterator[str]:
    """What stands behind a name that tells what it is, also in a comment; no paths."""
    return (match[1] for match in _TOLD.finditer(text) if not match[1].startswith("/"))


def _files(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.iterdir() if file.is_file()]
    except OSError:
        return []


def _secrets_in_file(file: Path) -> Iterator[str]:
    """The lines of a small file; of another configuration, such as an older one, only what it tells."""
    try:
        if file.stat().st_size > _CREDENTIAL_BYTES:
            return
        text = file.read_text(errors="replace")
    except OSError:
        return
    if ".yaml" in file.name:
        yield from _told(text)
        yield from _logins(text)
    else:
        yield from (line.strip() for line in text.splitlines() if not line.startswith("-----"))
