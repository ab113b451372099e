"""From a configuration file to a :class:`Config`, or to all its problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from hydroear.config.document import YamlError, parse_yaml
from hydroear.config.problem import Problem, explain, value_text
from hydroear.config.schema import Config, Room, Section
from hydroear.config.settings import with_settings
from hydroear.errors import ConfigError, HydroearError

AnySection = TypeVar("AnySection", bound=Section)


def load_config(path: Path) -> Config:
    """Load the configuration of a unit.

    Parameters
    ----------
    path
        A YAML file, UTF-8. Relative paths in it count from its folder. What the control room has changed is in force
        over it.

    Raises
    ------
    ConfigError
        With every problem of the file, each as ``file:line: key: what; expected …; what to do``.
    """
    return with_settings(_load(Config, path, "a unit"))


def load_room(path: Path) -> Room:
    """Load the settings of a control room's end, with the rules of :func:`load_config`."""
    return _load(Room, path, "a control room")


def _load(section: type[AnySection], path: Path, what_of: str) -> AnySection:
    try:
        document = parse_yaml(_read(path))
    except YamlError as error:
        column = "" if error.column is None else f":{error.column}"
        raise _failure(error.what, f"{path}:{error.line}{column}", fix="correct this line") from error
    if not isinstance(document.tree, dict):
        what = "empty file" if document.tree is None else f"{value_text(document.tree)} at the top"
        raise _failure(what, path, f"the keys and values of {what_of}", "begin with the example configuration")

    found = [(line, Problem(place, "given twice", fix="keep one")) for place, line in document.duplicates]
    try:
        config = section.model_validate(document.tree)
    except ValidationError as error:
        problems = [explain(detail, section) for detail in error.errors(include_url=False)]
        found += [(document.line(problem.place), problem) for problem in problems]
    if found:
        found.sort(key=lambda line_and_problem: line_and_problem[0])
        raise ConfigError([f"{path}:{line}: {problem}" for line, problem in found])
    return _with_paths_from(path.absolute().parent, config)


def load_section(section: type[AnySection], values: dict[str, str], origin: str) -> AnySection:
    """Make one section from values that did not come from a file.

    Parameters
    ----------
    section
        The section to make.
    values
        Its settings, as text.
    origin
        Where they come from, for the errors: the option of a command.

    Raises
    ------
    ConfigError
        With every problem of the values.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems = [explain(detail, section) for detail in error.errors(include_url=False)]
        raise ConfigError([f"{origin}: {problem}" for problem in problems]) from error


def _read(path: Path) -> str:
    fix = "check the path"
    try:
        content = path.read_bytes()
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{content[error.start]:02X}"
        raise _failure(what, f"{path}:{line}", "UTF-8 text", "save the file as UTF-8") from error
    except FileNotFoundError:
        what = "no such file"
    except IsADirectoryError:
        what = "is a directory"
    except PermissionError:
        what, fix = "permission denied", "give the user that runs this read access"
    except (OSError, ValueError) as error:  # ValueError: a path no file can have
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    raise _failure(what, path, "a configuration file", fix)


def _failure(what: str, where: object, expected: str = "", fix: str = "") -> ConfigError:
    return ConfigError([str(HydroearError(what, where=where, expected=expected, fix=fix))])


def _with_paths_from(folder: Path, section: AnySection) -> AnySection:
    """A copy in which every relative path counts from a folder."""
    return section.model_copy(update={name: _from(folder, value) for name, value in section})


def _from(folder: Path, value: object) -> object:
    match value:
        case Path():
            return folder / value
        case Section():
            return _with_paths_from(folder, value)
        case list():
            return [_from(folder, item) for item in value]
        case _:
            return value
