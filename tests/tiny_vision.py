"""Tiny vision models with random weights, laid out as logged models, and images to try them on."""

import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import tiny_encoders
import tiny_models
import torch
import transformers
from kept import kept
from PIL import Image
from tokenizers import pre_tokenizers
from tokenizers.processors import TemplateProcessing

# Two threads of torch on a machine that others use too are dozens of times slower than one.
torch.set_num_threads(1)

LABELS = ("circle", "square", "triangle", "star")
TRANSFORMER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,
    "image_size": 32,
    "patch_size": 8,
}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "initializer_range": 0.2}
WINDOWS: dict[str, Any] = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
BLOCKS: dict[str, Any] = {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "layer_type": "basic"}
SQUARE, LARGER = {"height": 32, "width": 32}, {"height": 40, "width": 40}
# Each family of image classifiers: its configuration, and its processor with what that is told.
CLASSIFIERS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "vit": (TRANSFORMER, "ViTImageProcessor", {"size": SQUARE}),
    "deit": (
        {**TRANSFORMER, "architectures": ["DeiTForImageClassification"]},
        "DeiTImageProcessor",
        {"size": LARGER, "crop_size": SQUARE},
    ),
    "dinov2": (TRANSFORMER, "BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": SQUARE}),
    "swin": ({**WINDOWS, "initializer_range": 0.2}, "ViTImageProcessor", {"size": SQUARE}),
    "convnext": (STAGES, "ConvNextImageProcessor", {"size": {"shortest_edge": 32}}),
    # Images come out of its processor in sizes that depend on theirs.
    "resnet": (BLOCKS, "BitImageProcessor", {"size": {"shortest_edge": 32}, "do_center_crop": False}),
}


def named_labels() -> dict[str, Any]:
    """Return the labels as a configuration has them."""
    return {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}


def saved(folder: Path, model: Any, *parts: Any) -> Path:
    """Return the folder with a model and its parts saved in it as a logged model is."""
    for part in (model, *parts):
        part.save_pretrained(folder / "model")
    return folder


@kept
def tiny_classifier(folder: Path, family: str, **config: Any) -> Path:
    """Return the folder with a random model that labels images saved in it."""
    chosen, processor, told = CLASSIFIERS[family]
    torch.manual_seed(3)
    configured = transformers.AutoConfig.for_model(family, **{**chosen, **named_labels(), **config})
    model = transformers.AutoModelForImageClassification.from_config(configured)
    return saved(folder, model, getattr(transformers, processor)(**told))


