"""Towers and how pictures reach them; the real EfficientNet-Lite0 on real photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from transformers import AutoModel

from model.convert import rename_checkpoint_key
from model.vision import EfficientNetLiteConfig, EfficientNetLiteModel, Preprocessing, SamePadConv
from tests.model import tiny


def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


def test_default_configuration_is_lite0() -> None:
    config = EfficientNetLiteConfig(num_labels=1000)
    with torch.device("meta"):
        model = EfficientNetLiteModel(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_652_008
    assert config.grid == 7


def test_tower_gives_49_tokens_and_logits_and_reloads(tmp_path: Path) -> None:
    model = EfficientNetLiteModel(tiny.lite_config()).eval()
    model.save_pretrained(tmp_path)
    pixels = torch.randn(2, 3, 224, 224)
    output = model(pixels)
    assert output.last_hidden_state.shape == (2, 49, 16)
    assert output.logits.shape == (2, 3)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert loaded.config.id2label == {0: "a", 1: "b", 2: "c"}
    torch.testing.assert_close(loaded(pixels).logits, output.logits)


def test_tokens_are_the_map_row_by_row() -> None:
    model = EfficientNetLiteModel(tiny.lite_config()).eval()
    output = model(torch.randn(1, 3, 224, 224))
    torch.testing.assert_close(output.last_hidden_state.mean(1), output.pooler_output)


def test_the_language_model_sees_what_the_classifier_says_and_reads_and_fewer_cells() -> None:
    config = tiny.lite_config()
    tower = EfficientNetLiteModel(config)
    cells = torch.arange(49.0).reshape(1, 49, 1).expand(1, 49, 16)
    assert torch.equal(tower.tokens(cells), cells)
    config.summary, config.token_grid = True, 4
    rows = torch.zeros(3, 16)
    rows[range(3), range(3)] = torch.tensor([2.0, 1.0, 1.0])
    tower.classifier.weight.data, tower.classifier.bias.data = rows, torch.tensor([0.0, 0.0, 30.0])
    shown = tower.tokens(cells)
    assert shown.shape == (1, 18, 16)
    probabilities = (rows @ cells[0].mean(0) + torch.tensor([0.0, 0.0, 30.0])).softmax(-1)
    unit = torch.nn.functional.normalize(rows - rows.mean(0), dim=1)
    torch.testing.assert_close(shown[0, 0], 20 * probabilities @ unit)
    assert shown[0, 1, 0] == cells.mean()
    assert shown[0, 2, 0] == cells[0, [0, 1, 7, 8], 0].mean()
    assert shown[0, -1, 1] == cells[0, [40, 41, 47, 48], 0].mean()


def test_same_padding_puts_the_odd_pixel_right_and_below() -> None:
    conv = SamePadConv(1, 1, 3, stride=2, bias=False)
    torch.nn.init.ones_(conv.weight)
    output = conv(torch.ones(1, 1, 4, 4))
    assert output.tolist() == [[[[9, 6], [6, 4]]]]  # the first window is full: no padding above or left


def test_every_checkpoint_name_is_known() -> None:
    assert rename_checkpoint_key("_bn0.running_mean") == "stem.1.running_mean"
    assert rename_checkpoint_key("_blocks.0._bn1.weight") == "blocks.0.depthwise.1.weight"
    assert rename_checkpoint_key("_fc.bias") == "classifier.bias"


def test_lite_pixels_are_x_minus_127_over_128() -> None:
    preprocess = Preprocessing.for_tower(EfficientNetLiteConfig())
    pixels = preprocess([Image.new("RGB", (300, 200), (255, 127, 0))])
    assert pixels.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(pixels[0, :, 0, 0].numpy(), [1.0, 0.0, -127 / 128], atol=1e-6)


def test_clip_pictures_are_padded_not_cut_off() -> None:
    preprocess = Preprocessing.for_tower(tiny.clip_config())
    wide = Image.new("RGB", (400, 100), (0, 0, 0))
    wide.paste((255, 0, 0), (0, 0, 20, 100))  # a red edge that a centre crop loses
    square = np.asarray(preprocess.square(wide))
    assert square.shape == (224, 224, 3)
    assert tuple(square[112, 2]) == (255, 0, 0)
    np.testing.assert_allclose(preprocess([wide])[0, :, 0, 0], 0, atol=0.02)  # the border is the mean colour


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (37, 224)])
def test_pictures_of_any_shape_become_squares(size: tuple[int, int]) -> None:
    for config in (tiny.clip_config(), tiny.lite_config()):
        assert Preprocessing.for_tower(config)([Image.new("RGB", size)]).shape == (1, 3, 224, 224)


@pytest.mark.pocket
@pytest.mark.parametrize(("name", "labels"), [("chelsea", {"tabby cat", "Egyptian Mau"}), ("coffee", {"espresso"})])
def test_real_weights_know_real_photos(pocket_home: Path, name: str, labels: set[str]) -> None:
    tower = AutoModel.from_pretrained(pocket_home / "models/pocket/tower")
    with torch.inference_mode():
        logits = tower(Preprocessing.for_tower(tower.config)([photo(name)])).logits[0]
    best = [tower.config.id2label[int(number)] for number in logits.topk(2).indices]
    assert labels & set(best)
