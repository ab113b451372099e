"""A YAML text as nested mappings, lists and text, with the line of every part."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

NULL_TAG = "tag:yaml.org,2002:null"

Tree = dict[str, "Tree"] | list["Tree"] | str | None
Place = tuple[str | int, ...]
"""The way from the root to a part: keys of mappings and indices of lists."""


class YamlError(Exception):
    """Text that is not a YAML document of the kind a configuration may be."""

    def __init__(self, what: str, line: int, column: int | None = None) -> None:
        super().__init__(what)
        self.what, self.line, self.column = what, line, column


@dataclass(frozen=True)
class Document:
    """A parsed YAML text.

    Attributes
    ----------
    tree
        The values. Scalars stay text whatever they look like (``on``, ``010``, ``2024-01-01``), and
        an absent one is None: the schema decides what a value is, not YAML's guess.
    lines
        Line of every part, counted from 1: of its key in a mapping, of its beginning in a list.
    duplicates
        Keys that their mapping holds already, with the line of the later one.
    """

    tree: Tree
    lines: dict[Place, int]
    duplicates: list[tuple[Place, int]]

    def line(self, place: Place) -> int:
        """Line of a part, or of what would hold it when it is missing."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place]


def parse_yaml(text: str) -> Document:
    """Parse one YAML document.

    Raises
    ------
    YamlError
        If the text is not YAML, or uses anchors, aliases, tags or keys that are not text, which only
        hide what a configuration says.
    """
    document = Document(tree=None, lines={(): 1}, duplicates=[])
    try:
        root = yaml.compose(text, _Loader)
        tree = None if root is None else _tree(root, (), document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        assert mark is not None, "the composer marks every problem"
        raise YamlError(_syntax_problem(error, mark, text), mark.line + 1, mark.column + 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"character U+{error.character:04X}, which YAML does not allow", line) from error
    except RecursionError as error:
        raise YamlError("nested far too deeply", 1) from error
    return Document(tree, document.lines, document.duplicates)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None or getattr(event, "tag", None) is not None:
            raise _refusal("anchors, aliases and tags (&, *, !) are not supported", event)
        return super().compose_node(parent, index)


def _refusal(what: str, part: yaml.NodeEvent | yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=part.start_mark)  # type: ignore[arg-type]


def _tree(node: yaml.Node, place: Place, document: Document) -> Tree:
    document.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_tree(item, (*place, index), document) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Tree] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key that is not text", key)
            part, line = (*place, key.value), key.start_mark.line + 1
            if key.value in mapping:
                document.duplicates.append((part, line))
                continue
            document.lines[part] = line
            mapping[key.value] = _tree(value, part, document)
        return mapping
    return None if node.tag == NULL_TAG else str(node.value)


def _syntax_problem(error: yaml.MarkedYAMLError, mark: yaml.Mark, text: str) -> str:
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indented with a tab, where YAML allows spaces only"
    return "not YAML: " + ", ".join(part for part in (error.context, error.problem) if part)
