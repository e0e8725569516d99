"""Parameters and FLOPs by architecture, without weights and without torch.

Conventions, those of PaLM (https://arxiv.org/abs/2204.02311, appendix B): a multiplication and its addition are 2 FLOPs; only
matrix products count, not norms, activations or the softmax; attention counts in full although half of it is masked; what is
computed a second time (gradient checkpointing) is hardware's work and not the model's, so MFU leaves it out.

A frozen matrix costs its forward pass and the gradient of its input (2 of the usual 3 parts). Attention multiplies
activations with activations, so it costs all 3 whether weights are trained or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from training.config import Architecture


@dataclass(frozen=True)
class LanguageShape:
    """Sizes of a language model of the phi or llama kind."""

    family: Literal["phi", "llama"]
    """phi: biases everywhere, two matrices in the MLP, one norm a layer; llama: no biases, three matrices, two norms."""
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    """The head is the embeddings' own matrix."""

    @classmethod
    def of_config(cls, config: Any) -> LanguageShape:
        """From a PhiConfig or LlamaConfig of transformers."""
        return cls(
            family=config.model_type,
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            vocabulary=config.vocab_size,
            tied=config.tie_word_embeddings,
        )

    @classmethod
    def of_architecture(cls, architecture: Architecture) -> LanguageShape:
        """Of a stage-0 run."""
        heads = architecture.num_attention_heads
        return cls(
            family="phi",
            layers=architecture.num_hidden_layers,
            hidden=architecture.hidden_size,
            intermediate=architecture.intermediate_size,
            heads=heads,
            kv_heads=heads,
            vocabulary=architecture.vocab_size,
            tied=False,
        )

    @property
    def kv_size(self) -> int:
        """Width of all keys, or all values, of a token."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def linears(self) -> Mapping[str, tuple[int, int]]:
        """Inputs and outputs of a layer's matrices, by their last name."""
        hidden, middle, kv = self.hidden, self.intermediate, self.kv_size
        attention = {"q_proj": (hidden, hidden), "k_proj": (hidden, kv), "v_proj": (hidden, kv)}
        if self.family == "phi":
            return {**attention, "dense": (hidden, hidden), "fc1": (hidden, middle), "fc2": (middle, hidden)}
        gated = {"gate_proj": (hidden, middle), "up_proj": (hidden, middle), "down_proj": (middle, hidden)}
        return {**attention, "o_proj": (hidden, hidden), **gated}

    @property
    def layer_matrices(self) -> int:
        """Parameters in the matrix products of all layers; the head apart."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def head_matrix(self) -> int:
        return self.hidden * self.vocabulary

    @property
    def parameters(self) -> int:
        """All of them; tied ones once."""
        if self.family == "phi":
            biases = self.layers * sum(outputs for _, outputs in self.linears.values()) + self.vocabulary
            norms = 2 * self.hidden * (self.layers + 1)
        else:
            biases, norms = 0, self.hidden * (2 * self.layers + 1)
        return self.layer_matrices + biases + norms + self.head_matrix * (1 if self.tied else 2)

    def lora_parameters(self, rank: int, targets: Sequence[str]) -> int:
        """Of LoRA matrices beside `targets` in every layer."""
        return self.layers * sum(rank * sum(self.linears[target]) for target in targets)


@dataclass(frozen=True)
class TowerShape:
    """A vision tower, frozen: what a picture costs once."""

    parameters: int
    flops: float
    """Of one picture."""
    tokens: int
    width: int
    """Of a token's features."""

    @property
    def feature_bytes(self) -> int:
        """Of a picture in the cache, which holds fp16."""
        return self.tokens * self.width * 2


@dataclass(frozen=True)
class MindShape:
    """The networks of a preset of `jnana models`."""

    language: LanguageShape
    tower: TowerShape

    @property
    def projector(self) -> int:
        """Parameters of model.projector.Projector."""
        return self.projector_matrices + 5 * self.language.hidden  # three biases, a norm's gain and bias

    @property
    def projector_matrices(self) -> int:
        return self.language.hidden * (self.tower.width + 2 * self.language.hidden)


