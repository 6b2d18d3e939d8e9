"""Draw the tables of README.md and docs/results.md from docs/results/*.csv.

A table stands between ``<!-- results/NAME.csv -->`` and ``<!-- end -->``.
"""

import argparse
import csv
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ('README.md', 'docs/results.md')
BLOCK = re.compile(r'(<!-- results/(\w+)\.csv -->\n).*?(<!-- end -->)', re.S)
MACS, PARAMS = '{multiply_adds_M} M', '{parameters_M} M'
# The columns of each table; {name} is a column of the file, see shown().
TABLES = {
    'camvid_ms': {
        'CamVid at 192x256': '{network}',
        'ms': '{ms}',
        "of DDRNet's": '{ratio}',
        'multiply-adds': MACS,
        'seeds': '{seeds}',
        'mIoU': '{mIoU}',
    },
    **{
        f'{name}_ms': {
            f'generated people, {name}, from scratch': '{network}',
            'ms': '{ms}',
            'of the whole': '{ratio}',
            'multiply-adds': MACS,
            'seeds': '{seeds}',
            'AP': '{AP}',
        }
        for name in ('keypoints', 'boxes')
    },
    'integers': {
        'CamVid at 192x256': '{network}',
        'mIoU of the checkpoint': '{checkpoint}',
        'of the file': '{onnx}',
        'in int8': '{int8}',
        'ms in float': '{ms}',
        'in int8 ': '{int8_ms}',
        'ratio': '{ratio}',
    },
    'integer_convolutions': {
        'channels': '{convolution}',
        **{str(n): f'{{of_{n}}}' for n in (16, 32, 48, 64, 96, 128)},
    },
    'pretrained': {
        'EfficientNet-Lite0 from ImageNet, CamVid at 192x256': '{network}',
        'multiply-adds': '{multiply_adds_G} G',
        'parameters': PARAMS,
        'seeds': '{seeds}',
        'mIoU': '{mIoU}',
    },
    'uniform': {
        'share of the supernet, network': '{share_percent} %, {network}',
        'multiply-adds': MACS,
        'parameters': PARAMS,
        'mIoU': '{mIoU}',
        'ms': '{ms}',
    },
    'stock': {
        'network': '{network}',
        'multiply-adds': MACS,
        'parameters': PARAMS,
        'mIoU after 300': '{mIoU_300}',
        '600': '{mIoU_600}',
        '900': '{mIoU_900}',
        '1200 iterations': '{mIoU_1200}',
    },
    'stock_searched': {
        'CamVid at 192x256, from scratch': '{network}',
        'multiply-adds': '{multiply_adds_M} M',
        'seeds': '{seeds}',
        'mIoU': '{mIoU}',
    },
    'milliseconds': {
        'network': '{network}',
        'multiply-adds': MACS,
        'parameters': PARAMS,
        'ms in onnxruntime, 1 thread': '{ms_1_thread}',
        '2 threads': '{ms_2_threads}',
    },
    'latency_target': {
        'target': "{target_percent} % of the supernet's ms, {target_ms}",
        'predicted ms': '{predicted_ms}',
        'measured ms': '{measured_ms_1}, {measured_ms_2}, {measured_ms_3}',
        'multiply-adds': MACS,
        'tokens': '{tokens}',
        'mIoU': '{mIoU}',
    },
    'latency_target_later': {
        'target': "{target_percent} % of the supernet's ms, {target_ms}",
        'recipe': '{recipe}',
        'seed': '{seed}',
        'predicted ms': '{predicted_ms}',
        'measured ms': '{measured_ms}',
        'the same, by the reference': '{measured_ms_by_reference}',
        'multiply-adds': MACS,
        'tokens': '{tokens}',
        'mIoU': '{mIoU}',
    },
    'learning_rate': {
        'learning rate': '{learning_rate}',
        'seed 0': '{mIoU_seed_0}',
        'seed 1': '{mIoU_seed_1}',
    },
    'equal_milliseconds': {
        'network': '{network}',
        'seeds': '{seeds}',
        'ms': '{ms}',
        'multiply-adds': MACS,
        'mIoU': '{mIoU}',
    },
    'stock_prediction': {
        'stock network': '{network}',
        'threads': '{threads}',
        'median error': '{median_error_percent} %',
        'worst': '{worst_error_percent} %',
        "Kendall's tau": '{kendall_tau}',
    },
    'table_prediction': {
        'runtime': '{runtime}',
        'median error': '{median_error_percent} %',
        'worst': '{worst_error_percent} %',
        "Kendall's tau": '{kendall_tau}',
    },
}


def shown(row: Mapping[str, str], name: str) -> str:
    """Return a value as text: with its deviation, or as a range or a list.

    Args:
        row: Row of a file.
        name: Column, or what comes before ``_deviation``, ``_min`` and
            ``_max``, or ``_seed_0`` and ``_seed_1`` in the names of columns.
    """
    for form in (
        '{} ± {_deviation}',
        '{_min} to {_max}',
        '{_seed_0}, {_seed_1}',
        '{}',
    ):
        ends = re.findall(r'{(\w*)}', form)
        values = [row.get(name + end, '') for end in ends]
        if all(values):
            return re.sub(r'{\w*}', '{}', form).format(*values)
    return ''


def cell(row: Mapping[str, str], form: str) -> str:
    """Return a cell of a table, '-' if the row has no value for it.

    It is bold if the row's column ``bold`` has the name of one of its values.
    """
    values = {name: shown(row, name) for name in re.findall(r'{(\w+)}', form)}
    if not all(values.values()):
        return '-'
    text = form.format_map(values)
    bold = values.keys() & row.get('bold', '').split()
    return f'**{text}**' if bold else text


def table(name: str, folder: Path) -> str:
    """Return the Markdown of a table."""
    columns = TABLES[name]
    with (folder / f'{name}.csv').open(newline='') as file:
        rows = [
            [cell(row, form) for form in columns.values()]
            for row in csv.DictReader(file)
        ]
    head, *body = (f'| {" | ".join(line)} |' for line in (columns, *rows))
    return '\n'.join([head, '|' + '---|' * len(columns), *body])


def drawn(text: str, folder: Path = ROOT / 'docs/results') -> str:
    """Return a page with all its tables drawn anew."""
    return BLOCK.sub(lambda b: f'{b[1]}{table(b[2], folder)}\n{b[3]}', text)


def main() -> None:
    """Draw the tables, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--check',
        action='store_true',
        help='change nothing; exit with 1 if a page would change',
    )
    args = parser.parse_args()
    for page in PAGES:
        path = ROOT / page
        text = path.read_text()
        new = drawn(text)
        if text != new and args.check:
            print(f'{page} differs: run python benchmarks/draw_results.py')
            raise SystemExit(1)
        path.write_text(new)


if __name__ == '__main__':
    main()