def drawn(height: int, width: int, seed: int) -> Image.Image:
    """Return an image of coloured blobs that differs from all others."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    centres, colours = rng.uniform(0, 1, (5, 2)), rng.integers(0, 256, (5, 3))
    nearest = np.argmin([(x - a) ** 2 + (y - b) ** 2 for a, b in centres], axis=0)
    noise = rng.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(colours[nearest] + noise, 0, 255).astype(np.uint8))


def png(image: Image.Image, kind: str = "PNG", **given: Any) -> bytes:
    """Return an image as the bytes of a file."""
    encoded = io.BytesIO()
    image.save(encoded, format=kind, **given)
    return encoded.getvalue()


SQUARE64 = {"height": 64, "width": 64}
NECK: dict[str, Any] = {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8, "reassemble_factors": [4, 2, 1, 0.5]}
BACKBONE: dict[str, Any] = {**TRANSFORMER, "model_type": "dinov2", "num_hidden_layers": 4, "out_indices": [1, 2, 3, 4]}
BACKBONE = {**BACKBONE, "reshape_hidden_states": False, "apply_layernorm": True}
PYRAMID: dict[str, Any] = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2]}
# Each family of models of depth: its configuration, and its processor with what that is told.
DEPTHS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "dpt": (
        {**TRANSFORMER, **NECK, "num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3]},
        "DPTImageProcessor",
        {"size": SQUARE},
    ),
    # Images come out of its processor in sizes that depend on theirs.
    "depth_anything": (
        {
            **NECK,
            "backbone_config": BACKBONE,
            "patch_size": 8,
            "reassemble_hidden_size": 32,
            "head_hidden_size": 8,
            "initializer_range": 0.2,
        },
        "DPTImageProcessor",
        {"size": SQUARE64, "keep_aspect_ratio": True, "ensure_multiple_of": 8},
    ),
    # And here in sizes that are theirs but for a remainder of 32.
    "glpn": ({**PYRAMID, "decoder_hidden_size": 8, "initializer_range": 0.2}, "GLPNImageProcessor", {}),
}


@kept
def tiny_depth(folder: Path, family: str) -> Path:
    """Return the folder with a random model that estimates depths saved in it."""
    chosen, processor, told = DEPTHS[family]
    torch.manual_seed(3)
    model = transformers.AutoModelForDepthEstimation.from_config(transformers.AutoConfig.for_model(family, **chosen))
    return saved(folder, model, getattr(transformers, processor)(**told))


# What finds things: a backbone of four stages, whose last one is 32 times smaller than the image.
FOUR_WINDOWS: dict[str, Any] = {**WINDOWS, "model_type": "swin", "image_size": 64, "window_size": 2, "initializer_range": 0.2}
FOUR_WINDOWS |= {
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
FOUR_BLOCKS: dict[str, Any] = {**BLOCKS, "model_type": "resnet", "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
FOUR_BLOCKS |= {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
FEEDFORWARD = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "d_model": 16}
FINDER: dict[str, Any] = {**FEEDFORWARD, "encoder_layers": 1, "decoder_layers": 2, "num_queries": 8, "init_std": 0.5}
EIGHT_HEADS = {"encoder_attention_heads": 8, "decoder_attention_heads": 8}
UNEQUAL = {"size": {"shortest_edge": 64, "longest_edge": 128}}
# Each family of models that cut images into segments: its configuration, and its processor with what that is told.
SEGMENTERS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "segformer": ({**PYRAMID, "decoder_hidden_size": 8, "initializer_range": 0.2}, "SegformerImageProcessor", {"size": SQUARE64}),
    "upernet": (
        {"backbone_config": FOUR_BLOCKS, "hidden_size": 8, "auxiliary_in_channels": 16, "auxiliary_channels": 8, "initializer_range": 0.2},
        "SegformerImageProcessor",
        {"size": SQUARE64},
    ),
    "maskformer": (
        {"backbone_config": FOUR_WINDOWS, "decoder_config": {**FINDER, "model_type": "detr"}, "mask_feature_size": 16, "init_std": 0.5},
        "MaskFormerImageProcessor",
        UNEQUAL,
    ),
    "mask2former": (
        {"backbone_config": FOUR_WINDOWS, "hidden_dim": 32, "feature_size": 32, "mask_feature_size": 32, "encoder_feedforward_dim": 16}
        | {"dim_feedforward": 16, "encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "num_queries": 8, "init_std": 0.5},
        "Mask2FormerImageProcessor",
        {"size": SQUARE64},
    ),
    "detr": ({**FINDER, **EIGHT_HEADS, "backbone_config": FOUR_BLOCKS}, "DetrImageProcessor", UNEQUAL),
}


@kept
def tiny_segmenter(folder: Path, family: str) -> Path:
    """Return the folder with a random model that cuts images into segments saved in it."""
    chosen, processor, told = SEGMENTERS[family]
    torch.manual_seed(3)
    # A copy: configurations take out of a dictionary what they have read.
    configured = transformers.AutoConfig.for_model(family, **{**copy.deepcopy(chosen), **named_labels()})
    kind = "Semantic" if processor.startswith("Segformer") else "Universal"
    model = getattr(transformers, f"AutoModelFor{kind}Segmentation").from_config(configured)
    if family == "detr":
        model.detr.class_labels_classifier.bias.data[-1] = -5.0  # of a random one, most queries would say that there is nothing
    return saved(folder, model, getattr(transformers, processor)(**told))


# Each family that places images and texts in one space: its image processor with what that is told, and its texts' tokenizer.
CROPPED: dict[str, Any] = {"size": {"shortest_edge": 32}, "crop_size": SQUARE}
LIKENERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "clip": ("CLIPImageProcessor", CROPPED, "clip"),
    "metaclip_2": ("CLIPImageProcessor", CROPPED, "clip"),
    "altclip": ("CLIPImageProcessor", CROPPED, "roberta"),
    "chinese_clip": ("ChineseCLIPImageProcessor", {"size": SQUARE, "crop_size": SQUARE}, "bert"),
    "siglip": ("SiglipImageProcessor", {"size": SQUARE}, "roberta"),
    # Images are cut into as many patches of eight by eight as fit into twelve, whatever their sides.
    "siglip2": ("Siglip2ImageProcessor", {"patch_size": 8, "max_num_patches": 12}, "roberta"),
}


def clip_tokenizer() -> Any:
    """Return a tokenizer that reads letter by letter."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{each}</w>" for each in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], model_max_length=77)


