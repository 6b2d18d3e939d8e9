"""Tables of milliseconds: what is in the file, and reading it."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from ..files import read_json, write_json
from ..spelling import counted
from ..typed import read_as

SCHEMA = 2
MOST = 4096  # threads, images of a batch, or channels to round to


@dataclass(frozen=True)
class Conditions:
    """Describe what a table was measured with; it holds for nothing else.

    Attributes:
        backend: How networks were run, such as 'onnxruntime'.
        runtime: Runtime for which they were deployed.
        round: Number to whose multiples their channels were rounded up.
        device: Name of the processor.
        version: Version of what ran them.
        threads: Number of threads.
        dtype: Type of weights and maps.
        batch: Number of images.
        input_shape: (C, H, W) of an image.
        created: Date, YYYY-MM-DD.
    """

    backend: str
    runtime: str
    round: int
    device: str
    version: str
    threads: int
    dtype: str
    batch: int
    input_shape: tuple[int, ...]
    created: str

    def __str__(self) -> str:
        height, width = self.input_shape[-2:]
        threads = counted(self.threads, 'thread')
        return (
            f'{self.backend} {self.version}, {threads}, {self.dtype}, '
            f'{self.batch} x {height}x{width}, {self.device}'
        )


@dataclass(frozen=True)
class Curve:
    """Milliseconds of a part's unit by the number of elements.

    Of a layer of a stock network, by the share of its multiply-adds, in parts
    of 10000.

    The time is interpolated linearly between the points, and extrapolated
    beyond the last one. Below the first point it is constant; zero elements
    take 0 ms.

    Args:
        elements: Numbers of elements, ascending.
        ms: Milliseconds at each of them, not descending.
    """

    elements: tuple[int, ...]
    ms: tuple[float, ...]

    def __call__(self, count: float) -> float:
        if count <= 0:
            return 0.0
        if count <= self.elements[0] or len(self.elements) == 1:
            return self.ms[0]
        i = min(bisect_left(self.elements, count), len(self.elements) - 1)
        (x0, x1), (y0, y1) = (
            self.elements[i - 1 : i + 1],
            self.ms[i - 1 : i + 1],
        )
        return y0 + (y1 - y0) * (count - x0) / (x1 - x0)


@dataclass(frozen=True)
class Prediction:
    """Hold the milliseconds of a network, predicted and measured."""

    network: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Return the relative error; above 0 if it is predicted too slow."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Calibration:
    """Describe how the parts add up to networks, and how well.

    milliseconds = offset
                   + (sum of factor * what the unit takes alone) ** exponent

    Attributes:
        offset: Milliseconds of what no part owns.
        factors: What units take in a network, by what they take alone, by the
            name of the class that declares them: what runtimes join with the
            layers around it depends on that. Of layers of stock networks, by
            their kind, such as 'depthwise'.
        exponent: Above 1 where large networks take longer than their parts,
            as less of them stays in the caches.
        networks: Networks that it was fitted to.
        median_error, worst_error: Their relative errors.
        kendall_tau: Rank correlation of their measured and predicted times,
            from -1 to 1.
    """

    offset: float
    factors: Mapping[str, float]
    exponent: float
    networks: tuple[Prediction, ...]
    median_error: float
    worst_error: float
    kendall_tau: float


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of the parts of one supernet on one device.

    Args:
        conditions: What was measured, and on what.
        supernet: Elements of every unit of the supernet.
        costs: Costs of the supernet that need no table, by name.
        kinds: For every part of the supernet, the names of its curves, one
            per call, or one for all calls of a stock module; parts of the
            same kind share theirs.
        curves: Curves by their names and by the name of the unit, or of the
            layer, in the part.
        calibration: How the parts add up.
        reference: Milliseconds of the reference network beside the networks
            that it was calibrated with: how fast the device was then.
        layers: Numbers of the layers of each class in the parts; empty in
            files that do not say it.
    """

    conditions: Conditions
    supernet: Mapping[str, int]
    costs: Mapping[str, float]
    kinds: Mapping[str, tuple[str, ...]]
    curves: Mapping[str, Mapping[str, Curve]]
    calibration: Calibration
    reference: float
    layers: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the content of a file."""
        content = asdict(self)
        content['conditions']['form'] = content['conditions'].pop('runtime')
        return dict(schema=SCHEMA, unit='ms', **content)


def write_latency_table(table: LatencyTable, path: str) -> None:
    """Write a table for :func:`read_latency_table`."""
    write_json(path, table.as_json(), indent=1)


def read_latency_table(path: str) -> LatencyTable:
    """Read a table that ``tools/measure_latency.py`` has written.

    Raises:
        ValueError: If the file is no such table, or has impossible times.
    """
    content = read_json(path)
    try:
        return table_of(content)
    except ValueError as error:
        raise ValueError(f'{path} {error}') from error


def table_of(content: Any) -> LatencyTable:
    """Return the table with the content of a file.

    Raises:
        ValueError: See :func:`read_latency_table`; the message lacks its
            subject, the file.
    """
    if not isinstance(content, Mapping) or 'schema' not in content:
        raise ValueError('is no table of tools/measure_latency.py')
    schema, unit = content['schema'], content.get('unit')
    if schema != SCHEMA or unit != 'ms':
        raise ValueError(
            f'must be a table of schema {SCHEMA} in ms, got schema '
            f'{schema!r} in {unit!r}'
        )
    fields = {k: v for k, v in content.items() if k not in ('schema', 'unit')}
    conditions = fields.get('conditions')
    if isinstance(conditions, Mapping) and 'form' in conditions:
        # The file's name for it.
        conditions = dict(conditions)
        fields['conditions'] = conditions
        conditions['runtime'] = conditions.pop('form')
    try:
        table = read_as(LatencyTable, fields)
    except ValueError as error:
        raise ValueError(
            f'is no table of tools/measure_latency.py: {error}'
        ) from error
    _check_numbers(table)
    return table


def _check_numbers(table: LatencyTable) -> None:
    """Raise ValueError unless times are positive and do not descend."""
    for key, curves in table.curves.items():
        for unit, curve in curves.items():
            rises = all(a < b for a, b in pairwise((0, *curve.elements)))
            holds = all(a <= b for a, b in pairwise((0, *curve.ms)))
            whole = len(curve.elements) == len(curve.ms) > 0
            if not (rises and holds and whole and math.isfinite(curve.ms[-1])):
                raise ValueError(
                    f'must have times that are finite, not negative and never '
                    f'fall with more elements; {key!r}, {unit!r} has '
                    f'{list(curve.ms)} ms at {list(curve.elements)}'
                )
    calibration = table.calibration
    powers = [calibration.exponent, *calibration.factors.values()]
    if not 0 <= calibration.offset < math.inf or not all(
        0 < value < math.inf for value in powers
    ):
        raise ValueError(
            'must have an offset, an exponent and factors that are finite and '
            f'positive, got {[calibration.offset, *powers]}'
        )
    for name in ('round', 'threads', 'batch'):
        value = getattr(table.conditions, name)
        if not 1 <= value <= MOST:
            raise ValueError(
                'must have conditions with round, threads and batch that are '
                f'whole numbers of at least 1 and at most {MOST}, got '
                f'{name}={value!r}'
            )
    if not 0 < table.reference < math.inf:
        raise ValueError(
            'must have a reference that is finite and positive, got '
            f'{table.reference}'
        )
