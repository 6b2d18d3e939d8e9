"""Conversion of files and checkpoints of version 0.1 to the present schema.

In version 0.1, costs were fields of their own, and the part and the kind of a
unit had to be inferred from its name. Can be removed in version 1.0.
"""

from collections.abc import Mapping
from typing import Any

from .cost import COSTS

_LISTS = ('history', 'evaluations', 'rungs')


def upgraded_description(content: Any) -> Any:
    """Convert a description of schema 1 to schema 2; return others as is."""
    if not isinstance(content, Mapping) or content.get('schema') != 1:
        return content
    content = dict(_costs_together(content), schema=2)
    if isinstance(content.get('supernet'), Mapping):
        content['supernet'] = _units_of(content['supernet'])
    return content


def upgraded_record(record: Any) -> Any:
    """Convert a search record of schema 1 to schema 2; return others as is."""
    if not isinstance(record, Mapping) or record.get('schema') != 1:
        return record
    record = dict(_costs_together(record), schema=2)
    record['supernet'] = _units_of(record['supernet'])
    if record['target']:
        record['target'] = dict(
            cost=record['target']['resource'],
            amount=record['target']['amount'],
        )
    for name in _LISTS:
        record[name] = list(map(_costs_together, record[name]))
    return record


def take_search_state_(checkpoint: Mapping[str, Any]) -> Any:
    """Return the state of the search in a checkpoint; None without one.

    Version 0.1 kept it in the ``runtime_info`` of the message hub, from which
    it is removed here.
    """
    info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    if 'search' in checkpoint or 'search_state' not in info:
        return checkpoint.get('search')
    state = info.pop('search_state')
    shrinks, evaluations, rungs = (
        list(map(_costs_together, info.pop(f'search_{name}', [])))
        for name in _LISTS
    )
    return dict(
        settings=state['settings'],
        controller=dict(state['controller'], last_shrink=state['last_shrink']),
        history=dict(shrinks=shrinks, evaluations=evaluations, rungs=rungs),
    )


def _costs_together(facts: Mapping[str, Any]) -> dict[str, Any]:
    costs = {name: facts[name] for name in COSTS if name in facts}
    rest = {name: facts[name] for name in facts if name not in costs}
    return dict(rest, costs=costs) if costs else rest


def _units_of(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        unit: dict(part=_part_of(unit), kind=_kind_of(unit), elements=count)
        for unit, count in counts.items()
    }


def _part_of(unit: str) -> str:
    module = unit.rpartition('.')[0]
    parent, _, name = module.rpartition('.')
    return module if name.isdigit() else parent


def _kind_of(unit: str) -> str:
    return unit.rpartition('.')[2]
