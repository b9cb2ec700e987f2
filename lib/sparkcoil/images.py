"""How images arrive in rows: what all tasks that see have in common. Knows nothing of Spark, MLflow or torch.

A cell is a file in one of the forms of cells.py. `read` makes a Picture of it, whose file is opened only when it is looked at.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sparkcoil import cells, heard
from sparkcoil.cells import LocalFile, Medium
from sparkcoil.tasks import Input, Options, Row

if TYPE_CHECKING:  # a task can be looked at where nothing that decodes is installed
    from sparkcoil.raster import Pixels

INPUTS = (Input("image", ("binary", "string", "struct"), fields=("bytes", "path")),)
# Pillow's own bound: 0.25 GiB of pixels. A photo has up to some 50 million.
MAX_PIXELS = 89_478_485


def begins(head: bytes) -> bool:
    """Tell whether bytes begin as an image does."""
    from sparkcoil import raster

    return raster.begins(head)


IMAGE = Medium("image", begins)


class SeeingOptions(Options):
    """What every task that sees can be told of its images."""

    max_pixels: int = Field(default=MAX_PIXELS, gt=0, description="an image with more pixels is failed, before it is decoded")


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it arrived, which can be looked at as often as asked; nothing is open in between."""

    source: bytes | LocalFile
    max_pixels: int

    def size(self) -> tuple[int, int]:
        """Return height and width as the header says, upright, with all that can be checked before decoding; raises RowError."""
        from sparkcoil import sandbox

        with cells.opened(self.source) as file:
            return sandbox.probe_image(file, max_pixels=self.max_pixels)

    def pixels(self) -> "Pixels":
        """Return the image's pixels; raises RowError."""
        return heard.once((self.source, self.max_pixels), self._decoded)

    def _decoded(self) -> "Pixels":
        from sparkcoil import sandbox

        with cells.opened(self.source) as file:
            return sandbox.read_image(file, max_pixels=self.max_pixels)


def read(row: Row, options: Any) -> tuple[Picture, tuple[str, ...]]:
    """Return a row's image; raises RowError for a cell that is none."""
    return Picture(cells.source_of(row["image"], options.roots, IMAGE), options.max_pixels), ()
