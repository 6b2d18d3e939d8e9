"""Tables of milliseconds that nobody has measured, for any supernet."""

from hrnas_mm.latency import LatencyTable
from hrnas_mm.latency.calibration import classes_of
from hrnas_mm.latency.layers import WHOLE, layers_in
from hrnas_mm.latency.points import kinds_of, points_of
from hrnas_mm.latency.table import Calibration, Conditions, Curve
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.runtimes.devices import processor
from hrnas_mm.search import CostModel
from hrnas_mm.search.cost import REPORTED

FIXED, EACH, BLOCK, OFFSET = 0.1, 0.01, 1.0, 0.5
EXPONENT = 1.05
FACTORS = dict(MixConv=1.25, LightweightTransformer=1.5)


def ms_of(unit: str, elements: int) -> float:
    """Return what a unit takes alone; large kernels take longer."""
    kernel = int(unit[-1]) if unit[-1].isdigit() else 2
    return FIXED + EACH * kernel * elements


def table_of_formula(cost_model: CostModel, round: int = 4) -> LatencyTable:
    kinds, examples = kinds_of(cost_model)
    curves = {}
    for kind, (part, _) in examples.items():
        points: dict[str, list[int]] = {}
        form = form_of('onnxruntime', 'always', round, {})
        for point in points_of(part, form):
            points.setdefault(point.unit, []).append(point.elements)
        curves[kind] = {
            unit: Curve(tuple(counts), tuple(ms_of(unit, n) for n in counts))
            for unit, counts in points.items()
        }
        # A stock block takes BLOCK, and as much again if it is whole.
        layers = layers_in(part)
        for layer in layers:
            each = BLOCK / len(layers)
            curve = Curve((1, WHOLE), (each, 2 * each))
            curves[kind][layer.name] = curve
    factors = {**dict.fromkeys(classes_of(cost_model), 1.0), **FACTORS}
    conditions = Conditions(
        backend='onnxruntime',
        runtime='onnxruntime',
        round=round,
        device=processor(),
        version='0',
        threads=1,
        dtype='float32',
        batch=1,
        input_shape=tuple(cost_model.input_shape),
        created='2026-01-01',
    )
    return LatencyTable(
        conditions,
        dict(cost_model.supernet),
        cost_model.totals(cost_model.supernet, REPORTED),
        {name: tuple(keys) for name, keys in kinds.items()},
        curves,
        Calibration(OFFSET, factors, EXPONENT, (), 0.01, 0.02, 1.0),
        reference=1.0,
        layers=cost_model.layers,
    )
