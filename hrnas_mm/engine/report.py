"""What a search says while it runs: a log line, curves, and a history."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmengine.dist import master_only
from mmengine.runner import Runner

from ..compat import plain
from ..search import CostModel, architecture_of, count_params
from ..search.record import write_record
from ..visualization.style import by_kind, label_of
from .checkpoints import failing_clearly
from .surgery import bare_model

if TYPE_CHECKING:
    from .plan import Search

HISTORY = 'search_history'
EVALUATIONS = 'search_evaluations'
RUNGS = 'search_rungs'


def report(
    runner: Runner, search: 'Search', before: Mapping[str, int]
) -> None:
    """Log the network's size, and what it has lost.

    The history goes into the message hub, and with it into checkpoints.

    Args:
        before: The architecture before the last shrink.
    """
    cost_model = search.cost_model
    architecture = architecture_of(bare_model(runner))
    kinds = by_kind(architecture)
    facts = dict(
        macs=cost_model.total(architecture),
        params=count_params(bare_model(runner)),
        rho=search.controller.rho,
        **kinds,
    )
    runner.visualizer.add_scalars(
        {f'search/{key}': value for key, value in facts.items()},
        step=runner.iter,
    )
    counts = [architecture[name] for name in cost_model.supernet]
    append(runner, HISTORY, dict(iter=runner.iter, **facts, counts=counts))
    record(runner, search)
    runner.logger.info(_line(facts, kinds, by_kind(before), cost_model))


def _line(
    facts: Mapping[str, float],
    kinds: Mapping[str, int],
    before: Mapping[str, int],
    cost_model: CostModel,
) -> str:
    share = facts['macs'] / cost_model.total(cost_model.supernet)
    removed = Counter(before) - Counter(kinds)
    counts = ', '.join(
        f'{label_of(kind)} {count}'
        + (f' (-{removed[kind]})' if removed[kind] else '')
        for kind, count in kinds.items()
    )
    return (
        f'Search: {facts["macs"] / 1e9:.4f} G multiply-adds '
        f'({share:.1%} of the supernet), {facts["params"] / 1e6:.3f} M '
        f'parameters; {counts}; removed {sum(removed.values())}; '
        f'rho {facts["rho"]:.3g}'
    )


def record_evaluation(
    runner: Runner, search: 'Search', metrics: Mapping
) -> None:
    """Remember a metric together with what the network costs."""
    macs = search.cost_model.total(architecture_of(bare_model(runner)))
    facts = dict(iter=runner.iter, macs=macs, metrics=plain(dict(metrics)))
    append(runner, EVALUATIONS, facts)
    record(runner, search)


@master_only
def record(runner: Runner, search: 'Search', **more: Any) -> None:
    """Write ``work_dir/search.json``, from which pictures are drawn.

    Args:
        more: To be in it, at the end of the run.
    """
    cost_model, budget = search.cost_model, search.budget
    info = runner.message_hub.runtime_info
    content = dict(
        supernet=cost_model.supernet,
        input_shape=cost_model.input_shape,
        macs=cost_model.total(cost_model.supernet),
        params=cost_model.total(cost_model.supernet, 'params'),
        target=budget and asdict(budget),
        begin=search.schedule.begin,
        end=search.schedule.end,
        max_iters=runner.max_iters,
        history=info.get(HISTORY, []),
        evaluations=_with_numbers(info.get(EVALUATIONS, [])),
        rungs=_with_numbers(info.get(RUNGS, [])),
        **more,
    )
    with failing_clearly(runner.work_dir, runner):
        write_record(runner.work_dir, content)


def _with_numbers(entries: list[dict]) -> list[dict]:
    return [
        dict(entry, metrics=numbers(entry['metrics'])) for entry in entries
    ]


def numbers(metrics: Mapping) -> dict[str, float]:
    """What of an evaluation is a number; some are tensors or texts."""
    return {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float))
    }


def append(runner: Runner, key: str, facts: dict) -> None:
    """Add facts to a list in the message hub, and so in checkpoints."""
    hub = runner.message_hub
    hub.update_info(key, [*hub.runtime_info.get(key, []), facts])
