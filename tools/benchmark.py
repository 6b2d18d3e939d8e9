"""Time models side by side: as trained, and deployed on several runtimes.

    python tools/benchmark.py CONFIG[:CHECKPOINT] ... --shape 512 1024

Models take turns, so that a machine that slows down slows all of them down.
Only the dense part (backbone, neck and head) is timed, without preprocessing
and post-processing. Configs of the frameworks work too, for example
mmseg::ddrnet/ddrnet_23-slim_....py.
"""

import argparse
import copy
import os
from contextlib import suppress
from itertools import chain, product

# Otherwise torch's profiler, which measures the memory, announces itself.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')

import torch  # noqa: E402
from measuring.benchmark_tables import Result, shares_table, table_of
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from hrnas_mm.cli.candidate import Candidate, candidate
from hrnas_mm.cli.config import add_shape_argument, count_of, round_of
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.deploy import DeployableModel, dense_part, onnx_bytes
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.runtimes import (
    ALL_DTYPES,
    RUNTIMES,
    Eager,
    LocalTimer,
    Runtime,
    check_device,
    interleaved,
    peak_memory,
    profiled,
)
from hrnas_mm.runtimes.runtime import Call

EAGER = Eager()
# What can be timed: the network as trained, and its deployed form.
BACKENDS: dict[str, Runtime] = {EAGER.name: EAGER, **RUNTIMES}
Form = tuple[str, int | str]  # --fuse and --round


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'models',
        nargs='+',
        metavar='CONFIG[:CHECKPOINT]',
        help='configs to compare, each with or without a checkpoint',
    )
    add_shape_argument(parser)
    parser.add_argument(
        '--batch', type=count_of, default=1, help='number of images per batch'
    )
    parser.add_argument(
        '--rounds', type=int, default=20, help='number of timed turns'
    )
    parser.add_argument(
        '--backends',
        nargs='+',
        choices=list(BACKENDS),
        default=[EAGER.name, 'channels_last', 'onnxruntime'],
        help='what to time: eager is the network as trained, all others are '
        'its deployed form; default: eager, channels_last and onnxruntime',
    )
    parser.add_argument(
        '--threads',
        type=count_of,
        help='number of CPU threads; default: that of torch',
    )
    parser.add_argument(
        '--profile',
        action='store_true',
        help='also print which share of the time each stage and each kind of '
        'operator takes',
    )
    parser.add_argument(
        '--forms',
        nargs='+',
        type=form,
        default=[('auto', 'auto')],
        metavar='FUSE:ROUND',
        help='deployed forms to time, such as auto:auto never:1 always:8; '
        'see --fuse and --round of export_onnx.py; default: auto:auto',
    )
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument(
        '--dtype',
        choices=list(ALL_DTYPES),
        default='float32',
        help='type of weights and maps; default: %(default)s',
    )
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error(f'--rounds must be at least 2, got {args.rounds}')
    return args


def form(text: str) -> Form:
    """Read FUSE:ROUND."""
    fuse, _, round = text.partition(':')
    return fuse, round_of(round)


def timers_of(args: argparse.Namespace) -> dict[str, LocalTimer]:
    """Return the timers of deployed networks, by backend.

    Raises:
        ModuleNotFoundError: If a backend is not installed.
        ValueError: If one cannot run on the device, or in the dtype.
    """
    timers = {}
    for name in args.backends:
        runtime = BACKENDS[name]
        device = 'cpu' if runtime.onnx else args.device
        check_device(runtime, device, args.dtype)
        if runtime.form is not None:
            timers[name] = LocalTimer(runtime, device, args.dtype)
    return timers


def as_trained(
    args: argparse.Namespace, model: nn.Module, image: Tensor
) -> Call:
    """Return a forward pass as trained."""
    to = dict(device=args.device, dtype=getattr(torch, args.dtype))
    network = dense_part(copy.deepcopy(model).to(**to))
    return BACKENDS['eager'].load(network, image.to(**to), args.dtype)


def call_of(
    timer: LocalTimer, form: Form, model: nn.Module, image: Tensor
) -> Call:
    """Return a forward pass of the deployed form."""
    network = deployed(timer.form, form, model, image)

    def make() -> nn.Module | bytes:
        return onnx_bytes(network, image) if timer.onnx else network

    return timer.ready(timer.backend, make, image)()


def deployed(
    runtime: str, form: Form, model: nn.Module, image: Tensor
) -> DeployableModel:
    """Return the deployed form for a runtime."""
    shape = tuple(image.shape[1:])
    return DeployableModel(model, runtime, *form, shape)


@torch.no_grad()
def measure(
    args: argparse.Namespace,
    candidates: list[Candidate],
    timers: dict[str, LocalTimer],
) -> list[Result]:
    """Time all candidates in all forms, in turns, on one backend at a time.

    Threads that one backend leaves spinning would slow down another.
    """
    device = torch.device(args.device)
    results: list[list[Result]] = [[] for _ in candidates]
    for backend in args.backends:
        timer = timers.get(backend)
        forms = args.forms if timer else args.forms[:1]
        calls, memory = {}, {}
        for (i, each), form in product(enumerate(candidates), forms):
            image = torch.randn(args.batch, *each.shape)
            call = (
                call_of(timer, form, each.model, image)
                if timer
                else as_trained(args, each.model, image)
            )
            call()
            calls[i, form] = call
            # torch does not see what other runtimes allocate, and a replay
            # allocates nothing.
            memory[i, form] = (
                peak_memory(call, device)
                if BACKENDS[backend].allocates
                else None
            )
        times = interleaved(calls, device, args.rounds)
        for i, form in calls:
            label = label_of(args, backend, form)
            key = i, form
            result = Result(candidates[i], label, times[key], memory[key])
            results[i].append(result)
    return list(chain.from_iterable(results))


def label_of(args: argparse.Namespace, backend: str, form: Form) -> str:
    """Return the name of a row, with the form if there are several."""
    if BACKENDS[backend].form is None or len(args.forms) == 1:
        return backend
    return f'{backend} {form[0]}:{form[1]}'


def shares_of(
    args: argparse.Namespace, runtime: Runtime, found: Candidate
) -> Table:
    """Return a table of the shares that stages and operators take.

    Raises:
        NotImplementedError: If the runtime has no profiler.
    """
    image = torch.randn(args.batch, *found.shape)
    assert runtime.form is not None
    network = deployed(runtime.form, args.forms[0], found.model, image)
    return shares_table(
        f'Shares of the time: {found.name}, {runtime.name}, float32, cpu',
        *profiled(runtime, network, image),
    )


def main() -> None:
    """Load the models, time them in turns, and print a table."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with clear_errors():
        timers = timers_of(args)
        for fuse, round in args.forms:
            form_of('torch', fuse, round, {})  # refuses a wrong form
        candidates = [candidate(text, args.shape) for text in args.models]
    console = Console(width=140, markup=False, emoji=False)
    console.print(table_of(args, measure(args, candidates, timers)))
    if args.profile:
        for network, name in product(candidates, timers):
            with suppress(NotImplementedError):
                console.print(shares_of(args, RUNTIMES[name], network))


if __name__ == '__main__':
    main()
