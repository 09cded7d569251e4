"""Binding: from a table of configuration to a struct of options, with errors that name the place.

Values come from TOML with types, or from the environment as text; text is read as the type that the
option has. Error texts never repeat a value: it might be a secret in the wrong place.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from juststorage.errors import Misconfigured
from juststorage.plugins._hints import near_miss
from juststorage.plugins._secret import Secret

__all__ = [
    "bind",
    "field_types",
    "may_hold_secret",
    "parts_of",
    "schema_hook",
    "sifted",
    "struct_in",
]

StructT = TypeVar("StructT", bound=msgspec.Struct)

_PLACE = re.compile(r"^(?P<text>.*?)(?: - at `(?P<key>key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_SECRET_BYTES_MAX = 64 * 1024
_LISTED_LENGTH_MAX = 200


def bind(options: type[StructT], table: Mapping[str, Any], *, place: str) -> StructT:
    """Make `options` from a table.

    Args:
        options: The struct.
        table: The values, possibly as text.
        place: Where the table stands in configuration, dotted; "" for the top. Part of errors.

    Raises:
        Misconfigured: Values do not fit, are missing, or are unknown. Names each option.
    """
    try:
        bound: StructT = _converted(_with_lists(table, options), options)
    except msgspec.ValidationError as error:
        _, problems = sifted(options, table, place=place)
        # What only the whole struct can tell shows once its fields are right.
        # The cause stays out: its text may hold what the operator wrote into the wrong place.
        raise Misconfigured(*(problems or [_explain(str(error), options, place)])) from None
    return bound


def sifted(
    options: type[msgspec.Struct], table: Mapping[str, Any], *, place: str
) -> tuple[dict[str, Any], list[str]]:
    """What of a table fits the fields of `options`, each looked at by itself.

    Args:
        options: The struct.
        table: The values, possibly as text.
        place: As for `bind`.

    Returns:
        The table without what is wrong; and what is wrong, a sentence each.
    """
    types = field_types(options)
    right: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in _with_lists(table, options).items():
        kind = types.get(name)
        if kind is None:
            if options.__struct_config__.forbid_unknown_fields:
                unknown = f"Object contains unknown field `{name}`"
                problems.append(_explain(unknown, options, place))
            continue
        inner = struct_in(kind)
        if inner is not None and isinstance(value, Mapping) and parts_of(kind) == [inner]:
            dotted = f"{place}.{name}" if place else name
            right[name], others = sifted(inner, value, place=dotted)
            problems += others
            continue
        try:
            _converted(value, kind)
        except msgspec.ValidationError as error:
            problems.append(_explain(_under(name, str(error)), options, place))
        else:
            right[name] = value
    problems += [
        _explain(f"Object missing required field `{field.encode_name}`", options, place)
        for field in msgspec.structs.fields(options)
        if field.required and field.encode_name not in table
    ]
    return right, problems


def _converted(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=False, dec_hook=_dec_hook)


def _under(name: str, message: str) -> str:
    """The message about a field's value, as one about the struct that has the field."""
    text, at, path = message.rpartition(" - at `")
    return f"{text}{at}{path.replace('$', f'$.{name}', 1)}" if at else f"{message} - at `$.{name}`"


def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields by the name that configuration uses, with their types."""
    hints = typing.get_type_hints(struct, include_extras=True)
    names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    return {encoded: hints[name] for name, encoded in names}


def struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a field of this type holds, if it holds one."""
    for part in parts_of(kind):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def may_hold_secret(kind: Any) -> bool:
    """Whether a value of this type may have a secret anywhere inside."""
    return any(
        part is Secret
        or any(may_hold_secret(argument) for argument in get_args(part))
        or (
            isinstance(part, type)
            and issubclass(part, msgspec.Struct)
            and any(map(may_hold_secret, field_types(part).values()))
        )
        for part in parts_of(kind)
    )


def schema_hook(kind: type) -> dict[str, Any]:
    """JSON Schema for the option types that msgspec does not know."""
    if kind is Secret:
        by_file = {
            "type": "object",
            "properties": {"file": {"type": "string", "description": "File that holds the text"}},
            "required": ["file"],
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "string"}, by_file], "writeOnly": True}
    if issubclass(kind, Path):
        return {"type": "string"}
    raise NotImplementedError(f"{kind.__name__} is not an option type")


def _dec_hook(kind: type, value: Any) -> Any:
    if kind is Secret:
        return _secret(value)
    if issubclass(kind, Path):
        if not isinstance(value, str) or not value:
            raise ValueError(f"Expected a path, got {_word(value)}")
        return kind(value)
    raise ValueError(f"{kind.__name__} is not an option type")


