from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
import transformers

from sparkcoil import compaction, engines, tasks
from sparkcoil.decoding import shared
from sparkcoil.engines import Placement, Prepared

WORDS = ["the", "socket", "is", "closed", "when", "the", "message", "was", "sent", "and", "the", "mailbox", "keeps", "it"]
TEMPLATE = "translate summarize question answer user assistant system: sorted by its first column "
PROMPTS = [" ".join(WORDS[i:]) for i in range(12)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Engines of tiny random models by family."""
    folder = tmp_path_factory.mktemp("models")
    written = {"gpt2": {"n_positions": 512}, "llama": {}}
    causal = {name: tiny_models.tiny_causal(folder / name, family=name, **config) for name, config in written.items()}
    seq2seq = loaded(tiny_models.tiny_seq2seq(folder / "t5"), "text2text-generation")
    return {"t5": seq2seq, **{name: loaded(artifact, "text-generation") for name, artifact in causal.items()}}


def loaded(artifact: Path, name: str) -> tuple[Any, Any, Any]:
    """Return a task with its options and the engine of an artifact."""
    task, options = tasks.fitted(name, {"max_new_tokens": 40})
    return task, options, engines.load(engines.name_of(task, artifact), artifact, options, Placement("cpu", "auto"))


def prepared(model: tuple[Any, Any, Any], texts: Sequence[str], **given: Sequence[Any]) -> list[Prepared]:
    """Return prompts as the engine takes them, with options of their own."""
    task, options, engine = model
    own = [dict(zip(given, each, strict=True)) for each in zip(*given.values(), strict=True)] or [{}] * len(texts)
    rows = [{task.inputs[0].name: text.encode(), **each} for text, each in zip(texts, own, strict=True)]
    return list(engine.prepare([task.read(each, options)[0] for each in rows]))


@contextmanager
def shapes(model: Any) -> Iterator[list[tuple[int, int]]]:
    """Note the rows and the new tokens of every forward pass that writes."""
    found: list[tuple[int, int]] = []

    def note(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("decoder_input_ids", kwargs.get("input_ids"))
        found.append(tuple(ids.shape))

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield found
    finally:
        hook.remove()


@pytest.mark.parametrize("family", ["t5", "gpt2", "llama"])
def test_rows_whose_texts_are_over_are_not_computed_any_more(models: Any, family: str) -> None:
    engine = models[family][2]
    rows = prepared(models[family], PROMPTS, max_new_tokens=[3 * i + 2 for i in range(len(PROMPTS))])
    with shapes(engine.model) as found:
        made = engine.forward(rows)
    lengths = [each.completions[0].tokens for each in made]
    most = sum(lengths) / (1 - compaction.LEAVING) + len(rows)
    assert sum(count for count, _ in found) < most < len(rows) * max(lengths)


@pytest.mark.parametrize("family", ["t5", "gpt2", "llama"])
def test_texts_are_those_of_rows_alone(models: Any, family: str) -> None:
    engine = models[family][2]
    rows = prepared(models[family], [*PROMPTS, *(TEMPLATE + each for each in PROMPTS)])
    assert [each.completions for each in engine.forward(rows)] == [engine.forward([each])[0].completions for each in rows]


def test_prompts_of_unlike_lengths_are_encoded_apart_and_to_the_same_states(models: Any) -> None:
    encoder = models["t5"][2].model.get_encoder()
    lengths = [3, 40, 4, 90, 41, 3]
    ids = torch.randint(5, 50, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]).long()
    with torch.inference_mode(), shapes(encoder) as found:
        states = compaction.encoded(encoder, ids, mask)
        whole = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    assert found[:-1] == [(1, 90), (2, 41), (3, 4)]
    assert torch.allclose(states * mask[:, :, None], whole * mask[:, :, None], atol=1e-5)


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.5}
ATTENTION = {"intermediate_size": 64, "num_attention_heads": 2, "max_position_embeddings": 256}
OTHERS: dict[str, dict[str, Any]] = {
    # What they remember of a row is no keys and values, or not those alone.
    "mamba": {"state_size": 8},
    "falcon_h1": {"num_key_value_heads": 1, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, **ATTENTION},
    # It remembers nothing.
    "openai-gpt": {"n_positions": 256, "n_embd": 32, "n_layer": 2, "n_head": 2},
    # Positions are counted from behind the padding token, unless they are told.
    "roberta": {"is_decoder": True, **ATTENTION},
    # It does not know of an attention mask.
    "rwkv": {"context_length": 256, "attention_hidden_size": 32},
}


@pytest.mark.parametrize("family", OTHERS)
def test_texts_are_those_of_rows_alone_whatever_a_model_remembers(family: str, tmp_path: Path) -> None:
    tokenizer = tiny_models.byte_tokenizer(None)
    ends = {"vocab_size": len(tokenizer), "bos_token_id": 3, "eos_token_id": 1, "pad_token_id": 0}
    torch.manual_seed(3)
    chosen = transformers.AutoConfig.for_model(family, **{**({} if family == "openai-gpt" else SIZES), **OTHERS[family], **ends})
    written = transformers.AutoModelForCausalLM.from_config(chosen)
    model = loaded(tiny_models.saved(tmp_path, written, tokenizer), "text-generation")
    rows = prepared(model, [*PROMPTS[:6], *(TEMPLATE + each for each in PROMPTS[:6])], max_new_tokens=[2 * i + 1 for i in range(12)])
    together = [each.completions for each in model[2].forward(rows)]
    assert together == [model[2].forward([each])[0].completions for each in rows]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_prompts_have_in_common_is_computed_once(models: Any, family: str) -> None:
    engine = models[family][2]
    rows = prepared(models[family], [TEMPLATE + each for each in PROMPTS])
    common = shared([each.features for each in rows])
    longest = max(each.length for each in rows)
    with shapes(engine.model) as found:
        engine.forward(rows)
    assert common >= len(TEMPLATE.split()) and found[:2] == [(1, common), (len(rows), longest - common)]


def test_prompts_of_several_templates_share_what_their_own_has_in_common(models: Any) -> None:
    engine = models["llama"][2]
    others = [f"12 {TEMPLATE}{each}" for each in PROMPTS[:5]]
    with shapes(engine.model) as found:
        engine.forward(prepared(models["llama"], [*(TEMPLATE + each for each in PROMPTS), *others]))
    assert [rows for rows, tokens in found if tokens > 1] == [1, len(PROMPTS), 1, len(others)]


def test_prompts_that_are_the_same_leave_one_token_to_go_on_from(models: Any) -> None:
    rows = prepared(models["llama"], [TEMPLATE] * 4)
    assert shared([each.features for each in rows]) == rows[0].length - 1


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (transformers.LlamaConfig(num_hidden_layers=1), True),
        # Padding in the middle would push what lies before it out of the window.
        (transformers.MistralConfig(num_hidden_layers=1, sliding_window=8), False),
        # Distances are counted from where tokens stand.
        (transformers.BloomConfig(n_layer=1, hidden_size=64, n_head=4), False),
        (transformers.T5Config(num_layers=1), False),
    ],
    ids=lambda each: getattr(each, "model_type", str(each)),
)
def test_only_models_that_are_told_positions_and_forget_nothing_share(config: Any, expected: bool) -> None:
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model: Any = auto.from_config(config)
    assert compaction.shares(model) is expected


def test_what_counts_from_the_start_of_a_call_is_not_divided() -> None:
    assert compaction.is_divisible(transformers.GenerationConfig())
    assert not compaction.is_divisible(transformers.GenerationConfig(begin_suppress_tokens=[3]))
    assert not compaction.is_divisible(transformers.GenerationConfig(guidance_scale=1.5))
