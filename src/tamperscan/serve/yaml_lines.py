"""Reading a YAML file together with the lines that its values stand in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import ServeError

LARGEST: Final = 2**20
"""Largest file that is read, in bytes."""

MOST_NODES: Final = 100_000
"""Most values that a file may stand for, those that it repeats by aliases included."""


class Lines:
    """The lines in which the values of a YAML file stand.

    Parameters
    ----------
    root
        The file's root node.
    """

    def __init__(self, root: Any) -> None:
        self._root = root

    def line_of(self, place: Sequence[object]) -> int:
        """Give the line of a value, or of the nearest around it that is there.

        Parameters
        ----------
        place
            Keys and numbers that lead to it.
        """
        import yaml

        node, line = self._root, 1
        for part in place:
            if isinstance(node, yaml.MappingNode):
                pairs = {key.value: (key, value) for key, value in node.value}
                if part not in pairs:
                    break
                key, node = pairs[part]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """Read a YAML file safely.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    content, lines
        Its content as plain lists, dictionaries and values, and where they stand.

    Raises
    ------
    ServeError
        If it can't be read, is no YAML, or says something twice.
    """
    import yaml

    try:
        text = path.read_bytes()[: LARGEST + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ServeError(f"{path}: can't be read ({reason}). Name a YAML file with rules.") from error
    if len(text) > LARGEST:
        raise ServeError(f"{path}: is larger than 1 MB. Name a YAML file with rules.")
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ServeError(
            f"{path}: is no valid YAML (it holds control characters). Correct it, then start again."
        ) from error
    try:
        root = loader.get_single_node()
        if root is not None:
            _check_nodes(path, root)
        content = loader.construct_document(root) if root is not None else {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "it can't be understood"
        raise ServeError(f"{path}, line {line}: is no valid YAML ({problem}). Correct it, then start again.") from error
    finally:
        loader.dispose()
    return content, Lines(root)


def _check_nodes(path: Path, root: Any) -> None:
    """Refuse what YAML passes over: the last of two equal keys wins in silence, and aliases can stand for billions."""
    import yaml

    waiting, seen = [root], 0
    while waiting:
        node, seen = waiting.pop(), seen + 1
        line = node.start_mark.line + 1
        if seen > MOST_NODES:
            raise ServeError(f"{path}, line {line}: stands for more values than are taken. Use fewer aliases (*).")
        if isinstance(node, yaml.MappingNode):
            _check_keys(path, node)
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _check_keys(path: Path, node: Any) -> None:
    import yaml

    seen = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ServeError(f"{path}, line {line}: a key is no plain word. Correct it, then start again.")
        if key.value in seen:
            raise ServeError(f"{path}, line {line}: {key.value!r} stands here a second time. Take one of them out.")
        seen.add(key.value)
