"""Check that channels of stock backbones are removed without a trace.

Each backbone loses a random number of channels of every unit, in float64. Its
outputs, costs, training steps and checkpoints are compared with independent
references.

    python benchmarks/stock_checks.py                # all backbones
    python benchmarks/stock_checks.py ResNet --widths all
"""

import argparse
import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from rich.console import Console
from rich.table import Table
from stock_networks import STOCK, Stock
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_leaves

from hrnas_mm.models import searchable
from hrnas_mm.modules.stock import switch_off_
from hrnas_mm.search import (
    CostModel,
    Params,
    apply_architecture_,
    architecture_in,
    architecture_of,
    named_search_units,
    shrink_,
    trace,
)
from hrnas_mm.search.ranking import Keep

# Largest difference that counts as none, in the outputs' own size.
EXACT = 1e-8


@dataclass(frozen=True)
class Findings:
    """Report what was found for a backbone.

    Attributes:
        units, channels: How much of it is searched.
        share: Share of the multiply-adds that can go.
        eval, train: Difference of the outputs, relative to the largest one,
            where scale and shift of what is removed are zero.
        shifted: The same in eval mode where only the scales are zero.
        same: Whether names of weights and outputs are those of the stock
            backbone before anything is removed.
        costs: Whether multiply-adds, at two sizes, and parameters equal those
            that torch counts.
        steps: Whether AdamW and SGD take steps before and after.
        loads: Whether a checkpoint loads into the whole backbone, by shapes.
    """

    units: int
    channels: int
    share: float
    eval: float
    train: float
    shifted: float
    same: bool
    costs: bool
    steps: bool
    loads: bool

    @property
    def right(self) -> bool:
        """Return whether everything is as it should be."""
        exact = max(self.eval, self.train) < EXACT
        return exact and self.same and self.costs and self.steps and self.loads


def build(config: Any, widths: str | None) -> nn.Module:
    """Return a backbone in float64, as after training."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config['type'].split('.')[0]):
        model = (
            MODELS.build(dict(config))
            if widths is None
            else searchable(config, widths)  # type: ignore[arg-type]
        )
    torch.manual_seed(0)
    for module in model.double().modules():
        if isinstance(module, _BatchNorm):
            nn.init.normal_(module.get_buffer('running_mean'), 0, 0.1)
            nn.init.uniform_(module.get_buffer('running_var'), 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


@torch.no_grad()
def outputs(model: nn.Module, x: Tensor, training: bool = False) -> list:
    """Return the outputs of a model, with the same chances every time.

    Dropout is left out: of fewer channels it would take others.
    """
    model.train(training)
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
    torch.manual_seed(0)
    return [y for y in tree_leaves(model(x)) if isinstance(y, Tensor)]


def difference(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest difference, relative to the largest value."""
    return max(
        float((a - b).abs().max() / a.abs().max().clamp(min=1e-30))
        for a, b in zip(one, other, strict=True)
    )


def random_keep(model: nn.Module) -> Keep:
    """Return a random number of elements, at least one, of every unit."""
    rng = torch.Generator().manual_seed(1)
    keep = {}
    for name, unit in named_search_units(model).items():
        count = int(torch.randint(1, len(unit) + 1, (1,), generator=rng))
        order = torch.randperm(len(unit), generator=rng)
        keep[name] = order[:count].sort().values
    return keep


def switch_off_all_but_(model: nn.Module, keep: Keep, shifts: bool) -> None:
    """Set the scales, and the shifts if wanted, of all others to zero."""
    for name, unit in named_search_units(model).items():
        dead = torch.ones(len(unit), dtype=torch.bool)
        dead[keep[name]] = False
        switch_off_(unit, dead, shifts)


def takes_steps(model: nn.Module, keep: Keep, x: Tensor) -> bool:
    """Return whether optimizers go on when elements are removed."""
    options: dict[Any, dict[str, Any]] = {
        torch.optim.AdamW: dict(lr=1e-5),
        torch.optim.SGD: dict(lr=1e-6, momentum=0.9),
    }
    for kind, settings in options.items():
        trained = copy.deepcopy(model)
        trained.train()
        optimizer = kind(trained.parameters(), **settings)
        for shrunk in (False, True):
            if shrunk:
                shrink_(trained, keep, optimizer)
            before = [p.clone() for p in trained.parameters()]
            leaves = tree_leaves(trained(x))
            loss = sum(y.square().mean() for y in leaves if y is not None)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            now = list(trained.parameters())
            if all(torch.equal(a, b) for a, b in zip(before, now)):
                return False
            if not all(p.isfinite().all() for p in now):
                return False
    return True


def check(stock: Stock, widths: str) -> Findings:
    """Return what is found for a backbone."""
    plain, model = build(stock.config, None), build(stock.config, widths)
    shape = stock.channels, stock.size, stock.size
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(2, *shape, dtype=torch.double, generator=rng)
    names = list(plain.state_dict()) == list(model.state_dict())
    same = names and difference(outputs(plain, x), outputs(model, x)) == 0
    keep = random_keep(model)
    differences = {}
    for shifts in (True, False):
        masked = copy.deepcopy(model)
        switch_off_all_but_(masked, keep, shifts)
        shrunk = copy.deepcopy(masked)
        shrink_(shrunk, keep)
        for training in (False, True):
            differences[shifts, training] = difference(
                outputs(masked, x, training), outputs(shrunk, x, training)
            )
    costs, share = True, 0.0
    counts = architecture_of(shrunk)
    for sides in ((stock.size,) * 2, (2 * stock.size, 3 * stock.size)):
        cost_model = CostModel(model, (stock.channels, *sides))
        real = trace(shrunk, (stock.channels, *sides))
        params = cost_model.counting(Params())
        costs &= cost_model.total(counts) == real.macs['']
        costs &= params.total(counts) == real.params
        least = cost_model.total(cost_model.least)
        share = share or 1 - least / cost_model.total(cost_model.supernet)
    whole = copy.deepcopy(model)
    weights = shrunk.state_dict()
    apply_architecture_(whole, architecture_in(weights, whole) or {})
    whole.load_state_dict(weights)
    loads = difference(outputs(whole, x), outputs(shrunk, x)) == 0
    units = named_search_units(model).values()
    return Findings(
        len(units),
        sum(map(len, units)),
        share,
        differences[True, False],
        differences[True, True],
        differences[False, False],
        same,
        costs,
        takes_steps(model, keep, x),
        loads,
    )


def main() -> None:
    """Check all backbones that are named, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', help='parts of their names')
    parser.add_argument(
        '--widths', choices=('blocks', 'all'), default='blocks'
    )
    args = parser.parse_args()
    table = Table(title=f"widths='{args.widths}'")
    for title in ('backbone', *Findings.__annotations__, ''):
        table.add_column(title)
    for name, stock in STOCK.items():
        if args.names and not any(part in name for part in args.names):
            continue
        wanted = getattr(stock, args.widths)
        try:
            found = check(stock, args.widths)
        except ValueError as error:
            verdict = 'refused' if not wanted else f'WRONG: {error}'
            table.add_row(name, *[''] * len(Findings.__annotations__), verdict)
            continue
        # What is wanted has two digits.
        right = found.right and round(found.share, 2) >= wanted
        cells = [
            f'{value:.2g}' if isinstance(value, float) else str(value)
            for value in asdict(found).values()
        ]
        table.add_row(name, *cells, 'right' if right else 'WRONG')
        print(name, *cells, 'right' if right else 'WRONG', flush=True)
    Console(width=180).print(table)


if __name__ == '__main__':
    main()
