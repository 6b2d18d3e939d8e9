"""Boxes around the cars, pedestrians and bicyclists of CamVid.

    python benchmarks/camvid_boxes.py data/camvid data/camvid_boxes

A box is that of an area of one class that hangs together in a label map, so
that what stands in front of each other has one box. Small areas have none.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

CLASSES = {8: 'car', 9: 'pedestrian', 10: 'bicyclist'}
LEAST_AREA, LEAST_WIDTH, LEAST_HEIGHT = 150, 8, 12  # pixels, of 480x360


def areas(labels: np.ndarray, value: int) -> Iterator[tuple[int, ...]]:
    """Yield (x, y, width, height, area) of the areas of one class."""
    _, _, found, _ = cv2.connectedComponentsWithStats(
        (labels == value).astype(np.uint8), connectivity=8
    )
    for x, y, width, height, area in found[1:].tolist():
        if (
            area >= LEAST_AREA
            and width >= LEAST_WIDTH
            and height >= LEAST_HEIGHT
        ):
            yield x, y, width, height, area


def write_split(camvid: Path, out: Path, split: str) -> None:
    """Write a split in COCO's format, with links to its images."""
    images: list[dict] = []
    boxes: list[dict] = []
    (out / split).mkdir(parents=True, exist_ok=True)
    for image in sorted((camvid / 'img_dir' / split).iterdir()):
        file = camvid / 'ann_dir' / split / f'{image.stem}.png'
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        link = out / split / image.name
        if not link.exists():
            link.symlink_to(image.resolve())
        height, width = labels.shape[:2]
        images.append(
            dict(
                id=len(images) + 1,
                file_name=image.name,
                height=height,
                width=width,
            )
        )
        for value in CLASSES:
            for *box, area in areas(labels, value):
                boxes.append(
                    dict(
                        id=len(boxes) + 1,
                        image_id=len(images),
                        category_id=value,
                        bbox=box,
                        area=area,
                        iscrowd=0,
                    )
                )
    categories = [dict(id=i, name=name) for i, name in CLASSES.items()]
    content = dict(images=images, annotations=boxes, categories=categories)
    (out / 'annotations').mkdir(exist_ok=True)
    (out / f'annotations/{split}.json').write_text(json.dumps(content))
    print(f'{split}: {len(boxes)} boxes on {len(images)} images')


def main() -> None:
    """Write the training and the validation split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('camvid', type=Path)
    parser.add_argument('out', type=Path)
    args = parser.parse_args()
    for split in ('train', 'val'):
        write_split(args.camvid, args.out, split)


if __name__ == '__main__':
    main()
