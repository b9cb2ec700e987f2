"""image-text-to-text: an image gets a text, by itself as a caption, or as the answer to a question or the end of a prompt."""

from dataclasses import replace

from pydantic import Field

from sparkcoil import generation, images
from sparkcoil.generation import CausalOptions, Request
from sparkcoil.images import Picture
from sparkcoil.prompts import PROMPT, fields, pieces, rendered
from sparkcoil.tasks import Input, Row, Task

TEXT = "text"


class ImageTextToTextOptions(images.SeeingOptions, CausalOptions):
    """How a text is written about an image, and what stands around the row's own."""

    prompt_template: str | None = Field(
        default=None,
        description="text with `{prompt}` where the row's text goes, and `{name}` where a column or an input of that name does, or a "
        "question of all images; with the model's own token for an image in it, it takes the place of a chat template",
    )
    max_input_length: int | None = Field(
        default=None, ge=1, description="tokens kept of the text; by default all that the model has room for beside the image"
    )

    def fit(self, task: Task) -> Task:
        """Return the task with an input for each column of the template; an image is always needed, a text where the template has it."""
        fitted = super().fit(task)
        needed = {"image": True, TEXT: PROMPT in fields(self.prompt_template)}
        inputs = [replace(each, required=needed.get(each.name, each.required)) for each in fitted.inputs]
        return replace(fitted, inputs=tuple(inputs))


def read(row: Row, options: ImageTextToTextOptions) -> tuple[tuple[Picture, Request], tuple[str, ...]]:
    """Return the row's image with its text in the template, with a warning for a blank text; without a text there is nothing in it."""
    own = generation.options_for(row, options)
    picture, _ = images.read(row, options)
    text, warnings = asked(row, own)
    return (picture, Request(text, own)), warnings


def asked(row: Row, options: ImageTextToTextOptions) -> tuple[str, tuple[str, ...]]:
    """Return what a row asks of its image, and a warning where that is blank."""
    template = options.prompt_template
    if template is not None and not fields(template):
        return "".join(pieces(template)), ()
    return rendered(template, row, TEXT) if template is not None or TEXT in row else ("", ())


TASK = Task(
    name="image-text-to-text",
    inputs=(*images.INPUTS, Input(TEXT, ("string",), required=False), *generation.ROW_OPTIONS),
    prediction=generation.PREDICTION,
    options=ImageTextToTextOptions,
    engine="vision_language",
    heads=("ForConditionalGeneration", "VisionEncoderDecoderModel", "BlipForQuestionAnswering"),
    parts=("image_processor", "tokenizer"),
    read=read,
    write=generation.write,
)
