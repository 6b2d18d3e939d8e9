"""The canvas on which images and their labels are painted."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

Colour = tuple[int, int, int]  # blue, green, red


class Canvas:
    """An image and its label map, painted together; both begin as 0.

    Args:
        height, width: Size in pixels.
        rng: Random generator for everything that varies.
    """

    def __init__(
        self, height: int, width: int, rng: np.random.Generator
    ) -> None:
        self.height, self.width, self.rng = height, width, rng
        self.image = np.zeros((height, width, 3), np.uint8)
        self.label = np.zeros((height, width), np.uint8)

    def colour(self, base: Colour, spread: int = 25) -> Colour:
        """Return a random colour around ``base``."""
        drawn = np.array(base) + self.rng.integers(-spread, spread + 1, 3)
        blue, green, red = drawn.clip(0, 255).tolist()
        return blue, green, red

    def polygon(self, points: ArrayLike, colour: Colour, label: int) -> None:
        """Fill a polygon of (x, y) points."""
        corners = np.array(points, np.int32)
        cv2.fillPoly(self.image, [corners], colour)
        cv2.fillPoly(self.label, [corners], (label,))

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        colour: Colour,
        label: int,
    ) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, label)

    def disc(
        self, x: float, y: float, radius: float, colour: Colour, label: int
    ) -> None:
        """Fill a circle."""
        centre, pixels = (int(x), int(y)), max(1, int(radius))
        cv2.circle(self.image, centre, pixels, colour, -1)
        cv2.circle(self.label, centre, pixels, (label,), -1)

    def photograph(self) -> np.ndarray:
        """Return the image with random light, blur and noise.

        With them, colour alone does not tell a class.
        """
        rng = self.rng
        image = self.image.astype(np.float32)
        image *= rng.uniform(0.6, 1.2)
        image *= rng.uniform(0.9, 1.1, 3)
        cv2.GaussianBlur(image, (3, 3), 0, dst=image)
        image += rng.normal(0, 8, image.shape)
        return image.clip(0, 255).astype(np.uint8)
