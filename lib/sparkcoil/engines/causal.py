"""Decoder-only models such as GPT-2, Llama and Qwen: a prompt, or a conversation in the model's chat template, is continued."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from sparkcoil import checkpoint, planning, writing
from sparkcoil.engines import Placement, Prepared
from sparkcoil.errors import ModelError, RowError
from sparkcoil.generation import Request
from sparkcoil.planning import Prompt
from sparkcoil.writing import Writer


@dataclass(kw_only=True)
class Causal(Writer):
    """A model that goes on from a prompt, which leaves room for new tokens among the model's positions."""

    positions: int

    @property
    def readable(self) -> int:
        """The tokens that a prompt may have."""
        return self.positions

    def prompt(self, request: Request) -> Prepared:
        """Return the token ids of a prompt, cut to what leaves room for new ones; raises RowError where none is left."""
        options = request.options
        text = self._rendered(request)
        limit = min(
            self.positions - planning.reserved(self.decoder, options, self.positions),
            options.max_input_length or self.tokenizer.model_max_length,
        )
        ids, cut = planning.encode(self.tokenizer, text, limit, options, special=isinstance(request.content, str))
        ids = ids or self._start()
        plan = planning.plan(self.decoder, options, ids, standing=len(ids), room=self.positions - len(ids))
        return Prepared(Prompt(request, text, ids, plan), len(ids), ("truncated",) if cut else ())

    def _rendered(self, request: Request) -> str:
        if isinstance(request.content, str):
            return request.content
        messages = [*map(dict, request.content)]
        # Like the native pipeline: a conversation that the assistant has begun to answer is gone on with.
        begun = messages[-1].get("role") == "assistant"
        try:
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
            )
        except TemplateError:
            raise RowError(
                "input", "bad_messages", "the model's chat template refuses the messages, such as for the order of roles"
            ) from None
        return str(text)

    def _start(self) -> tuple[int, ...]:
        first = self.tokenizer.bos_token_id
        return (first,) if first is not None else (self.decoder.eos or (self.decoder.pad,))[:1]


def load(artifact: Path, options: Any, placement: Placement) -> Causal:
    """Return the model of an artifact with its tokenizer; raises ModelError for a conversation without a chat template."""
    tokenizer = checkpoint.load_tokenizer(artifact, placement)
    if options.chat and not tokenizer.chat_template:
        raise ModelError(
            "the model's tokenizer has no chat template: set `tokenizer.chat_template` and log the model again, or use task text-generation"
        )
    model = checkpoint.load_model(artifact, "AutoModelForCausalLM", placement)
    return Causal(**writing.parts(tokenizer, model, placement), positions=planning.positions(model.config, "decoder"))
