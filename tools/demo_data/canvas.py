"""The canvas on which images and their labels are painted."""

import cv2
import numpy as np


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

    def colour(self, base: tuple[int, int, int], spread: int = 25):
        """Return a random BGR colour around ``base``."""
        drawn = np.array(base) + self.rng.integers(-spread, spread + 1, 3)
        return tuple(int(v) for v in drawn.clip(0, 255))

    def polygon(self, points, colour, label: int) -> None:
        """Fill a polygon of (x, y) points."""
        points = np.array(points, np.int32)
        cv2.fillPoly(self.image, [points], colour)
        cv2.fillPoly(self.label, [points], label)

    def box(self, x0, y0, x1, y1, colour, label: int) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, label)

    def disc(self, x, y, radius, colour, label: int) -> None:
        """Fill a circle."""
        centre, radius = (int(x), int(y)), max(1, int(radius))
        cv2.circle(self.image, centre, radius, colour, -1)
        cv2.circle(self.label, centre, radius, label, -1)

    def photograph(self) -> np.ndarray:
        """Return the image with random light, blur and noise.

        So colour alone does not tell a class.
        """
        rng = self.rng
        image = self.image.astype(np.float32)
        image *= rng.uniform(0.6, 1.2)
        image *= rng.uniform(0.9, 1.1, 3)
        image = cv2.GaussianBlur(image, (3, 3), 0)
        image += rng.normal(0, 8, image.shape)
        return image.clip(0, 255).astype(np.uint8)
