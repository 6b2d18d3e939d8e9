"""The record of a search, for plots and reports: ``work_dir/search.json``."""

import os.path as osp
from collections.abc import Mapping
from typing import Any

from ..files import read_json, write_json
from .architecture import Architecture

RECORD = 'search.json'
SCHEMA = 2


def write_record(work_dir: str, record: Mapping[str, Any]) -> None:
    """Write the record of a search; see :func:`read_record`."""
    write_json(osp.join(work_dir, RECORD), dict(schema=SCHEMA, **record))


def read_record(work_dir: str) -> dict[str, Any]:
    """Read the record of a search.

    Args:
        work_dir: Folder of the run.

    Returns:
        A dict with supernet ({unit name: its part, kind and elements}),
        input_shape, costs (of the supernet, by name), target (None, or its
        cost and amount), begin, end and max_iters. Its lists are history,
        with an entry for the start and for each shrink: iter, costs, rho and
        counts (in the order of supernet); evaluations: iter, costs, metrics;
        rungs: name, iter, costs, metrics; and, if the run has finished,
        tables: title, columns, rows.

    Raises:
        ValueError: If the folder has no record, or a damaged one.
    """
    path = osp.join(work_dir, RECORD)
    if not osp.isfile(path):
        raise ValueError(
            f'{work_dir} has no {RECORD}: it is not the work_dir of a search '
            'with ProgressiveShrinkHook'
        )
    record = read_json(path)
    if not _is_record(record):
        raise ValueError(f'{path} is not the record of a search')
    return record


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or record.get('schema') != SCHEMA:
        return False
    facts = {'iter': (int,), 'costs': (dict,)}
    kinds: dict[str, tuple[type, ...]] = dict(
        supernet=(dict,), costs=(dict,), input_shape=(list,), begin=(int,),
        end=(int,), max_iters=(int,), target=(dict, type(None)),
        history=(list,), evaluations=(list,), rungs=(list,),
    )  # fmt: skip
    return (
        bool(record.get('history'))
        and _has(record, kinds)
        and all(
            _has(entry, {**facts, **more})
            for name, more in (
                ('history', dict(counts=(list,), rho=(int, float))),
                ('evaluations', dict(metrics=(dict,))),
                ('rungs', dict(metrics=(dict,), name=(str,))),
            )
            for entry in record[name]
        )
    )


def _has(entry: Any, kinds: Mapping[str, tuple[type, ...]]) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), kind) for name, kind in kinds.items()
    )


def architecture_at(record: Mapping[str, Any], index: int) -> Architecture:
    """Return the architecture at an index of the history."""
    return architecture_in_entry(record, record['history'][index])


def architecture_in_entry(
    record: Mapping[str, Any], entry: Mapping[str, Any]
) -> Architecture:
    """Return the architecture of an entry that has ``counts``."""
    return dict(zip(record['supernet'], entry['counts']))


def by_kind(
    supernet: Mapping[str, Mapping[str, Any]], counts: Mapping[str, int]
) -> dict[str, int]:
    """Sum the elements of each kind, kernel sizes ascending, others last.

    Args:
        supernet: Part, kind and elements of every unit; see
            :func:`read_record`.
        counts: Number of elements by unit name.
    """
    kinds: dict[str, int] = {}
    for unit, facts in supernet.items():
        kind = facts['kind']
        kinds[kind] = kinds.get(kind, 0) + counts.get(unit, 0)
    order = sorted(kinds, key=lambda k: (not k[1:].isdigit(), len(k), k))
    return {kind: kinds[kind] for kind in order}