def _secret(value: Any) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    if not isinstance(value, Mapping):
        raise ValueError(f'Expected str or {{file = "..."}}, got {_word(value)}')
    # Names of keys stay out of the text: a secret typed as a table may be one.
    if set(value) != {"file"} or not isinstance(value["file"], str):
        raise ValueError('Expected str or {file = "..."}, got another table')
    path = Path(value["file"])
    try:
        with path.open("rb") as file:
            raw = file.read(_SECRET_BYTES_MAX + 1)
        if len(raw) > _SECRET_BYTES_MAX:
            raise ValueError(f"the secret file {str(path)!r} is over {_SECRET_BYTES_MAX} bytes")
        text = raw.decode()
    except OSError as error:
        raise ValueError(f"cannot read the secret file {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the secret file {str(path)!r} is not UTF-8") from None
    return Secret(text.removesuffix("\n").removesuffix("\r"))


def _word(value: Any) -> str:
    return "an empty string" if value == "" else type(value).__name__


def _with_lists(table: Mapping[str, Any], struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Text for a list is JSON, or values between commas: an environment variable has no lists."""
    types = field_types(struct)
    result = dict(table)
    for name, value in table.items():
        kind = types.get(name)
        if kind is None:
            continue
        inner = struct_in(kind)
        if isinstance(value, Mapping) and inner is not None:
            result[name] = _with_lists(value, inner)
        elif isinstance(value, str) and _takes_only(kind, (list, tuple, set, frozenset)):
            result[name] = _list(value)
        elif isinstance(value, str) and _takes_only(kind, (dict,)):
            result[name] = _json(value)
    return result


def _list(text: str) -> Any:
    if text.lstrip().startswith("["):
        return _json(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text  # the type error that follows names the place


def _takes_only(kind: Any, containers: tuple[type, ...]) -> bool:
    parts = [part for part in parts_of(kind) if part is not type(None)]
    return any((get_origin(part) or part) in containers for part in parts) and str not in parts


def parts_of(kind: Any) -> list[Any]:
    """The alternatives of a type, without `Annotated` and unions around them."""
    origin = get_origin(kind)
    if origin is typing.Annotated:
        return parts_of(get_args(kind)[0])
    if origin in (Union, UnionType):
        return [part for argument in get_args(kind) for part in parts_of(argument)]
    return [kind]


def _explain(message: str, options: type[msgspec.Struct], place: str) -> str:
    match = _PLACE.match(message)
    assert match is not None  # the pattern takes any text
    path = (match["path"] or "").lstrip(".")
    # TOML says table.
    text = match["text"].replace("`", "").replace("Expected object", "Expected table")
    holder = _struct_at(options, path)
    if unknown := _UNKNOWN.match(match["text"]):
        known = field_types(holder) if holder is not None else ()
        path = f"{path}.{unknown['name']}"
        text = f"unknown option{near_miss(unknown['name'], known) or _listed(known)}"
    elif missing := _MISSING.match(match["text"]):
        path = f"{path}.{missing['name']}"
        text = "this option is required"
    elif text.startswith("Invalid enum value"):
        text = f"Expected one of {_choices(options, path)}"
    dotted = ".".join(part for part in (place, path.strip(".")) if part)
    return f"{dotted}: {text}" if dotted else text


def _listed(known: Iterable[str]) -> str:
    """What there is instead, where that is a line's worth."""
    words = ", ".join(known)
    return f"; there are {words}" if 0 < len(words) <= _LISTED_LENGTH_MAX else ""


def _type_at(options: type[msgspec.Struct], path: str) -> Any:
    kind: Any = options
    for part in filter(None, path.split(".")):
        struct = struct_in(kind)
        if struct is None:
            return None
        name, *indexes = part.split("[")
        kind = field_types(struct).get(name)
        for _ in indexes:
            kind = _element(kind)
    return kind


def _element(kind: Any) -> Any:
    arguments = [argument for part in parts_of(kind) for argument in get_args(part)]
    return next((each for each in reversed(arguments) if each is not Ellipsis), None)


def _struct_at(options: type[msgspec.Struct], path: str) -> type[msgspec.Struct] | None:
    return struct_in(_type_at(options, path))


def _choices(options: type[msgspec.Struct], path: str) -> str:
    import enum

    words: list[str] = []
    for part in parts_of(_type_at(options, path)):
        if get_origin(part) is typing.Literal:
            words += [str(word) for word in get_args(part)]
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            words += [str(member.value) for member in part]
    return ", ".join(words) or "the documented words"
