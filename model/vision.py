"""The eyes: EfficientNet-Lite as a transformers model, and how a picture becomes what a tower expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from model.presets import Fit

Block = tuple[int, int, int, int, int]
"""One stage: repeats, kernel, stride of its first layer, expansion, output channels."""

LITE0_BLOCKS: tuple[Block, ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""EfficientNet-Lite0: EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) with ReLU6 and without
squeeze-and-excitation."""


SUMMARY = 2
"""Tokens before the cells."""
CLASS_LENGTH = 20.0
"""Length of a class's row in the first of them: about that of a cell, 19 in Lite0."""


class EfficientNetLiteConfig(PreTrainedConfig):
    """Sizes of an EfficientNet-Lite; the defaults are Lite0's. Class names are in `id2label`."""

    model_type = "efficientnet_lite"

    stem_channels: int = 32
    blocks: list[list[int]] | None = None
    hidden_size: int = 1280
    image_size: int = 224
    num_channels: int = 3
    token_grid: int = 4
    """Cells along each side that the language model sees: the map's 7 are averaged down to them."""
    summary: bool = True
    """Whether two tokens stand before the cells, as a transformer's CLS token: what the classifier says, and what it reads."""
    batch_norm_eps: float = 1e-3
    batch_norm_momentum: float = 0.01

    def __post_init__(self, **kwargs: object) -> None:
        if self.blocks is None:
            self.blocks = [list(block) for block in LITE0_BLOCKS]
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @property
    def grid(self) -> int:
        """Cells along each side of the feature map."""
        stride = 2
        for _, _, block_stride, _, _ in self.blocks or []:
            stride *= block_stride
        return -(-self.image_size // stride)


@dataclass
class EfficientNetLiteOutput(ModelOutput):
    """`last_hidden_state` (B, grid², hidden): the feature map row by row; `pooler_output` (B, hidden); `logits` (B, labels)."""

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    logits: torch.Tensor | None = None


class SamePadConv(nn.Conv2d):
    """Convolution padded as TensorFlow's "same" does: the odd pixel goes to the right and below. The weights expect it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        padded: torch.Tensor = super().forward(functional.pad(x, pads))
        return padded


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm and, unless it closes a block, ReLU6."""

    def __init__(
        self,
        config: EfficientNetLiteConfig,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            SamePadConv(inputs, outputs, kernel, stride, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum),
        ]
        super().__init__(*layers, *([nn.ReLU6()] if act else []))


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a skip where the shape stays (MobileNetV2's block)."""

    def __init__(
        self, config: EfficientNetLiteConfig, inputs: int, outputs: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = ConvNorm(config, inputs, middle, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(config, middle, middle, kernel, stride, groups=middle)
        self.project = ConvNorm(config, middle, outputs, 1, act=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.expand(x) if self.expand is not None else x
        projected: torch.Tensor = self.project(self.depthwise(hidden))
        return x + projected if self.skip else projected


class EfficientNetLiteModel(PreTrainedModel):
    """Feature map and classifier of an EfficientNet-Lite."""

    config: EfficientNetLiteConfig
    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    base_model_prefix = "efficientnet_lite"
    input_modalities = "image"

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.stem = ConvNorm(config, config.num_channels, config.stem_channels, 3, stride=2)
        blocks = []
        channels = config.stem_channels
        for repeats, kernel, stride, expansion, outputs in config.blocks or []:
            for index in range(repeats):
                blocks.append(InvertedResidual(config, channels, outputs, kernel, stride if index == 0 else 1, expansion))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvNorm(config, channels, config.hidden_size, 1)
        self.classifier = nn.Linear(config.hidden_size, len(config.id2label or {}))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, pixel_values: torch.Tensor, **_: object) -> EfficientNetLiteOutput:
        """`pixel_values`: (B, 3, image_size, image_size)."""
        feature_map = self.head(self.blocks(self.stem(pixel_values)))
        pooled = feature_map.mean(dim=(2, 3))
        return EfficientNetLiteOutput(
            last_hidden_state=feature_map.flatten(2).transpose(1, 2),
            pooler_output=pooled,
            logits=self.classifier(pooled),
        )

    def tokens(self, feature_map: torch.Tensor) -> torch.Tensor:
        """What a language model is shown of maps: (B, grid², hidden) -> (B, tokens, hidden).

        SUMMARY tokens, unless the configuration leaves them out: the classifier's rows, weighed by the probabilities it gives
        them, and the mean of the map. Then averages of token_grid² regions, which may overlap, row by row.
        """
        grid = self.config.grid
        maps = feature_map.transpose(1, 2).reshape(len(feature_map), -1, grid, grid)
        regions = functional.adaptive_avg_pool2d(maps, self.config.token_grid).flatten(2).transpose(1, 2)
        if not self.config.summary:
            return regions
        mean = feature_map.mean(1)
        rows = self.classifier.weight - self.classifier.weight.mean(0)
        said = self.classifier(mean).softmax(-1) @ (CLASS_LENGTH * functional.normalize(rows, dim=1))
        return torch.cat([said[:, None], mean[:, None], regions], 1)


AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a tower's input."""

    size: int
    """Pixels along each side."""
    mean: tuple[float, float, float]
    """Per channel, of values in 0..1."""
    std: tuple[float, float, float]
    fit: Literal["crop", "pad"]
    """crop: the middle square; pad: the whole picture on a square of the mean colour, so that nothing is cut off."""
    crop_fraction: float = 1.0
    """Part of the shorter side that the square of `crop` covers."""

    @classmethod
    def for_tower(cls, config: PreTrainedConfig, fit: Fit = "preset") -> Preprocessing:
        """What the tower was trained with; CLIP's pictures are padded, as LLaVA-1.5 does, instead of cropped.

        `fit`: another way to make them square; "crop" is then the whole middle square.
        """
        if fit != "preset":
            return replace(cls.for_tower(config), fit=fit, crop_fraction=1.0)
        size = int(config.image_size)
        if config.model_type == EfficientNetLiteConfig.model_type:
            # (x - 127) / 128 on bytes, and the middle square with a border of 32 of 256 pixels left out.
            mean, std = 127 / 255, 128 / 255
            return cls(size, (mean,) * 3, (std,) * 3, "crop", size / (size + 32))
        return cls(size, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), "pad")

    def square(self, image: Image.Image) -> Image.Image:
        """An RGB picture of size x size pixels."""
        image = image.convert("RGB")
        if self.fit == "crop":
            side = min(image.size) * self.crop_fraction
            left, top = (image.width - side) / 2, (image.height - side) / 2
            box = (left, top, left + side, top + side)
            return image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        scale = self.size / max(image.size)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        red, green, blue = (round(255 * mean) for mean in self.mean)
        canvas = Image.new("RGB", (self.size, self.size), (red, green, blue))
        canvas.paste(image.resize(inner, Image.Resampling.BICUBIC), ((self.size - inner[0]) // 2, (self.size - inner[1]) // 2))
        return canvas

    def __call__(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """(B, 3, size, size) float32."""
        pixels = np.stack([np.asarray(self.square(image), dtype=np.float32) for image in images]) / 255
        normalised = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2)))  # not by torch: see Engine.compute
