"""Prompts with images, made ahead of their batch: an image is measured by its header, and the text beside it cut to what is left."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from PIL import Image

from sparkcoil import batching, illustrated, planning
from sparkcoil.engines import Prepared, seeing
from sparkcoil.engines.ahead import Ahead
from sparkcoil.engines.seeing import PROBED, REMEMBERED_SIZES, View
from sparkcoil.errors import RowError
from sparkcoil.generation import Request
from sparkcoil.illustrated import Illustrated, Inputs, Maker
from sparkcoil.images import Picture
from sparkcoil.planning import Decoder

# A height and a width of which a processor that sees in pieces makes many.
WIDE = (40, 400)


@dataclass(frozen=True)
class Extent:
    """How many pixels the model is given of an image, and the tokens of the prompt with hardly a text in it."""

    pixels: int
    tokens: int


class Reader(Ahead):
    """Makes prompts of images and texts ahead of their batch; `options` are those of the run, whose template holds for all rows."""

    def __init__(self, maker: Maker, decoder: Decoder, positions: int, options: Any, architecture: str) -> None:
        super().__init__(self._made, "image")
        self.maker = maker
        self.decoder = decoder
        self.positions = positions
        self.options = options
        # A BLIP writes on from all but the last token of a prompt, or from a token of its own where a prompt is a question.
        self.asks, self.dropped = architecture.endswith("ForQuestionAnswering"), int(architecture == "BlipForConditionalGeneration")
        self._probed = lru_cache(REMEMBERED_SIZES)(self._tried)
        tried = set(map(self._tried, (*PROBED, WIDE)))
        self.same = tried.pop() if len(tried) == 1 else None

    def extent(self, picture: Picture) -> Extent:
        """Return what the model will be given of an image, by its header alone; raises RowError."""
        size = seeing.size_of(picture)
        return self.same or self._probed(size)

    def _tried(self, size: tuple[int, int]) -> Extent:
        inputs = self.maker.tried(Image.new("RGB", size[::-1], "grey"), self.options)
        return Extent(illustrated.pixels(inputs), len(illustrated.tokens(inputs)))

    def fitted(self, view: View, extent: Extent) -> Prepared:
        """Return a row whose text is cut to what the model has room for; raises RowError where it may not be cut."""
        request: Request = view.asked
        if self.asks and not request.content:
            raise RowError("input", "null_input", "the model answers questions, and text is none")
        room = self.positions - planning.reserved(self.decoder, request.options, self.positions) - extent.tokens
        limit = min(room, request.options.max_input_length or room)
        own = request.options
        if self.maker.is_whole(own):  # what was cut off might be the image
            own = own.model_copy(update={"truncation": "fail"})
        text, length, is_cut = illustrated.cut(self.decoder.tokenizer, str(request.content), limit, own)
        asked = View(view.picture, replace(request, content=text))
        return Prepared(asked, extent.pixels + length, ("truncated",) if is_cut else ())

    def standing(self, inputs: Inputs) -> int:
        """Return how many tokens stand before the first new one."""
        name = "input_ids" if self.decoder.decoder_only and not self.asks else "decoder_input_ids"
        return max(1, inputs[name].shape[1] - self.dropped) if name in inputs else 1

    def _made(self, view: View) -> Illustrated:
        request: Request = view.asked
        with self.timed("decode"):
            image = Image.fromarray(view.picture.pixels().values)
        with self.timed("features"):
            try:
                inputs = self.maker.inputs(image, str(request.content), request.options)
                said = self.maker.said(image, str(request.content), request.options) if request.options.return_prompt else ""
            except RowError:
                raise
            except Exception as error:
                if batching.is_fatal(error) or batching.is_out_of_memory(error):
                    raise
                raise RowError("input", "unpreparable", f"the model's processor raised {type(error).__name__}") from None
            ids = illustrated.tokens(inputs)
            standing = self.standing(inputs)
            plan = planning.plan(self.decoder, request.options, ids, standing=standing, room=self.positions - standing)
            return Illustrated(request, said, ids, plan, inputs)