PHI2 = LanguageShape.of_architecture(Architecture())
SMOLLM2_135M = LanguageShape("llama", 30, 576, 1536, 9, 3, 49152, tied=True)


def _vit(layers: int, hidden: int, intermediate: int, image: int, patch: int) -> TowerShape:
    """CLIP's: a class token more than patches, norms before and after."""
    patches = (image // patch) ** 2
    kernel = 3 * patch * patch * hidden
    layer = 4 * hidden * hidden + 2 * hidden * intermediate
    beside = 4 * hidden + hidden + intermediate + 4 * hidden  # biases, two norms
    parameters = kernel + hidden * (1 + patches + 1) + layers * (layer + beside) + 4 * hidden
    tokens = patches + 1
    flops = 2 * kernel * patches + 2 * layer * layers * tokens + 4 * layers * hidden * tokens**2
    return TowerShape(parameters, flops, patches, hidden)


CLIP_VIT_B32 = _vit(layers=12, hidden=768, intermediate=3072, image=224, patch=32)
EFFICIENTNET_LITE0 = TowerShape(parameters=4_652_008, flops=770_375_104, tokens=18, width=1280)
"""As torch counts model.vision.EfficientNetLiteModel, with its classifier."""

MINDS: Mapping[str, MindShape] = {
    "phi2": MindShape(PHI2, CLIP_VIT_B32),
    "pocket": MindShape(SMOLLM2_135M, EFFICIENTNET_LITE0),
}
"""By preset."""


@dataclass(frozen=True)
class Work:
    """FLOPs of a training step, forward and backward."""

    model: float
    """What MFU counts."""
    hardware: float
    """With what gradient checkpointing computes again."""

    def __add__(self, other: Work) -> Work:
        return Work(self.model + other.model, self.hardware + other.hardware)


def forward_flops(shape: LanguageShape, tokens: float, sequence_length: float, logits_for: float) -> float:
    """Of `tokens` in sequences of `sequence_length`; `logits_for` of them go through the head."""
    return sum(_layers(shape, tokens, sequence_length)) + _head(shape, logits_for)


def training_flops(
    shape: LanguageShape,
    tokens: float,
    sequence_length: float,
    logits_for: float,
    *,
    frozen: bool,
    lora: int = 0,
    checkpointing: bool = False,
) -> Work:
    """Forward and backward. `frozen`: something in front of the model, or LoRA inside it, learns instead of its weights.

    `lora`: parameters of LoRA matrices, all trained (`LanguageShape.lora_parameters`).
    """
    matrices, attention = _layers(shape, tokens, sequence_length)
    adapters = 2.0 * lora * tokens
    parts = 2 if frozen else 3
    model = parts * (matrices + _head(shape, logits_for)) + 3 * (attention + adapters)
    again = matrices + attention + adapters if checkpointing else 0.0
    return Work(model, model + again)


def projector_flops(mind: MindShape, pictures: float) -> Work:
    """Forward and backward of the projector, trained. Features need no gradient, so its first matrix costs 2 parts."""
    tokens = pictures * mind.tower.tokens
    first = 2.0 * mind.language.hidden * mind.tower.width * tokens
    flops = 3 * 2.0 * mind.projector_matrices * tokens - first
    return Work(flops, flops)


def _layers(shape: LanguageShape, tokens: float, sequence_length: float) -> tuple[float, float]:
    """(matrices, attention) of a forward pass. Attention: 2 for scores and 2 for values, by layer, width, token and place."""
    return 2.0 * shape.layer_matrices * tokens, 4.0 * shape.layers * shape.hidden * sequence_length * tokens


def _head(shape: LanguageShape, logits_for: float) -> float:
    return 2.0 * shape.head_matrix * logits_for
