"""Packages as registries serve them, made in a test: a .deb without dpkg, a wheel without pip."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.data.packages import DataPackage


def make_deb(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """An ar archive with debian-binary, control.tar.xz and data.tar.xz (deb(5)). `links`: names with their targets."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    control = io.BytesIO()
    with tarfile.open(fileobj=control, mode="w:xz"):
        pass
    whole = b"!<arch>\n"
    for name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", control.getvalue()),
        ("data.tar.xz", data.getvalue()),
    ):
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        whole += header + content + b"\n" * (len(content) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole)
    return path


def make_wheel(path: Path, files: Mapping[str, bytes]) -> Path:
    """A wheel that pip takes. The name of the file says what it is called."""
    name, version, _ = path.name.split("-", 2)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as whole:
        for inside, content in files.items():
            whole.writestr(inside, content)
        whole.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        whole.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        whole.writestr(f"{info}/RECORD", "")
    return path


def pinned(path: Path, file: str = "", **changes: Any) -> DataPackage:
    """What a package's pin says, from the file itself. `file`: its path on a mirror; a wheel's is its name."""
    content = path.read_bytes()
    name, version = path.name.replace("_", "-").split("-")[:2]
    pin: dict[str, Any] = {
        "registry": "debian" if path.suffix == ".deb" else "pypi",
        "name": name,
        "version": version,
        "file": file or path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "licence": "CC0-1.0",
        "homepage": "https://example.org",
    }
    return DataPackage(**(pin | changes))
