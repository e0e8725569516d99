"""Tiny random text models and towers: real classes, a few thousand parameters."""

from __future__ import annotations

import torch
from transformers import CLIPVisionConfig, LlamaConfig, PhiConfig

from model.modeling import JnanaConfig, JnanaForConditionalGeneration
from model.vision import EfficientNetLiteConfig

IMAGE_TOKEN_ID = 120

PHI = {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def phi_config() -> PhiConfig:
    return PhiConfig(**PHI)


def llama_config() -> LlamaConfig:
    return LlamaConfig(**PHI, num_key_value_heads=2, tie_word_embeddings=True)


def clip_config() -> CLIPVisionConfig:
    """224 pixels in patches of 32: 49 tokens and a CLS token."""
    return CLIPVisionConfig(
        hidden_size=24, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2, image_size=224, patch_size=32
    )


def lite_config() -> EfficientNetLiteConfig:
    """224 pixels, five halvings: a 7x7 map, all of whose cells are shown, as many as tiny CLIP's patches."""
    return EfficientNetLiteConfig(
        stem_channels=4,
        blocks=[[1, 3, 2, 1, 4], [1, 5, 2, 2, 6], [2, 3, 2, 2, 6], [1, 3, 2, 2, 8]],
        hidden_size=16,
        token_grid=7,
        summary=False,
        id2label={0: "a", 1: "b", 2: "c"},
    )


def model(text: PhiConfig | LlamaConfig, vision: CLIPVisionConfig | EfficientNetLiteConfig) -> JnanaForConditionalGeneration:
    torch.manual_seed(0)
    config = JnanaConfig(text_config=text, vision_config=vision, image_token_index=IMAGE_TOKEN_ID)
    return JnanaForConditionalGeneration(config).eval()


def prompt(pictures: int) -> torch.Tensor:
    """(1, T) ids: for each picture 49 places and some text."""
    torch.manual_seed(1)
    places = torch.full((1, 49), IMAGE_TOKEN_ID)
    return torch.cat([part for _ in range(pictures) for part in (places, torch.randint(0, 100, (1, 5)))], 1)
