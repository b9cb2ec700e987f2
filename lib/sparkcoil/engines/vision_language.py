"""Models that write about images, such as BLIP, LLaVA, Qwen-VL, and a ViT with a GPT-2: captions, answers, texts that are continued.

Only rows whose inputs are of equal shape share a call of `model.generate`: nothing is padded, so that a row's text is the one that it
has by itself.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from sparkcoil import batching, checkpoint, planning, writing
from sparkcoil.artifact import LoggedModel
from sparkcoil.batching import Batching, Budget
from sparkcoil.decoding import seeded
from sparkcoil.engines import Placement, Prepared
from sparkcoil.engines.illustrating import Reader
from sparkcoil.engines.seeing import View
from sparkcoil.errors import RowError
from sparkcoil.generation import Generated, Request
from sparkcoil.illustrated import Beside, Illustrated, Inputs, Maker
from sparkcoil.images import Picture
from sparkcoil.planning import Decoder
from sparkcoil.steps import Ended, Ending, Watch, completed
from sparkcoil.tasks import Facts

# Pixels in one batch as the model takes them: fourteen images of 384 x 384 on a CPU, fifty-seven on a GPU.
CPU_BUDGET, GPU_BUDGET = Budget(2**21, 64), Budget(2**23, 128)
# Models whose `generate` hands over to a part of theirs, which has a generation configuration of its own.
HANDED_OVER = {"blip": "text_decoder", "blip-2": "language_model", "instructblip": "language_model"}
# What no auto class of transformers 5 loads.
BY_NAME = ("BlipForQuestionAnswering",)


class Onset(Watch):
    """Notes where new tokens begin, which each family's `generate` has its own way of, and tells the criterion by which rows end."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(len(ended.endings))
        self.ended = ended

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, those that are NaN as zero."""
        if not self.ended.start:
            share = len(input_ids) // self.rows
            before = input_ids[::share].tolist()
            self.ended.endings = [replace(each, context=tuple(ids)) for each, ids in zip(self.ended.endings, before, strict=True)]
            self.ended.start = input_ids.shape[1]
        return super().__call__(input_ids, scores)


@dataclass(kw_only=True)
class Describer:
    """A model that writes about images, with what makes its prompts; `decoder` is the part of it that writes."""

    reader: Reader
    model: Any
    decoder: Decoder
    facts: Facts
    budget: Budget
    unit: str = "kilopixels"
    per_unit: float = 1_000.0
    batching: Batching = "exact lengths"

    def prepare(self, items: Sequence[tuple[Picture, Request]]) -> list[Prepared | RowError]:
        """Return each row with its text cut, and the pixels that the image's header tells; nothing is decoded yet."""
        return self.reader.each(lambda item: self.reader.fitted(View(*item), self.reader.extent(item[0])), items)

    def expect(self, batch: Sequence[Prepared]) -> None:
        """Start to look at what a batch to come will need."""
        self.reader.expect(batch)

    def spent(self) -> Mapping[str, float]:
        """Return what looking took."""
        return self.reader.spent()

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> Sequence[Any]:
        """Return what was generated for each row; one whose image cannot be decoded fails by itself."""
        made = self.reader.taken(batch)
        prompts = [each if isinstance(each, RowError) else Prepared(each, 0) for each in made]
        return batching.spread(prompts, self.settled)

    def settled(self, batch: Sequence[Prepared]) -> list[Any]:
        """Return what is written for each prompt; one that has not the form asked for is tried again."""
        return writing.fitting(batch, self.written)

    def written(self, batch: Sequence[Prepared]) -> list[Any]:
        """Return what the model writes for each prompt."""
        prompts: list[Illustrated] = [each.features for each in batch]
        grouped: dict[Hashable, list[int]] = {}
        for i, prompt in enumerate(prompts):
            grouped.setdefault(self.key(prompt, i), []).append(i)
        found: dict[int, Any] = {}
        for group in grouped.values():
            found.update(zip(group, self.alike([prompts[i] for i in group]), strict=True))
        return [found[i] for i in range(len(prompts))]

    def key(self, prompt: Illustrated, place: int) -> Hashable:
        """Return what is equal for rows that may share a call; one that samples stands alone, so that its seed is its own."""
        plan, shapes = prompt.plan, prompt.shapes
        # Beams and a forced end depend on the limit; a greedy text does not, and is cut to its own.
        bounded = (self.decoder.default(plan, "num_beams") or 1) > 1 or self.decoder.default(plan, "forced_eos_token_id") is not None
        alone = plan.seed is not None or shapes is None
        return plan.settings, shapes, plan.ending.limit if bounded else None, place if alone else None

    def alike(self, prompts: Sequence[Illustrated]) -> list[Any]:
        """Return what the model writes for prompts that share a call."""
        endings = [each.plan.ending for each in prompts]
        settings = {**dict(prompts[0].plan.settings), "max_new_tokens": max(each.limit for each in endings)}
        if self.model.config.model_type != "blip":  # which says both itself
            settings |= {"pad_token_id": self.decoder.pad, "eos_token_id": list(self.decoder.eos) or None}
        ended = Ended(self.decoder.tokenizer, endings, 0)
        onset = self.onset(ended)
        with seeded(prompts[0].plan.seed, self.model.device):
            output = self.model.generate(
                **self.joined([each.inputs for each in prompts]),
                **settings,
                logits_processor=LogitsProcessorList([onset]),
                stopping_criteria=StoppingCriteriaList([ended]),
            )
        texts, lost, share = output[:, ended.start :].tolist(), onset.seen(), len(output) // len(prompts)
        return [
            RowError("output", "non_finite", "the model gave NaN")
            if i in lost
            else self.told(prompt, ended.endings[i], texts[i * share : (i + 1) * share], onset, i)
            for i, prompt in enumerate(prompts)
        ]

    def onset(self, ended: Ended) -> Onset:
        """Return what looks at every step."""
        return Onset(ended)

    def told(self, prompt: Illustrated, ending: Ending, sequences: Sequence[Sequence[int]], onset: Any, place: int) -> Any:
        """Return a row's texts from the new tokens of each."""
        completions = tuple(completed(self.decoder.tokenizer, ending, tokens, self.decoder.eos) for tokens in sequences)
        return Generated(prompt.request, prompt.text, len(prompt.ids), completions)

    def joined(self, rows: Sequence[Inputs]) -> Inputs:
        """Return the inputs of rows of equal shapes as a batch where the model is, in its number format."""
        if len(rows) == 1:
            return {name: self.placed(each) for name, each in rows[0].items()}
        return {name: self.placed(torch.cat([row[name] for row in rows])) for name in rows[0]}

    def placed(self, given: Any) -> Any:
        """Return an input where the model is."""
        if not isinstance(given, torch.Tensor):
            return given
        return given.to(self.model.device, self.model.dtype if given.is_floating_point() else None)