def text_config(family: str, tokenizer: Any) -> dict[str, Any]:
    """Return how a model that places images and texts in one space reads texts."""
    offset = 2 if family == "altclip" else 0
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = {**TRANSFORMER, **special, "vocab_size": len(tokenizer), "max_position_embeddings": tokenizer.model_max_length + offset}
    return config | {"initializer_factor": 4.0, "projection_dim": 24, "project_dim": 24, "projection_size": 32}


@kept
def tiny_likener(folder: Path, family: str) -> Path:
    """Return the folder with a random model saved in it that places images and texts in one space."""
    processor, told, reads = LIKENERS[family]
    tokenizer: Any = clip_tokenizer() if reads == "clip" else tiny_encoders.TOKENIZERS[reads]()
    vision = {**TRANSFORMER, "initializer_factor": 4.0, "projection_dim": 24, "num_patches": 16}
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(
        family, text_config=text_config(family, tokenizer), vision_config=vision, projection_dim=24, initializer_factor=4.0
    )
    model = transformers.AutoModelForZeroShotImageClassification.from_config(config)
    with torch.no_grad():  # so that labels differ, but none takes all
        model.logit_scale.fill_(1.0)
    saved(folder, model, getattr(transformers, processor)(**told), tokenizer)
    if family == "siglip":  # its own tokenizers say so, and so it sees the padding of texts too
        told_tokenizer = folder / "model" / "tokenizer_config.json"
        told_tokenizer.write_text(json.dumps({**json.loads(told_tokenizer.read_text()), "model_input_names": ["input_ids"]}))
    return folder


# The halves that see of models that place images and texts in one space, by class, each with the family of its image processor.
EYES = {"CLIPVisionModel": "clip", "CLIPVisionModelWithProjection": "clip", "SiglipVisionModel": "siglip"}


@kept
def tiny_embedder(folder: Path, kind: str) -> Path:
    """Return the folder with a random model saved in it that makes vectors of images: of a family, or of a class in EYES."""
    torch.manual_seed(6)
    if kind in LIKENERS:
        return tiny_likener(folder, kind)
    if kind in EYES:
        processor, told, _ = LIKENERS[EYES[kind]]
        model_class = getattr(transformers, kind)
        config = model_class.config_class(**TRANSFORMER, initializer_factor=4.0, projection_dim=24)
        return saved(folder, model_class(config), getattr(transformers, processor)(**told))
    chosen, processor, told = CLASSIFIERS[kind]
    config = transformers.AutoConfig.for_model(kind, **{name: value for name, value in chosen.items() if name != "architectures"})
    return saved(folder, transformers.AutoModel.from_config(config), getattr(transformers, processor)(**told))


SIGHT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
WRITING: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.5,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 3,
}
IMAGE_CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant:{% endif %}"
)
# A random model hardly ever ends a text: these tokens end it too, so that some texts end early.
WRITER_ENDS = (*range(60, 80), 9, 95)
SEPARATORS = {"blip": 72, "blip-vqa": 94}
WRITERS = ("blip", "blip-vqa", "vit-gpt2", "llava", "qwen2_vl", "idefics3")


