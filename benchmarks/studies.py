"""Networks to compare at equal milliseconds, their data and figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

CAMVID, PEERS = Path('configs/mmseg/camvid'), Path('benchmarks/camvid')
PEOPLE = Path('benchmarks/people')
SHORT = '_1xb8-1200_camvid-192x256.py'
LITE0 = CAMVID / f'lite0-searched{SHORT}'
LITE0_PRUNED = PEERS / f'lite0-torch-pruning{SHORT}'
DDRNET = CAMVID / f'ddrnet-23-slim{SHORT}'
DDRNET_SEARCHED = PEERS / f'ddrnet-searched{SHORT}'
POSE = '_1xb16-24e_people-192x144.py'
BOXES = '_1xb8-6e_people-192x256.py'


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        key: Name of its folder.
        text: What it is.
        config: Config of its runs.
        share: Share of the reference's milliseconds that a search has to
            meet.
        kept: Share of the multiply-adds that Torch-Pruning leaves.
        within: Share of the reference's milliseconds that FastNAS is given.
        bold: Columns that stand out.
        options: Values in place of the config's.
    """

    key: str
    text: str
    config: Path
    share: float | None = None
    kept: float | None = None
    within: float | None = None
    bold: str = ''
    options: Mapping[str, Any] = {}


class Study(NamedTuple):
    """A table.

    Attributes:
        reference: Config of the network whose milliseconds are 1.
        shape: Shape of an image.
        metric: Name of the figure in the log.
        column: Its name in the table, where it is in percent.
        scale: What the log's figure is multiplied by.
        end: Last iteration, or epoch, of a run.
        rows: The rows.
    """

    reference: Path
    shape: tuple[int, int, int]
    metric: str
    column: str
    scale: float
    end: int
    rows: tuple[Row, ...]


def searched(
    key: str, text: str, config: Path, *shares: float, bold: str = ''
) -> tuple[Row, ...]:
    """Return the rows of searches to shares of the reference's ms."""
    return tuple(
        Row(
            f'{key}-{share:.0%}',
            f'{text}, searched to {100 * share:.0f} %',
            config,
            share,
            bold=bold,
        )
        for share in shares
    )


def narrow_rtmpose(key: str, text: str, sixteenths: int) -> Row:
    """Return the row of an RTMPose of another width; RTMPose-s has 8/16."""
    width = sixteenths / 16
    return Row(
        key,
        f'RTMPose, uniformly {text}',
        PEOPLE / f'rtmpose-s{POSE}',
        options={
            'model.backbone.widen_factor': width,
            'model.head.in_channels': int(1024 * width),
        },
    )


def narrow_rtmdet(key: str, text: str, channels: int) -> Row:
    """Return the row of an RTMDet of other channels; RTMDet-tiny has 96."""
    return Row(
        key,
        f'RTMDet, uniformly {text}',
        PEOPLE / f'rtmdet-tiny{BOXES}',
        options={
            'model.backbone.widen_factor': channels / 256,
            'model.neck.in_channels': [channels, 2 * channels, 4 * channels],
            'model.neck.out_channels': channels,
            'model.bbox_head.in_channels': channels,
            'model.bbox_head.feat_channels': channels,
        },
    )


WHOLE_DDRNET = Row('ddrnet', 'DDRNet-23-slim', DDRNET)
HALF_DDRNET = Row(
    'ddrnet-w16',
    'DDRNet-23-slim, half as wide',
    CAMVID / f'ddrnet-23-slim-w16{SHORT}',
)
STUDIES = {
    'camvid': Study(
        DDRNET,
        (3, 192, 256),
        'mIoU',
        'mIoU',
        1,
        1200,
        (
            Row(
                'lite0',
                'EfficientNet-Lite0, pretrained',
                CAMVID / f'lite0{SHORT}',
            ),
            *searched(
                'lite0',
                'EfficientNet-Lite0, pretrained',
                LITE0,
                0.5,
                0.25,
                0.12,
                bold='network ms mIoU',
            ),
            *searched(
                'lite0-all',
                "EfficientNet-Lite0, pretrained, `widths='all'`",
                PEERS / f'lite0-searched-all{SHORT}',
                0.25,
                bold='network ms mIoU',
            ),
            Row(
                'lite0-torch-pruning-25%',
                'EfficientNet-Lite0, pretrained, Torch-Pruning to 25 % of '
                'the multiply-adds',
                LITE0_PRUNED,
                kept=0.25,
            ),
            Row(
                'lite0-torch-pruning-15%',
                'EfficientNet-Lite0, pretrained, Torch-Pruning to 15 %',
                LITE0_PRUNED,
                kept=0.15,
            ),
            Row(
                'lite0-fastnas-25%',
                'EfficientNet-Lite0, pretrained, FastNAS to 25 %',
                PEERS / f'lite0-fastnas{SHORT}',
                within=0.25,
            ),
            *searched('supernet', 'supernet', CAMVID / f'hrnas{SHORT}', 0.25),
            WHOLE_DDRNET,
            *searched('ddrnet', 'DDRNet-23-slim', DDRNET_SEARCHED, 0.25),
            HALF_DDRNET,
            Row(
                'ddrnet-torch-pruning-25%',
                'DDRNet-23-slim, Torch-Pruning to 25 % of the multiply-adds',
                PEERS / f'ddrnet-torch-pruning{SHORT}',
                kept=0.25,
            ),
        ),
    ),
    # With one channel of each unit, DDRNet takes a fifth of its time: 12 % is
    # out of reach.
    'ddrnet': Study(
        DDRNET,
        (3, 192, 256),
        'mIoU',
        'mIoU',
        1,
        1200,
        (
            WHOLE_DDRNET,
            *searched('ddrnet', 'DDRNet-23-slim', DDRNET_SEARCHED, 0.5, 0.25),
            HALF_DDRNET,
            Row(
                'ddrnet-w10',
                'DDRNet-23-slim, 10 channels in place of 32',
                CAMVID / f'ddrnet-23-slim-w10{SHORT}',
            ),
        ),
    ),
    'keypoints': Study(
        PEOPLE / f'rtmpose-s{POSE}',
        (3, 192, 144),
        'coco/AP',
        'AP',
        100,
        24,
        (
            Row('rtmpose', 'RTMPose-s', PEOPLE / f'rtmpose-s{POSE}'),
            *searched(
                'rtmpose',
                'RTMPose-s',
                PEOPLE / f'rtmpose-s-searched{POSE}',
                0.5,
                0.25,
                bold='network ms AP',
            ),
            narrow_rtmpose('rtmpose-5', 'narrower, 5/8', 5),
            narrow_rtmpose('rtmpose-3', 'narrower, 3/8', 3),
        ),
    ),
    'boxes': Study(
        PEOPLE / f'rtmdet-tiny{BOXES}',
        (3, 192, 256),
        'coco/bbox_mAP',
        'AP',
        100,
        6,
        (
            Row('rtmdet', 'RTMDet-tiny', PEOPLE / f'rtmdet-tiny{BOXES}'),
            *searched(
                'rtmdet',
                'RTMDet-tiny with a narrower head',
                PEOPLE / f'rtmdet-tiny-searched{BOXES}',
                0.5,
                0.25,
                bold='network ms AP',
            ),
            narrow_rtmdet('rtmdet-64', 'narrower, 64 channels', 64),
            narrow_rtmdet('rtmdet-48', 'narrower, 48 channels', 48),
        ),
    ),
}
