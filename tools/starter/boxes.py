"""Boxes: annotations in the style of COCO, or of YOLO."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hrnas_mm.spelling import counted

from .coco import Annotated, annotated_in, copies, places, remarks
from .images import Sizes
from .summary import DataSummary
from .yolo import yolo_in

LAYOUT = (
    'COCO-style boxes: JSON of train and val, and the images, or YOLO: '
    'images/{train,val} and labels/{train,val}, with data.yaml'
)


def detect(root: str) -> DataSummary | None:
    """Summarise boxes of COCO or YOLO, if that is what the folder has.

    Args:
        root: Folder of the data.

    Raises:
        ValueError: If a split, an image or a class is missing.
    """
    annotated = annotated_in(root, 'category_id') or yolo_in(root)
    if not annotated:
        return None
    train, val = annotated['train'], annotated['val']
    classes = _classes(train)
    if _classes(val) != classes:
        raise ValueError(
            f'{val.file} must have the categories of {train.file} in the same '
            f'order, {classes}, got {_classes(val)}'
        )
    boxes = [box for each in annotated.values() for box in _boxes(each)]
    sizes = Sizes.over(
        (i['height'], i['width']) for i in train.content['images']
    )
    images = {s: _annotated_images(each) for s, each in annotated.items()}
    notes = [
        f'Boxes of {counted(len(classes), "class")}: '
        f'{counted(images["train"], "image")} with boxes to train on '
        f'({train.file}) and {images["val"]} to evaluate on '
        f'({val.file}), {sizes}.',
        'Height and width of the boxes, in pixels: '
        f'{Sizes.over((round(h), round(w)) for _, _, w, h in boxes)}.',
        *_oddities(train),
        *remarks(annotated),
    ]
    facts = dict(**places(annotated), classes=classes)
    return DataSummary(
        'boxes', facts, notes, images['train'], sizes, copies(annotated)
    )


def _classes(annotated: Annotated) -> list[str]:
    """Return the names of the classes, in the order of the file as mmdet."""
    return [each['name'] for each in annotated.content['categories']]


def _annotated_images(annotated: Annotated) -> int:
    return len({a['image_id'] for a in annotated.content['annotations']})


def _boxes(annotated: Annotated) -> list[list[float]]:
    """Return the boxes that mmdet learns from; there has to be one."""
    found = [annotation['bbox'] for annotation in _learned(annotated)]
    if not found:
        raise ValueError(
            f'{annotated.file} must have boxes of at least one pixel that lie '
            'in their images and are no crowds'
        )
    return found


def _learned(annotated: Annotated) -> list[dict[str, Any]]:
    """Return the annotations that mmdet learns from."""
    content = annotated.content
    images = {image['id']: image for image in content['images']}
    return [
        annotation
        for annotation in content['annotations']
        if _counts(annotation, images[annotation['image_id']])
    ]


def _counts(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    """Return whether an annotation is a box for mmdet, and not a crowd."""
    left, top, width, height = annotation['bbox']
    return (
        min(width, height) >= 1
        and annotation['area'] > 0
        and -width < left < image['width']
        and -height < top < image['height']
        and not annotation.get('ignore')
        and not annotation['iscrowd']
    )


def _oddities(annotated: Annotated) -> list[str]:
    """Return what may surprise, in sentences."""
    content = annotated.content
    number = Counter(a['category_id'] for a in _learned(annotated))
    unseen = [c['name'] for c in content['categories'] if not number[c['id']]]
    left_out = len(content['annotations']) - number.total()
    notes = []
    if unseen:
        notes.append(f'No box is of the class {", ".join(unseen)}.')
    if left_out:
        notes.append(
            f'{left_out} boxes are crowds, below a pixel or outside their '
            'image; mmdet does not learn from these.'
        )
    return notes
