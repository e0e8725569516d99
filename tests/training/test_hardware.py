"""The number that MFU divides by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from training.errors import TrainingError
from training.hardware import GIB, GPUS, fastest_precision, find_gpu, memory_of_this_machine, this_machine


def test_no_peak_is_the_figure_with_sparsity() -> None:
    """They are twice the dense ones, stand first in the data sheets, and were copied into well-known tables."""
    sparse = {142e12, 330.4e12, 419e12, 130e12, 242e12, 250e12, 140e12, 733e12, 624e12, 1979e12, 1513e12, 1671e12}
    for gpu in GPUS:
        assert gpu.peak not in sparse
        if printed := re.search(r"([\d,]+) with sparsity", gpu.source):
            assert gpu.peak == pytest.approx(float(printed[1].replace(",", "")) * 1e12 / 2, rel=0.001)


def test_ratios_between_cards_are_those_of_the_data_sheets() -> None:
    peak = {gpu.name: gpu.peak for gpu in GPUS}
    assert peak["H100 SXM"] == peak["H200"]
    assert peak["H100 SXM"] / peak["A100 80GB"] == pytest.approx(3.17, abs=0.01)
    assert peak["A100 40GB"] == peak["A100 80GB"] == 312e12
    assert peak["RTX 4090"] / peak["RTX 3090"] == pytest.approx(2.33, abs=0.01)
    assert peak["A10G"] < peak["L4"] < peak["A10"] < peak["L40S"]
    assert peak["H100 PCIe"] < peak["H100 NVL"] < peak["H100 SXM"]


def test_cards_without_bf16_say_so() -> None:
    assert {gpu.name for gpu in GPUS if gpu.bf16 is None} == {"T4", "V100 16GB", "V100 32GB"}
    assert find_gpu("T4").peak == 65e12
    assert "no bf16" in find_gpu("T4").peak_source
    assert find_gpu("A100").peak_source.startswith("dense bf16, ")


def test_memory_is_what_programs_see() -> None:
    assert find_gpu("RTX 3090").memory == 24 * GIB
    assert find_gpu("L4").memory == 22.5 * GIB  # error correction keeps a sixteenth of GDDR


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("3090", "RTX 3090"),
        ("Tesla T4", "T4"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("h100", "H100 SXM"),
        ("Tesla V100-SXM2-16GB", "V100 16GB"),
    ],
)
def test_names_of_driver_and_people_are_understood(given: str, name: str) -> None:
    assert find_gpu(given).name == name


@pytest.mark.parametrize("name", ["RTX 3090 Ti", "H100 80GB HBM3 MIG 1g.10gb", "GTX 1080", ""])
def test_a_card_that_is_not_in_the_table_is_not_taken_for_another(name: str) -> None:
    with pytest.raises(TrainingError, match="there are RTX 3090, RTX 4090"):
        find_gpu(name)


@pytest.mark.parametrize(("units", "fastest"), [("avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("avx512_f", "fp32")])
def test_bf16_is_chosen_where_there_are_units_for_it(units: str, fastest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {units: True, "architecture": "x86_64"})
    assert fastest_precision() == fastest


def test_a_cpu_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.hardware.GEMM_SIZE", 128)
    monkeypatch.setattr("training.hardware.GEMM_SECONDS", 0.0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = torch.get_num_threads()
    machine = this_machine(devices=2, threads=1)
    assert this_machine(threads=1, precision="bf16").peak_source == "measured: bf16 matrices of 128, 1 thread"
    assert torch.get_num_threads() == before
    assert machine.devices == 2
    assert machine.peak_flops is not None
    assert machine.peak_flops > 1e6
    assert machine.peak_source == "2 times what was measured: fp32 matrices of 128, 1 thread"
    assert machine.memory_bytes


def test_a_run_in_a_container_is_measured_against_what_the_container_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("model.machine.CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert memory_of_this_machine() == 1 << 30
