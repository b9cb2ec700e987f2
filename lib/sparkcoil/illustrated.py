"""Prompts with an image: what a row's image and text are to a model that reads both, made by its own processor, a row at a time.

Knows nothing of Spark or MLflow.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from PIL import Image

from sparkcoil.errors import ModelError, RowError
from sparkcoil.generation import GenerationOptions
from sparkcoil.planning import Prompt

Inputs = Mapping[str, Any]
# What processors call the tokens that stand for an image or the like. In a row's own text they would ask for one that is not there.
STAND_INS = ("image_token", "video_token", "audio_token")


@dataclass(frozen=True, eq=False)
class Illustrated(Prompt):
    """A prompt with all that the model is given of a row, as a batch of one; `ids` are the tokens of its text and image, if any."""

    inputs: Inputs

    @property
    def shapes(self) -> Hashable:
        """What is equal for rows that can be joined into one batch without padding; None for a row that has to stand alone."""
        if not all(isinstance(each, torch.Tensor) for each in self.inputs.values()):
            return None
        return tuple((name, each.shape, each.dtype) for name, each in sorted(self.inputs.items()))


@dataclass(frozen=True)
class Beside:
    """An image processor beside a tokenizer, for models without a processor: what they write goes on from the text.

    `start` is the token that texts begin with; a Donut's begin with a token for what it is asked to do, which is in the text.
    """

    image_processor: Any
    tokenizer: Any
    start: int | None

    def __call__(self, images: Any, text: str | None, return_tensors: str) -> Inputs:
        """Return an image, and the tokens of a text as those that the model has written by then."""
        found = dict(self.image_processor(images=images, return_tensors=return_tensors))
        if text:
            ids = self.tokenizer(text, add_special_tokens=False, return_tensors=return_tensors)["input_ids"]
            found["decoder_input_ids"] = ids if self.start is None else torch.cat([torch.full_like(ids[:, :1], self.start), ids], dim=1)
        return found


@dataclass(frozen=True)
class Maker:
    """A processor, and whether a text goes into the chat template that it has."""

    processor: Any

    @property
    def token(self) -> str | None:
        """The token that stands for an image in a prompt, for processors that want one there."""
        return getattr(self.processor, "image_token", None)

    def is_whole(self, options: Any) -> bool:
        """Tell whether a run's template is all of a prompt, which has the image in it."""
        return self.token is not None and self.token in (options.prompt_template or "")

    def chats(self, options: Any) -> bool:
        """Tell whether texts go into the processor's chat template."""
        return bool(getattr(self.processor, "chat_template", None)) and not self.is_whole(options)

    def inputs(self, image: Image.Image, text: str, options: Any) -> Inputs:
        """Return what the model is given of an image and a text, which may be none; raises RowError for stand-ins in a row's text."""
        for name in STAND_INS:
            token = getattr(self.processor, name, None)
            expected = options.prompt_template.count(token) if token and self.is_whole(options) else 0
            if token and text.count(token) != expected:
                raise RowError("input", "bad_prompt", f"the text holds the model's own {name.replace('_', ' ')}")
        if self.chats(options):
            return dict(self._conversed(image, text, tokenize=True, return_dict=True, return_tensors="pt"))
        return dict(self.processor(images=image, text=text or None, return_tensors="pt"))

    def said(self, image: Image.Image, text: str, options: Any) -> str:
        """Return a prompt as it is written."""
        return str(self._conversed(image, text, tokenize=False)) if self.chats(options) else text

    def _conversed(self, image: Image.Image, text: str, **given: Any) -> Any:
        content = [{"type": "image", "image": image}, *([{"type": "text", "text": text}] if text else [])]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, **given)

    def tried(self, image: Image.Image, options: Any) -> Inputs:
        """Return what the model is given of an image and a short text; raises ModelError where a text would have no image in it."""
        text = self.token if self.token and self.is_whole(options) else "a"
        try:
            found = self.inputs(image, text, options)
        except TemplateError:
            raise ModelError("the model's chat template takes no message with an image; set `prompt_template` to what it reads") from None
        except Exception as error:
            if self.token is None or self.chats(options):
                raise
            raise ModelError(self._wants(f"raised {type(error).__name__}")) from None
        if self.token and "input_ids" in found and self.processor.tokenizer.convert_tokens_to_ids(self.token) not in found["input_ids"]:
            raise ModelError(self._wants("made none of it"))
        return found

    def _wants(self, found: str) -> str:
        return (
            f"the model's processor has no chat template, and {found} where its token for an image was not in the prompt: "
            f"set `prompt_template`, such as '{self.token}\\n{{prompt}}'"
        )


def tokens(inputs: Inputs) -> tuple[int, ...]:
    """Return the tokens of a prompt as a processor made it, none where it is an image alone."""
    ids = inputs.get("input_ids", inputs.get("decoder_input_ids"))
    return () if ids is None else tuple(int(each) for each in ids[0])


def pixels(inputs: Inputs) -> int:
    """Return how many pixels a model is given."""
    found = (each for each in inputs.values() if isinstance(each, torch.Tensor) and each.is_floating_point())
    return max(1, sum(each.numel() for each in found) // 3)


def cut(tokenizer: Any, text: str, limit: int, options: GenerationOptions) -> tuple[str, int, bool]:
    """Return a text, its tokens, and whether it was cut to as many as the limit; raises RowError where it may not be cut."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=tokenizer.is_fast, verbose=False)
    ids = found["input_ids"]
    if len(ids) <= limit:
        return text, len(ids), False
    if options.truncation == "fail" or limit < 1:
        raise RowError("input", "too_long", f"the text has {len(ids)} tokens, more than the {max(0, limit)} that the model reads")
    kept = slice(-limit, None) if options.truncation == "truncate_left" else slice(0, limit)
    if not tokenizer.is_fast:
        return str(tokenizer.decode(ids[kept])), limit, True
    spans = found["offset_mapping"][kept]
    return text[spans[0][0] : spans[-1][1]], limit, True
