"""The record of a search, for pictures: ``work_dir/search.json``."""

import json
import os.path as osp
from collections.abc import Mapping
from typing import Any

from .architecture import Architecture
from .files import read_json, replacing

RECORD = 'search.json'
SCHEMA = 1


def write_record(work_dir: str, record: Mapping[str, Any]) -> None:
    """Write the record of a search; see :func:`read_record`."""
    with replacing(osp.join(work_dir, RECORD)) as new, open(new, 'w') as file:
        json.dump(dict(schema=SCHEMA, **record), file)
        file.write('\n')


def read_record(work_dir: str) -> dict[str, Any]:
    """Read the record of a search.

    Args:
        work_dir: Of the run.

    Returns:
        supernet ({unit name: count}), input_shape, macs and params (of the
        supernet), target (None, or amount and resource), begin, end and
        max_iters; history, a list with an entry for the start and for each
        shrink: iter, macs, params, rho, counts (in the order of supernet),
        and the alive elements by kind; evaluations: iter, macs, metrics;
        rungs: name, iter, macs, params, metrics; and, of a run that is over,
        tables: title, columns, rows.

    Raises:
        ValueError: If there is none in the folder.
    """
    path = osp.join(work_dir, RECORD)
    if not osp.isfile(path):
        raise ValueError(
            f'{work_dir} has no {RECORD}: it is not the work_dir of a search '
            'with ProgressiveShrinkHook'
        )
    record = read_json(path)
    is_record = isinstance(record, dict) and record.get('schema') == SCHEMA
    if not is_record or not record.get('history'):
        raise ValueError(f'{path} is not the record of a search')
    return record


def architecture_at(record: Mapping[str, Any], index: int) -> Architecture:
    """The architecture of an entry of the history."""
    counts = record['history'][index]['counts']
    return dict(zip(record['supernet'], counts))
