"""The record of a search: ``work_dir/search.json``, numbers and names only."""

import os.path as osp
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..files import write_json
from ..latency.table import Conditions
from ..search.architecture import Architecture
from ..search.description import DescribedUnit
from ..typed import read_file_as

RECORD = 'search.json'
SCHEMA = 4
READABLE = (3, SCHEMA)  # what one of 3 lacks has a default

MAX_CLASSES = 200  # of a confusion, and in a table

Costs = dict[str, float]  # amounts by the names of costs


@dataclass(frozen=True)
class Target:
    """The cost that a search counts, and the amount that it may have."""

    cost: str
    amount: float


@dataclass(frozen=True)
class Shrink:
    """The network that a search starts from, or that a shrink leaves.

    Attributes:
        iter: Iteration of the shrink.
        costs: Costs of the network.
        rho: Coefficient of the penalty from then on.
        counts: Number of elements of every unit, in the order of the supernet.
    """

    iter: int
    costs: Costs
    rho: float
    counts: list[int]


@dataclass(frozen=True)
class Evaluation:
    """The metrics of an evaluation, and the costs of the network then."""

    iter: int
    costs: Costs
    metrics: dict[str, float]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a deployed network.

    Attributes:
        predicted: Milliseconds by the table of the search.
        measured: Milliseconds by the clock; None if they were not measured.
        slowdown: Time of the reference network then, relative to its time
            when the table was measured.
    """

    predicted: float
    measured: float | None = None
    slowdown: float | None = None


@dataclass(frozen=True)
class Milestone:
    """The network with which a search met a budget on its way."""

    name: str
    iter: int
    costs: Costs
    metrics: dict[str, float]
    counts: list[int]
    latency: Timing | None = None


@dataclass(frozen=True)
class Stage:
    """Multiply-adds of a stage before and after the search."""

    name: str
    supernet: int
    searched: int


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics by class, or by what a noun says; None for one in no image."""

    classes: list[str]
    metrics: dict[str, list[float | None]]
    noun: str = 'class'


@dataclass(frozen=True)
class Confusion:
    """Pixels or images of each class, by the class that they are taken for.

    Attributes:
        classes: Names of the classes.
        counts: A row for each true class, a column for each predicted one.
    """

    classes: list[str]
    counts: list[list[int]]


@dataclass(frozen=True)
class RunInfo:
    """Where, when and how a run was made.

    Attributes:
        date: Date and time of the record, YYYY-MM-DD hh:mm.
        seconds: Seconds of training, evaluations apart.
        device: Name of the GPU, or architecture of the CPU.
        processes: Number of processes.
        threads: Number of CPU threads of each.
        versions: Versions of the software, by name.
        seed: Seed of the run.
        commit: Commit of the folder that it was started in; '' outside one.
        command: Command line as typed, with paths relative to that folder.
    """

    date: str
    seconds: float
    device: str
    processes: int
    threads: int
    versions: dict[str, str]
    seed: int | None
    commit: str
    command: str


@dataclass(frozen=True)
class Record:
    """All that is known of a search.

    Attributes:
        schema: Version of the file.
        supernet: Part, kind and number of elements of every unit.
        input_shape: (C, H, W) for which costs are counted.
        costs: Costs of the supernet; the first is that of the target.
        target: Cost and amount that the search goes down to; None without.
        begin, end: Iterations between which the network shrinks.
        max_iters: Length of the run.
        iter: Iteration up to which the record goes.
        history: The network at the start, and after each shrink.
        evaluations, milestones: In the order of the run.
        conditions: Conditions of the table of milliseconds, if there is one.
        latency: Milliseconds of the network at the end, if there is a table.
        stages: Multiply-adds by stage, at the end of the run.
        classes, confusion: What the last evaluation told of the classes.
        curves: iter, loss, penalty and seconds (per iteration), averaged in
            groups. Without a penalty, in files of schema 3, the loss has it.
        palette: RGB of each class in pictures that do not name the classes.
        run: Where, when and how the run was made.
        finished: Whether the run is over.
    """

    schema: int
    supernet: dict[str, DescribedUnit]
    input_shape: list[int]
    costs: Costs
    target: Target | None
    begin: int
    end: int
    max_iters: int
    iter: int
    history: list[Shrink]
    evaluations: list[Evaluation]
    milestones: list[Milestone]
    conditions: Conditions | None = None
    latency: Timing | None = None
    stages: list[Stage] = field(default_factory=list)
    classes: ClassMetrics | None = None
    confusion: Confusion | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    palette: dict[str, list[int]] = field(default_factory=dict)
    run: RunInfo | None = None
    finished: bool = True

    def __post_init__(self) -> None:
        if self.schema not in READABLE:
            raise ValueError(
                f'schema must be {" or ".join(map(str, READABLE))}, which '
                f'this version reads, got {self.schema}'
            )
        if not self.history:
            raise ValueError('history must have an entry, got none')


def write_record(work_dir: str, record: Record) -> None:
    """Write the record of a search for :func:`read_record`."""
    write_json(osp.join(work_dir, RECORD), asdict(record))


def read_record(work_dir: str) -> Record:
    """Read the record of a search.

    Args:
        work_dir: Folder of the run.

    Raises:
        ValueError: If the folder has no record, or a damaged one.
    """
    path = osp.join(work_dir, RECORD)
    if not osp.isfile(path):
        raise ValueError(
            f'{work_dir} has no {RECORD}: it is not the work_dir of a search '
            'with ProgressiveShrinkHook'
        )
    return read_file_as(Record, path)


def last_network(record: Record) -> Milestone:
    """Return the network as it is, with its metrics if it was evaluated."""
    evaluated = record.evaluations[-1:]
    metrics = (e.metrics for e in evaluated if e.iter == record.iter)
    last = record.history[-1]
    return Milestone(
        'searched' if record.finished else 'now',
        record.iter,
        last.costs,
        next(metrics, {}),
        last.counts,
        record.latency,
    )


def architecture_in(
    record: Record, network: Shrink | Milestone
) -> Architecture:
    """Return the architecture of a network in a record."""
    return dict(zip(record.supernet, network.counts))


def by_kind(
    supernet: Mapping[str, DescribedUnit], counts: Mapping[str, int]
) -> dict[str, int]:
    """Sum the elements of each kind, kernel sizes ascending, others last.

    Args:
        supernet: Units of the supernet.
        counts: Number of elements by unit name.
    """
    kinds: dict[str, int] = {}
    for name, unit in supernet.items():
        kinds[unit.kind] = kinds.get(unit.kind, 0) + counts.get(name, 0)
    order = sorted(kinds, key=lambda k: (not k[1:].isdigit(), len(k), k))
    return {kind: kinds[kind] for kind in order}
