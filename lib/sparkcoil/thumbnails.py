"""Thumbnails of some of a run's images, for its report where they are asked for: nothing else there holds what rows hold."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkcoil import cells, files, source
from sparkcoil.config import RunConfig
from sparkcoil.errors import ConfigError, RowError
from sparkcoil.images import IMAGE, MAX_PIXELS, Picture
from sparkcoil.rows import INPUTS, quoted
from sparkcoil.tasks import Row

SIDE = 128
# What a caption says of a prediction, where it has that.
SAID = ("label", "score", "text", "answer")
MOST_WORDS = 60


@dataclass(frozen=True)
class Thumbnail:
    """An image of at most 128 pixels a side as a PNG in base64, and what was said of it."""

    png: str
    caption: str


def check(config: RunConfig, task_name: str) -> None:
    """Pass if rows of a run have images; raises ConfigError."""
    if IMAGE.name not in config.source.columns:
        raise ConfigError(config.name, [f"thumbnails: task {task_name} is given no image by source.columns"])


def taken(spark: SparkSession, config: RunConfig, scored: DataFrame, count: int) -> list[Thumbnail]:
    """Return thumbnails of so many of the rows that were scored, the same ones each time, of those whose image is still there."""
    pinned, keys = source.pin(spark, config.source), config.source.keys
    written = config.source.columns[IMAGE.name]
    column = source.column_of(pinned.frame, written)
    kind = pinned.frame.select(column.alias("image")).schema["image"].dataType
    chosen = scored.where("status = 'ok'").orderBy("input_hash").limit(count).select(*quoted(keys), "prediction", "input_hash")
    images = pinned.frame.select(*quoted(keys), F.struct(files.as_sent(column, kind).alias(IMAGE.name)).alias(INPUTS))
    roots = files.declared_roots(config.source)
    joined = files.with_contents(images.join(F.broadcast(chosen), list(keys)), INPUTS, roots)
    found = joined.dropDuplicates([*keys]).orderBy("input_hash").collect()
    return list(made((row.asDict(recursive=True) for row in found), roots))


def made(rows: Iterator[Row], roots: tuple[str, ...]) -> Iterator[Thumbnail]:
    """Yield the thumbnail of each row whose image can be decoded now."""
    for row in rows:
        try:
            picture = Picture(cells.source_of(row[INPUTS][IMAGE.name], roots, IMAGE), MAX_PIXELS)
            yield Thumbnail(small(picture), caption(row["prediction"]))
        except RowError:
            continue


def small(picture: Picture) -> str:
    """Return an image made small, as a PNG in base64."""
    from PIL import Image

    from sparkcoil import png

    image = Image.fromarray(picture.pixels().values)
    image.thumbnail((SIDE, SIDE))
    return base64.b64encode(png.written(np.asarray(image))).decode()


def caption(prediction: Mapping[str, Any]) -> str:
    """Return in a few words what was said of an image."""
    said = [prediction[name] for name in SAID if prediction.get(name) is not None]
    words = [f"{each:.2f}" if isinstance(each, float) else str(each)[:MOST_WORDS] for each in said]
    return " ".join(words) or ", ".join(counted(prediction))


def counted(prediction: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many entries each list of a prediction has, such as the objects seen in an image."""
    for name, value in prediction.items():
        if isinstance(value, list):
            yield f"{len(value)} {name.removesuffix('s') if len(value) == 1 else name}"
