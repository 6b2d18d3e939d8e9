"""Which classes are confused, as a picture and as a table."""

from matplotlib.figure import Figure

from .record import Confusion, Record
from .style import drawn
from .tables import Table

MAX_NAMES = 60  # along a side; more cannot be read
MAX_NUMBERS = 20  # classes whose shares stand in the picture
MOST = 10  # pairs in the table


def plot_confusion(confusion: Confusion) -> Figure:
    """Draw the share of each true class that is taken for each class.

    Classes that neither are there nor are predicted are left out.
    """
    shown = [
        i
        for i, row in enumerate(confusion.counts)
        if any(row) or any(other[i] for other in confusion.counts)
    ]
    shares = [
        [100 * confusion.counts[i][j] / (sum(confusion.counts[i]) or 1)
         for j in shown]
        for i in shown
    ]  # fmt: skip
    names = [drawn(confusion.classes[i]) for i in shown]
    side = min(9.0, 2.5 + 0.35 * len(shown))
    figure = Figure(figsize=(side, side), layout='constrained')
    axes = figure.subplots()
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=100)
    axes.set(xlabel='taken for', ylabel='ground truth')
    if len(shown) <= MAX_NAMES:
        ticks = range(len(shown))
        axes.set_xticks(ticks, names, rotation=90, fontsize=8)
        axes.set_yticks(ticks, names, fontsize=8)
    if len(shown) <= MAX_NUMBERS:
        for y, row in enumerate(shares):
            for x, share in enumerate(row):
                if share >= 1:
                    axes.text(
                        x, y, f'{share:.0f}', ha='center', va='center',
                        fontsize=7, color='white' if share > 50 else 'black',
                    )  # fmt: skip
    return figure


def confusions_table(record: Record) -> Table | None:
    """Return the pairs of classes that are confused most, worst first."""
    if record.confusion is None:
        return None
    names = record.confusion.classes
    pairs = sorted(
        (
            (count / sum(row), names[i], names[j])
            for i, row in enumerate(record.confusion.counts)
            for j, count in enumerate(row)
            if count and i != j
        ),
        reverse=True,
    )
    rows = [
        (truth, taken, f'{share:.1%}') for share, truth, taken in pairs[:MOST]
    ]
    columns = ('', 'taken for', 'share')
    return Table('Confused most', columns, rows) if rows else None