def load(artifact: Path, options: Any, placement: Placement) -> Describer:
    """Return the model of an artifact with its processor; raises ModelError where prompts would have no image in them."""
    architecture = LoggedModel(str(artifact), None, artifact).architecture
    model = checkpoint.load_model(artifact, architecture if architecture in BY_NAME else "AutoModelForImageTextToText", placement)
    processor = processor_of(model, artifact, placement)
    decoder = planning.decoder(writer(model), processor.tokenizer)
    positions = planning.positions(model.config.get_text_config(decoder=True), "decoder")
    reader = Reader(Maker(processor), decoder, positions, options, architecture)
    budget = CPU_BUDGET if placement.device == "cpu" else GPU_BUDGET
    return Describer(reader=reader, model=model, decoder=decoder, facts={"model": type(model).__name__}, budget=budget)


def processor_of(model: Any, artifact: Path, placement: Placement) -> Any:
    """Return what makes a model's prompts: its processor, or for an encoder with a decoder what stands in for one."""
    if model.config.model_type != "vision-encoder-decoder":
        return checkpoint.load_processor(artifact, placement)
    parts = checkpoint.load_image_processor(artifact, placement), checkpoint.load_tokenizer(artifact, placement)
    own = model.generation_config
    start = own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
    return Beside(*parts, None if "donut" in model.config.encoder.model_type else start)


def writer(model: Any) -> Any:
    """Return the part of a model that writes; BLIP ends its texts at another token than its configuration says."""
    found = getattr(model, HANDED_OVER.get(model.config.model_type, ""), model)
    if model.config.model_type == "blip":
        found.generation_config.eos_token_id, found.generation_config.pad_token_id = found.config.sep_token_id, found.config.pad_token_id
    return found
