"""What a search says while it runs: a log line, curves, and a history."""

from collections import Counter
from collections.abc import Mapping

from mmengine.runner import Runner

from ..compat import plain
from ..search import CostModel, architecture_of, count_params
from .surgery import bare_model

HISTORY = 'search_history'
EVALUATIONS = 'search_evaluations'
RUNGS = 'search_rungs'


def report(
    runner: Runner,
    cost_model: CostModel,
    before: Mapping[str, int],
    rho: float,
) -> None:
    """Log the network's size, and what it has lost.

    The history goes into the message hub, and with it into checkpoints.

    Args:
        cost_model: Of the supernet.
        before: The architecture before the last shrink.
        rho: From now on.
    """
    model = bare_model(runner)
    architecture = architecture_of(model)
    kinds = by_kind(architecture)
    facts = dict(
        macs=cost_model.total(architecture),
        params=count_params(model),
        rho=rho,
        **kinds,
    )
    runner.visualizer.add_scalars(
        {f'search/{key}': value for key, value in facts.items()},
        step=runner.iter,
    )
    append(runner, HISTORY, dict(iter=runner.iter, **facts))
    share = facts['macs'] / cost_model.total(cost_model.supernet)
    removed = Counter(by_kind(before)) - Counter(kinds)
    counts = ', '.join(
        f'{_label(kind)} {count}'
        + (f' (-{removed[kind]})' if removed[kind] else '')
        for kind, count in kinds.items()
    )
    runner.logger.info(
        f'Search: {facts["macs"] / 1e9:.4f} G multiply-adds '
        f'({share:.1%} of the supernet), {facts["params"] / 1e6:.3f} M '
        f'parameters; {counts}; removed {sum(removed.values())}; '
        f'rho {rho:.3g}'
    )


def record_evaluation(
    runner: Runner, cost_model: CostModel, metrics: Mapping
) -> None:
    """Remember a metric together with what the network costs."""
    macs = cost_model.total(architecture_of(bare_model(runner)))
    facts = dict(iter=runner.iter, macs=macs, metrics=plain(dict(metrics)))
    append(runner, EVALUATIONS, facts)


def by_kind(architecture: Mapping[str, int]) -> dict[str, int]:
    """Sum the elements per kind of unit: k3, k5, k7, tokens."""
    kinds: dict[str, int] = {}
    for name, count in architecture.items():
        kind = name.rsplit('.', 1)[-1]
        kinds[kind] = kinds.get(kind, 0) + count
    return dict(sorted(kinds.items()))


def append(runner: Runner, key: str, facts: dict) -> None:
    """Add facts to a list in the message hub, and so in checkpoints."""
    hub = runner.message_hub
    hub.update_info(key, [*hub.runtime_info.get(key, []), facts])


def _label(kind: str) -> str:
    return f'{kind[1:]}x{kind[1:]}' if kind[1:].isdigit() else kind
