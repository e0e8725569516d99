"""What a machine can do at most: the number that MFU divides by, and where it comes from.

Peaks are NVIDIA's own figures for dense matrices in bf16 on the tensor cores with fp32 accumulation. Data sheets print the
figure "with sparsity", twice as high, first; libraries that copied it report half the MFU.
"""

from __future__ import annotations

import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.machine import available_cores, available_memory
from training.errors import TrainingError
from training.runs import Hardware

GIB = 2**30

ECC_SHARE = 15 / 16
"""What error correction leaves of GDDR memory for data; HBM has bits of its own for it."""

GEMM_SIZE = 2048
"""Rows and columns of the matrices that a CPU is measured with: 17 GFLOP, 48 MiB, far outside its caches."""
CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Units that multiply bf16, as torch.cpu.get_capabilities() names them on x86 and ARM."""
GEMM_SECONDS = 1.0
GEMM_REPEATS = 3
"""At least, however long they take."""


@dataclass(frozen=True)
class Gpu:
    """One card, as its data sheet has it."""

    name: str
    memory: int
    """Bytes that programs see."""
    bf16: float | None
    """FLOP/s, dense, tensor cores, fp32 accumulation; None: the card has no bf16."""
    fp16: float
    """The same in fp16."""
    bandwidth: float
    """Bytes/s of its memory."""
    source: str
    aliases: tuple[str, ...] = ()
    """As the driver or people call it, besides `name`."""

    @property
    def peak(self) -> float:
        """FLOP/s that MFU divides by."""
        return self.bf16 or self.fp16

    @property
    def peak_source(self) -> str:
        return f"dense {'bf16' if self.bf16 else 'fp16 (the card has no bf16)'}, {self.source}"


def _card(
    name: str, gib: float, tflops: float, gb_per_s: float, source: str, *aliases: str, has_bf16: bool = True, ecc: bool = False
) -> Gpu:
    peak = tflops * 1e12
    memory = int(gib * GIB * (ECC_SHARE if ecc else 1))
    return Gpu(name, memory, peak if has_bf16 else None, peak, gb_per_s * 1e9, source, aliases)


GPUS: tuple[Gpu, ...] = (
    _card("RTX 3090", 24, 71, 936, "GA102 whitepaper"),
    _card("RTX 4090", 24, 165.2, 1008, "Ada whitepaper"),
    _card("RTX 5090", 32, 209.5, 1792, "RTX Blackwell whitepaper"),
    _card("V100 16GB", 16, 125, 900, "V100 data sheet", "V100", "V100-SXM2-16GB", has_bf16=False),
    _card("V100 32GB", 32, 125, 900, "V100 data sheet", "V100-SXM2-32GB", has_bf16=False),
    _card("T4", 16, 65, 320, "T4 data sheet", has_bf16=False, ecc=True),
    _card("L4", 24, 121, 300, "L4 data sheet (242 with sparsity)", ecc=True),
    _card("A10", 24, 125, 600, "A10 data sheet", ecc=True),
    _card("A10G", 24, 70, 600, "A10G data sheet", ecc=True),
    _card("L40S", 48, 362.05, 864, "L40S data sheet", ecc=True),
    _card("A100 40GB", 40, 312, 1555, "A100 data sheet", "A100", "A100-SXM4-40GB", "A100-PCIE-40GB"),
    _card("A100 80GB", 80, 312, 2039, "A100 data sheet", "A100-SXM4-80GB", "A100 80GB PCIe"),
    _card("H100 SXM", 80, 989.4, 3350, "H100 data sheet (1,979 with sparsity)", "H100", "H100 80GB HBM3", "H100 80GB"),
    _card("H100 PCIe", 80, 756, 2000, "H100 data sheet (1,513 with sparsity)"),
    _card("H100 NVL", 94, 835.5, 3900, "H100 data sheet (1,671 with sparsity)"),
    _card("H200", 141, 989.4, 4800, "H200 data sheet (1,979 with sparsity)", "H200 SXM"),
)


def find_gpu(name: str) -> Gpu:
    """The card that the driver or a person calls `name`. Raises TrainingError with the list of those there are."""
    found = _known(name)
    if found is None:
        raise TrainingError(f"The GPU '{name}' is not in the table: there are {', '.join(gpu.name for gpu in GPUS)}.")
    return found


def fastest_precision() -> Literal["fp32", "bf16"]:
    """bf16 on GPUs and CPUs that have units for it; the others emulate it."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if any(torch.cpu.get_capabilities().get(units) for units in CPU_BF16) else "fp32"


def this_machine(devices: int = 1, threads: int = 0, precision: Literal["fp32", "bf16"] = "fp32") -> Hardware:
    """What this process runs on; `devices`: how many of it the run uses. Takes a second on a CPU, whose peak is measured.

    `threads`: of each process on a CPU; 0: as many as torch uses now. `precision`: what a CPU multiplies in.
    """
    import torch

    if not torch.cuda.is_available():
        threads = threads or torch.get_num_threads()
        source = f"measured: {precision} matrices of {GEMM_SIZE:,}, {threads} {'thread' if threads == 1 else 'threads'}"
        name = f"{_processor()}, {available_cores()} cores"
        return Hardware(
            name=name,
            devices=devices,
            peak_flops=measure_gemm(threads, precision) * devices,
            peak_source=source if devices == 1 else f"{devices} times what was {source}",
            memory_bytes=available_memory(),
        )
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    gpu = _known(properties.name)
    return Hardware(
        name=properties.name,
        devices=devices,
        peak_flops=gpu.peak * devices if gpu else None,
        peak_source=gpu.peak_source if gpu else None,
        memory_bytes=properties.total_memory,
    )


def memory_of_this_machine() -> int:
    """Bytes of the GPU, or where there is none of the machine, in a container of that."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return available_memory()


def measure_gemm(threads: int, precision: Literal["fp32", "bf16"] = "fp32") -> float:
    """FLOP/s of a matrix product on `threads` CPU threads, the best of about a second."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        left, right, out = (torch.ones(GEMM_SIZE, GEMM_SIZE, dtype=kind) for _ in range(3))
        best, started, repeats = float("inf"), time.perf_counter(), 0
        while repeats < GEMM_REPEATS or time.perf_counter() - started < GEMM_SECONDS:
            begin = time.perf_counter()
            torch.mm(left, right, out=out)
            best = min(best, time.perf_counter() - begin)
            repeats += 1
    finally:
        torch.set_num_threads(before)
    return 2 * GEMM_SIZE**3 / best


def _known(name: str) -> Gpu | None:
    wanted = _plain(name)
    return next((gpu for gpu in GPUS if wanted in {_plain(alias) for alias in (gpu.name, *gpu.aliases)}), None)


def _plain(name: str) -> str:
    return re.sub(r"nvidia|geforce|tesla|rtx|[^a-z0-9]", "", name.lower())


def _processor() -> str:
    """Linux knows the model's name; elsewhere what Python knows."""
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()
