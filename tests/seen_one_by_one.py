"""Images that the contract's cases score, and what the native pipeline says of each by itself."""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny_encoders
import tiny_vision
import transformers
from one_by_one import ranking
from PIL import Image

Rows = Sequence[Mapping[str, Any]]
Found = Sequence[Mapping[str, Any]]
COUNT = 33
ASKED = ("a cat", "rain", "blue ball", "science")
QUESTIONS = ("what is it?", "where is the socket", "12", "what")
MODES = ("RGB", "L", "RGBA", "P", "1", "LA")


def drawings() -> list[dict[str, Any]]:
    """Return images of many sizes and modes."""
    drawn = (tiny_vision.drawn(20 + 13 * i % 90, 20 + 29 * i % 120, i) for i in range(COUNT))
    return [{"image": tiny_vision.png(image.convert(MODES[i % len(MODES)]))} for i, image in enumerate(drawn)]


def labelled() -> list[dict[str, Any]]:
    """Return images that have labels of their own, one or several."""
    return [{**row, "candidate_labels": list(ASKED[: 1 + i % len(ASKED)])} for i, row in enumerate(drawings())]


def questions() -> list[dict[str, Any]]:
    """Return images with a question each."""
    return [{**row, "question": QUESTIONS[i % len(QUESTIONS)]} for i, row in enumerate(drawings())]


def picture(text: str) -> bytes:
    """Return an image of a size and colours that a text chooses."""
    seed = zlib.crc32(text.encode())
    return tiny_vision.png(tiny_vision.drawn(16 + seed % 50, 16 + seed % 70, seed))


def opened(row: Mapping[str, Any]) -> Image.Image:
    """Return the image of a row."""
    return Image.open(io.BytesIO(row["image"]))


def each_by(task: str, artifact: Path, rows: Rows, **given: Any) -> list[Any]:
    """Return what the native pipeline gives for each image."""
    pipe = tiny_encoders.pipeline(task, artifact)
    return [pipe(opened(row), **given) for row in rows]


def image_labels(artifact: Path, rows: Rows) -> Found:
    """Return every label of each image with its score."""
    return list(map(ranking, each_by("image-classification", artifact, rows, top_k=None)))


def zero_shot_images(artifact: Path, rows: Rows) -> Found:
    """Return every label of a row with its score."""
    classify = tiny_encoders.pipeline("zero-shot-image-classification", artifact)
    return [ranking(classify(opened(row), candidate_labels=list(row["candidate_labels"]))) for row in rows]


def objects(artifact: Path, rows: Rows, threshold: float) -> Found:
    """Return the objects in each image."""
    return [{"objects": found} for found in each_by("object-detection", artifact, rows, threshold=threshold)]


def sought_objects(artifact: Path, rows: Rows) -> Found:
    """Return the objects in each image that its labels ask for."""
    detect = tiny_encoders.pipeline("zero-shot-object-detection", artifact)
    return [{"objects": detect(opened(row), candidate_labels=list(row["candidate_labels"]))} for row in rows]


def segments(artifact: Path, rows: Rows, **given: Any) -> Found:
    """Return the labels and scores of the segments of each image."""
    found = each_by("image-segmentation", artifact, rows, **given)
    return [{"segments": [{name: each[name] for name in ("label", "score")} for each in some]} for some in found]


def masks(artifact: Path, rows: Rows, **given: Any) -> Found:
    """Return the scores of the masks of each image."""
    found = each_by("mask-generation", artifact, rows, **given)
    return [{"segments": [{"label": None, "score": score} for score in each["scores"].tolist()]} for each in found]


def depths(artifact: Path, rows: Rows) -> Found:
    """Return how near and how far the depths of each image reach."""
    found = [each["predicted_depth"].numpy() for each in each_by("depth-estimation", artifact, rows)]
    return [{"min": float(each.min()), "max": float(each.max())} for each in found]


def image_embeddings(artifact: Path, rows: Rows) -> Found:
    """Return what is pooled of each image."""
    return [{"embedding": np.ravel(each)} for each in each_by("image-feature-extraction", artifact, rows, pool=True)]


def captions(artifact: Path, rows: Rows, **settings: Any) -> Found:
    """Return what a model with an encoder and a decoder writes about each image."""
    folder = artifact / "model"
    processor: Any = transformers.AutoImageProcessor.from_pretrained(folder)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()
    seen = [processor(images=opened(row).convert("RGB"), return_tensors="pt") for row in rows]
    return [{"text": tokenizer.decode(model.generate(**each, **settings)[0], skip_special_tokens=True)} for each in seen]


def document_answers(artifact: Path, rows: Rows, limit: int) -> Found:
    """Return the answer to each question about an image."""
    folder = artifact / "model"
    model: Any = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    model.generation_config.max_new_tokens = limit  # the pipeline passes nothing of the kind on
    parts: dict[str, Any] = {
        "tokenizer": transformers.AutoTokenizer.from_pretrained(folder),
        "image_processor": transformers.AutoImageProcessor.from_pretrained(folder),
    }
    answer: Any = transformers.pipeline("document-question-answering", model=model, device="cpu", **parts)
    return [{"answer": answer(image=opened(row), question=row["question"])[0]["answer"]} for row in rows]
