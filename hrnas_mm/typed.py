"""Reading plain content, such as JSON, as the types that it should have."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from .files import read_json
from .spelling import like

Value = TypeVar('Value')
# Words for what a value must be, and the types that are it.
SCALARS: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ('true or false', (bool,)),
    int: ('a whole number', (int,)),
    float: ('a number', (int, float)),
    str: ('text', (str,)),
}


def read_file_as(kind: type[Value], path: str) -> Value:
    """Read a JSON file as a dataclass.

    Raises:
        ValueError: If it is not JSON of this kind; the message names the file
            and the first misfit.
    """
    content = read_json(path)
    try:
        return read_as(kind, content)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def read_as(kind: type[Value], content: Any, where: str = '') -> Value:
    """Return plain content as a value of a type.

    Args:
        kind: Dataclass whose fields are dataclasses, numbers, texts, and
            mappings and sequences of these.
        content: Dicts, lists, numbers and texts, as read from JSON.
        where: Path of the content, with which errors begin.

    Raises:
        ValueError: If the content does not fit; the message names the path
            of the first misfit.
    """
    return cast(Value, _read(kind, content, where))


def _read(kind: Any, content: Any, where: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return content
    if origin is UnionType:  # only 'X | None'
        (kind,) = (each for each in args if each is not NoneType)
        return None if content is None else _read(kind, content, where)
    if is_dataclass(kind):
        return _read_fields(kind, content, where)
    if origin in (dict, Mapping):
        _check(isinstance(content, dict), '{name: ...}', content, where)
        return {
            name: _read(args[1], item, _join(where, name))
            for name, item in content.items()
        }
    if origin in (list, tuple, Sequence):
        _check(isinstance(content, (list, tuple)), 'a list', content, where)
        items = (
            _read(args[0], item, f'{where}[{i}]')
            for i, item in enumerate(content)
        )
        return tuple(items) if origin is tuple else list(items)
    words, types = SCALARS[kind]
    fits = isinstance(content, types)
    fits &= isinstance(content, bool) is (kind is bool)
    _check(fits, words, content, where)
    # A longer whole number overflows where it becomes a float.
    if isinstance(content, int):
        _check(abs(content) < 2**63, 'of at most 64 bits', content, where)
    return content


def _read_fields(kind: Any, content: Any, where: str) -> Any:
    _check(isinstance(content, dict), '{name: ...}', content, where)
    known = {field.name: field for field in fields(kind)}
    for name in content:
        if name not in known:
            raise ValueError(
                f'{where or "it"} has an unknown field {name!r}'
                f'{like(name, known)}'
            )
    for name, field in known.items():
        needed = field.default is field.default_factory is MISSING
        if needed and name not in content:
            raise ValueError(f'{where or "it"} must have {name!r}')
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _read(hints[name], item, _join(where, name))
            for name, item in content.items()
        }
    )


def _join(where: str, name: str) -> str:
    return f'{where}.{name}' if where else name


def _check(fits: bool, words: str, content: Any, where: str) -> None:
    if not fits:
        raise ValueError(
            f'{where or "it"} must be {words}, got {content!r:.99}'
        )
