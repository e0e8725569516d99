"""The multimodal model: a vision tower, our projector and any text model of transformers, in the shape of Llava.

Llava's own class cannot hold phi-2: its lm_head has no bias (phi-2's is dropped silently), its projector is a fixed
two-layer MLP, and features can only be cached after the projector.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast, LlavaPreTrainedModel

from model import vision
from model.projector import Projector


class JnanaConfig(LlavaConfig):
    """A LlavaConfig that also says whether there is a projector and whether the head has a bias."""

    model_type = "jnana"

    image_seq_length: int = 49
    has_projector: bool = True
    """False: none is made; without one the model answers text and refuses pictures."""
    lm_head_bias: bool | None = None
    """None: as the text model's own head has it."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        if self.lm_head_bias is None:
            self.lm_head_bias = _head_has_bias(_text(self))


def _text(config: JnanaConfig) -> PreTrainedConfig:
    assert isinstance(config.text_config, PreTrainedConfig)  # noqa: S101 - dicts become configurations in __post_init__
    return config.text_config


def _vision(config: JnanaConfig) -> PreTrainedConfig:
    assert isinstance(config.vision_config, PreTrainedConfig)  # noqa: S101 - as above
    return config.vision_config


def _head_has_bias(text_config: PreTrainedConfig) -> bool:
    """Ask the text model itself; on the meta device that costs no memory."""
    with torch.device("meta"):
        head = AutoModelForCausalLM.from_config(text_config).get_output_embeddings()
    return getattr(head, "bias", None) is not None


class JnanaModel(LlavaModel):
    """Tower, projector and text model, without a head."""

    config: JnanaConfig
    config_class = JnanaConfig
    multi_modal_projector: Projector | None  # type: ignore[assignment]

    def __init__(self, config: JnanaConfig) -> None:
        LlavaPreTrainedModel.__init__(self, config)  # LlavaModel's would build its own projector
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.multi_modal_projector = (
            Projector(_vision(config).hidden_size, _text(config).hidden_size) if config.has_projector else None
        )
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()  # type: ignore[no-untyped-call]

    def vision_features(self, pixel_values: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        """What the projector reads, worth caching: (pictures, 3, H, W) -> (pictures, tokens, tower width).

        A transformer tower gives the patches of `layer` (None: of its configuration's) without its CLS token; a convolutional
        one gives what its classifier says and reads, and its last feature map in fewer cells, row by row.
        """
        tower = _vision(self.config)
        if isinstance(tower, vision.EfficientNetLiteConfig):
            shown: torch.Tensor = self.vision_tower.tokens(self.vision_tower(pixel_values).last_hidden_state)
            return shown
        wanted = self.config.vision_feature_layer if layer is None else layer
        hidden: torch.Tensor = self.vision_tower(pixel_values, output_hidden_states=True).hidden_states[wanted]
        return hidden[:, 1:]

    def project(self, features: torch.Tensor) -> BaseModelOutputWithPooling:
        """Features as the soft tokens of the text model, in the form transformers passes them around."""
        if self.multi_modal_projector is None:
            raise ValueError("This model has no trained projector, so it cannot take pictures.")
        weight = self.multi_modal_projector.linear.weight
        tokens: torch.Tensor = self.multi_modal_projector(features.to(weight.device, weight.dtype))
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=list(tokens))  # type: ignore[arg-type]

    def get_image_features(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Soft tokens of pictures; Llava and `generate` call this."""
        return self.project(self.vision_features(pixel_values))

    def get_placeholder_mask(
        self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor, image_features: torch.Tensor
    ) -> torch.Tensor:
        """(B, T, 1) bool: where the soft tokens go. Raises ValueError when places and tokens differ in number."""
        if input_ids is None:
            raise ValueError("Pictures need input_ids: their places are found by the image token's id.")
        mask: torch.Tensor = input_ids == self.config.image_token_index
        places, tokens = int(mask.sum()), image_features.shape[:-1].numel()
        if places != tokens:
            raise ValueError(f"The prompt has {places} image placeholders, but its pictures make {tokens} tokens.")
        return mask.unsqueeze(-1).to(inputs_embeds.device)


class JnanaForConditionalGeneration(LlavaForConditionalGeneration):
    """`JnanaModel` with a language-modelling head that keeps the text model's bias and weight tying."""

    config: JnanaConfig
    config_class = JnanaConfig

    def __init__(self, config: JnanaConfig) -> None:
        LlavaPreTrainedModel.__init__(self, config)
        self.model = JnanaModel(config)
        text = _text(config)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=bool(config.lm_head_bias))
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def assemble(
        cls, text: PreTrainedModel, tower: PreTrainedModel, projector: Projector | None, **config: Any
    ) -> JnanaForConditionalGeneration:
        """A model made of loaded parts, which it takes over as they are (device, precision, quantisation).

        `config`: further fields of JnanaConfig, such as `image_token_index`.
        """
        full = JnanaConfig(text_config=text.config, vision_config=tower.config, has_projector=projector is not None, **config)
        with torch.device("meta"):
            model = cls(full)
        model.model.language_model = text.base_model
        model.model.vision_tower = tower
        model.model.multi_modal_projector = projector
        model.lm_head = text.get_output_embeddings()
        if text.generation_config is not None:
            model.generation_config = text.generation_config
        model.eval()  # type: ignore[no-untyped-call]
        return model

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> LlavaCausalLMOutputWithPast:
        """As Llava's; `vision_features` (pictures, tokens, tower width) stand for `pixel_values` seen before.

        `logits_to_keep` is named here because `generate` looks for it in this signature: without it, it would compute (and
        keep) logits over the whole vocabulary for every token of the prompt.
        """
        if vision_features is not None:
            if pixel_values is not None:
                raise ValueError("Give pixel_values or vision_features, not both.")
            mm_encoder_outputs = {"image": self.model.project(vision_features)}
        output: LlavaCausalLMOutputWithPast = super().forward(
            input_ids=input_ids,
            pixel_values=pixel_values,
            mm_encoder_outputs=mm_encoder_outputs,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        return output

    def generate(  # type: ignore[override]
        self, inputs: torch.Tensor | None = None, *, vision_features: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        """As transformers'; the features are projected once, before the first token."""
        if vision_features is not None:
            kwargs["mm_encoder_outputs"] = {"image": self.model.project(vision_features)}
        return super().generate(inputs, **kwargs)  # type: ignore[misc]


AutoConfig.register(JnanaConfig.model_type, JnanaConfig, exist_ok=True)
AutoModel.register(JnanaConfig, JnanaModel, exist_ok=True)
AutoModelForImageTextToText.register(JnanaConfig, JnanaForConditionalGeneration, exist_ok=True)
