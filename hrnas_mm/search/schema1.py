"""Files and checkpoints of version 0.1, in the words of today.

There, costs were fields of their own, and what a unit is had to be read off
its name. Can go with version 1.0.
"""

from collections.abc import Mapping
from typing import Any

from .cost import COSTS

_LISTS = ('history', 'evaluations', 'rungs')


def upgraded_description(content: Any) -> Any:
    """Return a description in schema 2; anything but schema 1 stays."""
    if not isinstance(content, Mapping) or content.get('schema') != 1:
        return content
    content = dict(_costs_together(content), schema=2)
    if isinstance(content.get('supernet'), Mapping):
        content['supernet'] = _units_of(content['supernet'])
    return content


def upgraded_record(record: Any) -> Any:
    """Return the record of a search in schema 2; others stay."""
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
    """Return what a checkpoint says of its search; None without one.

    There, it was in the ``runtime_info`` of the message hub, from which it is
    taken out.
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
