"""Describing configuration: its JSON Schema, and its values without the secret ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from juststorage.config._config import Config
from juststorage.config._sections import Section, TopLevel
from juststorage.plugins._binding import (
    field_types,
    may_hold_secret,
    parts_of,
    schema_hook,
    struct_in,
)
from juststorage.plugins._host import PluginHost
from juststorage.plugins._secret import Secret

__all__ = ["options_schema", "redacted", "schema"]

HIDDEN = "***"


def redacted(config: Config, host: PluginHost) -> dict[str, Any]:
    """The settings in effect as plain values, in the shape of the file.

    Secrets are replaced, and so is everything in a table whose options are not known here. Files
    that hold secrets are named, not read.
    """
    tree = _shown_struct(config, TopLevel)
    for place, section in config.sections().items():
        branch = tree
        for part in place.split("."):
            branch = branch[part]
        known = host.backends(section.kind)
        for name in sorted({*section.tables, *section.chosen}):
            options = known[name].item.options if name in known else None
            branch[name] = _shown_table(section.table(name), options)
    return tree


def schema(host: PluginHost) -> dict[str, Any]:
    """JSON Schema of the configuration file, from the options of every usable plugin."""
    described = _struct_schema(TopLevel, host)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "JustStorage configuration",
        **described,
    }


def options_schema(options: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema of one backend's options."""
    return _struct_schema(options, None)


# -- values -----------------------------------------------------------------------------------


def _shown_struct(value: msgspec.Struct, struct: type[msgspec.Struct]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, encoded in zip(
        struct.__struct_fields__, struct.__struct_encode_fields__, strict=True
    ):
        if isinstance(value, Section) and name == "tables":
            continue
        shown[encoded] = _shown(getattr(value, name))
    return shown


def _shown_table(
    table: Mapping[str, Any], options: type[msgspec.Struct] | None
) -> dict[str, Any] | str:
    if options is None:
        return dict.fromkeys(sorted(table), HIDDEN)
    types = field_types(options)
    shown: dict[str, Any] = {}
    for field in msgspec.structs.fields(options):
        name = field.encode_name
        if name not in table and not field.required:
            default = field.default
            if default is msgspec.NODEFAULT:
                default = field.default_factory()
            shown[name] = _shown(default)
    for name, value in table.items():
        inner = struct_in(types[name]) if name in types else None
        if name not in types:
            shown[name] = HIDDEN
        elif inner is not None and isinstance(value, Mapping):
            shown[name] = _shown_table(value, inner)
        elif may_hold_secret(types[name]):
            # Where a secret is kept is no secret.
            direct = Secret in parts_of(types[name])
            by_file = direct and isinstance(value, Mapping) and set(value) == {"file"}
            shown[name] = dict(value) if by_file else HIDDEN
        else:
            shown[name] = _shown(value)
    return dict(sorted(shown.items()))


def _shown(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _shown_struct(value, type(value))
    if value is msgspec.UNSET:
        return None
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)


def _plain(value: Any) -> Any:
    return HIDDEN if isinstance(value, Secret) else str(value)


# -- schema -----------------------------------------------------------------------------------


def _struct_schema(struct: type[msgspec.Struct], host: PluginHost | None) -> dict[str, Any]:
    """Field by field: msgspec's own schema of a struct fails on defaults that are not JSON."""
    types = field_types(struct)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in msgspec.structs.fields(struct):
        if issubclass(struct, Section) and field.name == "tables":
            continue
        name = field.encode_name
        properties[name] = _field_schema(types[name], host)
        if field.required:
            required.append(name)
        elif field.default not in (msgspec.NODEFAULT, msgspec.UNSET) and not isinstance(
            field.default, msgspec.Struct | Secret
        ):
            properties[name]["default"] = _shown(field.default)
    if issubclass(struct, Section) and host is not None:
        _add_backends(properties, struct, host)
    described: dict[str, Any] = {"type": "object"}
    if struct.__doc__:
        described["description"] = struct.__doc__.strip().splitlines()[0]
    described |= {"properties": properties, "additionalProperties": False}
    if required:
        described["required"] = required
    return described


def _field_schema(kind: Any, host: PluginHost | None) -> dict[str, Any]:
    inner = struct_in(kind)
    if inner is not None and parts_of(kind) == [inner]:
        return _struct_schema(inner, host)
    (described,), components = msgspec.json.schema_components(
        (kind,), schema_hook=schema_hook, ref_template="{name}"
    )
    return dict(_inlined(described, components))


def _inlined(described: Any, components: Mapping[str, Any]) -> Any:
    """Without references: an option's schema is small, and readers want it in one place."""
    if isinstance(described, list):
        return [_inlined(each, components) for each in described]
    if not isinstance(described, dict):
        return described
    plain = {name: _inlined(each, components) for name, each in described.items() if name != "$ref"}
    if "$ref" in described:
        plain = {**_inlined(components[described["$ref"]], components), **plain}
    return plain


def _add_backends(properties: dict[str, Any], struct: type[Section], host: PluginHost) -> None:
    known = host.backends(struct.kind)
    selector = properties[struct.selector]
    if selector.get("type") == "array":
        selector["items"] = {"type": "string", "enum": sorted(known)}
    else:
        default = {"default": selector["default"]} if selector.get("default") else {}
        selector = {"type": "string", "enum": sorted(known), "description": selector["description"]}
        properties[struct.selector] = selector | default
    for name, offer in known.items():
        properties[name] = {
            **_struct_schema(offer.item.options, host),
            "description": offer.item.summary,
        }
