"""What an exported file says of itself."""

from typing import NamedTuple

from ..deploy.int8 import QUANTIZED_FOR
from ..deploy.metadata import NORMALISES


class Facts(NamedTuple):
    """Hold what an exported file says of itself.

    Attributes:
        path: Path of the file.
        content: The file.
        batch: Number of images that it reads, 0 for any.
        shape: (C, H, W) of an image.
        outputs: Shapes of the outputs without the batch, by name; 0 where
            they are not known.
        metadata: Texts that it has beside the graph, by their names.
    """

    path: str
    content: bytes
    batch: int
    shape: tuple[int, ...]
    outputs: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    @property
    def takes_pixels(self) -> bool:
        """Return whether it normalises images itself."""
        return NORMALISES in self.metadata

    def check_runtime(self, name: str) -> None:
        """Check that the file is not in integers for another runtime.

        OpenVINO may crash on those for onnxruntime.

        Raises:
            ValueError: If it is.
        """
        own = self.metadata.get(QUANTIZED_FOR, name)
        if own != name:
            raise ValueError(
                f'{self.path} has 8-bit integers for {own}, got the backend '
                f'{name}: give --backend {own}, or export another with '
                f'--runtime {name}'
            )


def read_facts(path: str) -> Facts:
    """Read an exported file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no ONNX file that takes images.
    """
    import onnx  # optional: only deployment needs it
    from google.protobuf.message import DecodeError

    with open(path, 'rb') as file:
        content = file.read()
    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise ValueError(f'{path} must be an ONNX file: {error}') from None
    values = [*model.graph.input, *model.graph.output]
    shapes = [
        tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in values
    ]
    inputs = shapes[: len(model.graph.input)]
    if list(map(len, inputs)) != [4] or not all(inputs[0][1:]):
        raise ValueError(
            f'{path} must have one input, images of a known size (B, C, H, '
            f'W), got {inputs}'
        )
    return Facts(
        path,
        content,
        shapes[0][0],
        shapes[0][1:],
        {v.name: shape[1:] for v, shape in zip(values[1:], shapes[1:])},
        {each.key: each.value for each in model.metadata_props},
    )
