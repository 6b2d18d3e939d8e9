"""A script that runs an exported file without torch and without hrnas_mm."""

import math
from typing import Any

from hrnas_mm.deploy import Ends
from hrnas_mm.deploy.ends import is_classifier
from hrnas_mm.runtimes.file_facts import read_facts

START = """\
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession({path!r})
facts = session.get_modelmeta().custom_metadata_map
height, width = session.get_inputs()[0].shape[2:]
image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert('RGB')
pixels = np.asarray(image.resize((width, height)), np.float32)
if facts['channel_order'] == 'bgr':
    pixels = pixels[..., ::-1]
mean, std = (np.float32(json.loads(facts[name])) for name in ('mean', 'std'))
pixels = ((pixels - mean) / std).transpose(2, 0, 1)[None]
outputs = session.run(None, {{'image': np.ascontiguousarray(pixels)}})
"""
SEGMENTOR = """\
labels = Image.fromarray({labels}.astype(np.uint8))
labels.resize(image.size, Image.NEAREST).save('labels.png')
"""
CLASSIFIER = """\
print(json.loads(facts['classes'])[{label}])
"""
OTHER = """\
for output, value in zip(session.get_outputs(), outputs):
    print(output.name, value.shape)
"""


def plain_script(path: str, model: Any, ends: Ends) -> str | None:
    """Return a script that predicts for an image by an exported file.

    It needs onnxruntime, numpy and pillow. An image is resized to the size of
    the file. A label map is saved, the name of a class printed; of all else
    the script prints the shapes.

    Args:
        path: Path of the file.
        model: Model that was exported.
        ends: What stands before and after its dense part in the file.

    Returns:
        The script, or None for a file that takes no images of 3 channels.
    """
    facts = read_facts(path)
    if 'mean' not in facts.metadata or facts.shape[0] != 3:
        return None
    best = '' if ends.last else '.argmax()'
    end, one = OTHER, len(facts.outputs) == 1 or ends.last is not None
    if one and hasattr(getattr(model, 'decode_head', None), 'out_channels'):
        end = SEGMENTOR.format(labels=_labels(model.decode_head, ends))
    elif one and is_classifier(model) and 'classes' in facts.metadata:
        end = CLASSIFIER.format(label=f'outputs[0][0]{best}')
    return START.format(path=path) + end


def _labels(head: Any, ends: Ends) -> str:
    """Return the label map of a segmentor's outputs, as code."""
    if ends.last:
        return 'outputs[0][0]'
    if head.out_channels > 1:
        return 'outputs[0][0].argmax(0)'
    logit = math.log(head.threshold / (1 - head.threshold))
    return f'(outputs[0][0, 0] > {logit:.4g})'