@kept
def tiny_writer(folder: Path, family: str, *, chat: bool = True) -> Path:
    """Return the folder with a random model that writes about images saved in it."""
    torch.manual_seed(3)
    model, processor = {"blip": blip, "blip-vqa": blip, "vit-gpt2": vit_gpt2}.get(family, conversing)(family)
    if not chat:
        processor.chat_template = None
    with torch.no_grad():  # so that what is seen weighs as much as what is said
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and not name.startswith(("lm_head", "model.language_model", "decoder", "text_decoder")):
                weight.mul_(10.0)
    model.generation_config.eos_token_id = [1, *WRITER_ENDS]
    return saved(folder, model, *(processor if isinstance(processor, tuple) else (processor,)))


def spelling(*further: str, ends: bool = False) -> Any:
    """Return a tokenizer that can spell any text and has further tokens; with `ends` it puts texts between two tokens."""
    whole = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 3), ("</s>", 1)]) if ends else None
    tokenizer = tiny_models.byte_tokenizer(whole)
    tokenizer.add_special_tokens({"additional_special_tokens": list(further)})
    return tokenizer


def blip(family: str) -> tuple[Any, Any]:
    """Return a BLIP that captions, or one that answers, with its processor."""
    tokenizer = spelling(ends=True)
    text = {**WRITING, "encoder_hidden_size": 32, "projection_dim": 16, "sep_token_id": SEPARATORS[family], "vocab_size": len(tokenizer)}
    config = transformers.BlipConfig(text_config=text, vision_config={**SIGHT, "initializer_range": 0.2}, projection_dim=16)
    made = transformers.BlipForQuestionAnswering if family == "blip-vqa" else transformers.BlipForConditionalGeneration
    return made(config), transformers.BlipProcessor(transformers.BlipImageProcessor(size=SQUARE), tokenizer)


def vit_gpt2(family: str) -> tuple[Any, Any]:
    """Return a ViT with a GPT-2, and an image processor and a tokenizer, which have no processor around them."""
    tokenizer = spelling()
    decoder = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, initializer_range=0.5, bos_token_id=3, eos_token_id=1
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(transformers.ViTConfig(**TRANSFORMER), decoder)
    config.decoder_start_token_id, config.pad_token_id = 3, 0
    model = transformers.VisionEncoderDecoderModel(config)
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=3, pad_token_id=0)
    return model, (transformers.ViTImageProcessor(size=SQUARE), tokenizer)


def conversing(family: str) -> tuple[Any, Any]:
    """Return a model that chats about images, with its processor."""
    return {"llava": llava, "qwen2_vl": qwen, "idefics3": idefics}[family]()


