"""Tasks and models of transformers that are refused by name: why, and what comes nearest. Knows nothing of Spark, MLflow or torch."""

from collections.abc import Iterable, Mapping

from sparkcoil.errors import did_you_mean

# Each task's reason, and the task that comes nearest.
TASKS: Mapping[str, tuple[str, str]] = {
    "any-to-any": ("what it takes and gives is of any kind, and a prediction here has fields of fixed types", "image-text-to-text"),
    "keypoint-matching": ("it compares two images of a row, and a row has one image here", "image-feature-extraction"),
    "video-classification": ("videos are not decoded here; take frames of them as images", "image-classification"),
}
# What model classes begin with, and the reason.
MODELS: Mapping[str, str] = {
    "ImageGPT": "it reads the nearest of some colours in place of pixels",
    "LayoutLM": "it reads words and their places, which text recognition (OCR) finds in a document, and none runs here",
}


def hint(name: str, known: Iterable[str]) -> str:
    """Return why a task is refused and which comes nearest, or for a name that is none what may be meant, as the end of a sentence."""
    if name not in TASKS:
        return did_you_mean(name, known)
    reason, nearest = TASKS[name]
    return f": {reason}; the nearest task is {nearest!r}"


def reason(architecture: str) -> str:
    """Return why a class of models is refused, as the end of a sentence; nothing for one that is not in the list."""
    return next((f": {reason}" for beginning, reason in MODELS.items() if architecture.startswith(beginning)), "")