def llava() -> tuple[Any, Any]:
    """Return a LLaVA, for which all images become equal."""
    tokenizer = spelling("<image>")
    sight = transformers.CLIPVisionConfig(**SIGHT, projection_dim=16)
    words = transformers.LlamaConfig(**WRITING, vocab_size=len(tokenizer))
    config = transformers.LlavaConfig(vision_config=sight, text_config=words, image_token_id=tokenizer.convert_tokens_to_ids("<image>"))
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=IMAGE_CHAT.replace("IMAGE", "<image>"),
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def qwen() -> tuple[Any, Any]:
    """Return a Qwen2-VL, which sees images in their own size."""
    tokenizer = spelling("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    named = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in QWEN.items()}
    words = {**WRITING, "vocab_size": len(tokenizer), "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
    sight = {"embed_dim": 32, "depth": 2, "num_heads": 2, "hidden_size": 32, "patch_size": 8, "mlp_ratio": 2}
    config = transformers.Qwen2VLConfig(text_config=words, vision_config=sight, **named)
    sizes: dict[str, Any] = {"patch_size": 8, "min_pixels": 16 * 16, "max_pixels": 64 * 64}
    processor = transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(**sizes),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(**sizes),
        chat_template=IMAGE_CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return transformers.Qwen2VLForConditionalGeneration(config), processor


QWEN = {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>", "image": "<|image_pad|>", "video": "<|video_pad|>"}


def idefics() -> tuple[Any, Any]:
    """Return an Idefics 3, which sees an image in pieces."""
    tokenizer = spelling("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    sight = transformers.Idefics3VisionConfig(**SIGHT, initializer_range=0.2)
    words = transformers.LlamaConfig(**WRITING, vocab_size=len(tokenizer))
    config = transformers.Idefics3Config(
        vision_config=sight, text_config=words, scale_factor=2, image_token_id=tokenizer.convert_tokens_to_ids("<image>"), pad_token_id=0
    )
    looked = transformers.Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = transformers.Idefics3Processor(looked, tokenizer, image_seq_len=4, chat_template=IMAGE_CHAT.replace("IMAGE", "<image>"))
    return transformers.Idefics3ForConditionalGeneration(config), processor


DONUT = ("<s_docvqa>", "<s_question>", "</s_question>", "<s_answer>", "</s_answer>")


@kept
def tiny_donut(folder: Path) -> Path:
    """Return the folder with a random Donut that likes to end its answers saved in it."""
    tokenizer = spelling(*DONUT)
    torch.manual_seed(3)
    encoder = transformers.DonutSwinConfig(**{**WINDOWS, "initializer_range": 0.2})
    layers = {"decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "max_position_embeddings": 128}
    tokens = {"pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "decoder_start_token_id": 3, "tie_word_embeddings": False}
    decoder = transformers.MBartConfig(vocab_size=len(tokenizer), d_model=32, init_std=0.5, **layers, **tokens)
    model = transformers.VisionEncoderDecoderModel(transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=3, pad_token_id=0, eos_token_id=1)
    with torch.no_grad():
        for token in ("</s>", "</s_answer>"):
            model.decoder.lm_head.weight[tokenizer.convert_tokens_to_ids(token)] *= 2.0
        for name, weight in model.encoder.named_parameters():
            if weight.dim() > 1 and "norm" not in name:
                weight.mul_(3.0)
    return saved(folder, model, transformers.DonutImageProcessor(size=SQUARE), tokenizer)


MASKERS = ("sam", "sam_hq", "sam2")
# What asks a model at points, and what it says of them.
ASKING: dict[str, Any] = {"hidden_size": 32, "image_size": 64, "mask_input_channels": 4}
SAYING: dict[str, Any] = {"hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
SAM_SIGHT: dict[str, Any] = {**TRANSFORMER, "hidden_size": 16, "output_channels": 32, "mlp_dim": 32, "num_pos_feats": 16, "image_size": 64}
SAM_SIGHT |= {"initializer_range": 0.3, "window_size": 4, "global_attn_indexes": [1]}
HIERA: dict[str, Any] = {"model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1, "image_size": [64, 64]}
HIERA |= {"blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 1, 2, 2]}
HIERA |= {"window_size_per_stage": [2, 4, 2, 4], "global_attention_blocks": [3], "window_positional_embedding_background_size": [4, 4]}
HIERA |= {"initializer_range": 0.3}
SAM2_SIGHT: dict[str, Any] = {"backbone_config": HIERA, "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 32}
SAM2_SIGHT |= {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "initializer_range": 0.3}


@kept
def tiny_masker(folder: Path, family: str) -> Path:
    """Return the folder with a random model that cuts out what lies at points saved in it."""
    torch.manual_seed(3)
    kind, size = {"sam": "Sam", "sam_hq": "SamHQ", "sam2": "Sam2"}[family], {"height": 16, "width": 16}
    asking = {**ASKING, "patch_size": 16 if family == "sam2" else 8}
    saying = {**SAYING, **({"vit_dim": 16} if family == "sam_hq" else {})}
    sight = copy.deepcopy(SAM2_SIGHT if family == "sam2" else SAM_SIGHT)
    config = getattr(transformers, f"{kind}Config")(
        vision_config=sight, prompt_encoder_config=asking, mask_decoder_config=saying, initializer_range=0.3
    )
    processor: Any = transformers.Sam2ImageProcessor(size=SQUARE64, mask_size=size)
    if family != "sam2":
        longest = {"size": {"longest_edge": 64}, "mask_size": {"longest_edge": 16}}
        processor = transformers.SamImageProcessor(**longest, pad_size=SQUARE64, mask_pad_size=size)
    return saved(folder, getattr(transformers, f"{kind}Model")(config), processor)
