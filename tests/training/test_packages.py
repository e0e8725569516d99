"""Pinned packages: fetched from local registries, checked, unpacked; nothing leaves its folder."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.archives import make_deb, make_wheel, pinned
from training.data import packages
from training.data.packages import fetch, unpack
from training.errors import TrainingError

POOL = "pool/main/s/stamps/stamps_1.0_all.deb"


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total, what


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """A Debian mirror of tmp_path/mirror, on a machine without apt."""
    hide(monkeypatch, "apt-get")
    (tmp_path / "mirror").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def hide(monkeypatch: pytest.MonkeyPatch, *commands: str) -> None:
    """Make the machine lack some commands."""
    which = shutil.which
    monkeypatch.setattr(packages.shutil, "which", lambda command: None if command in commands else which(command))


def address(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_a_debian_package_comes_from_a_mirror_once(tmp_path: Path, mirror: http.server.ThreadingHTTPServer) -> None:
    package = pinned(make_deb(tmp_path / "mirror" / POOL, {"./usr/share/stamps/cat.txt": b"A cat."}), POOL)
    folder = fetch(package, tmp_path / "cache", quiet, [address(mirror)])
    assert (folder / "usr/share/stamps/cat.txt").read_text() == "A cat."
    (tmp_path / "mirror" / POOL).unlink()
    assert fetch(package, tmp_path / "cache", quiet, [address(mirror)]) == folder
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [folder.name]


def test_the_next_mirror_is_asked_when_one_does_not_have_it(tmp_path: Path, mirror: http.server.ThreadingHTTPServer) -> None:
    package = pinned(make_deb(tmp_path / "mirror" / POOL, {"a": b"1"}), POOL)
    folder = fetch(package, tmp_path / "cache", quiet, [f"{address(mirror)}/old", address(mirror)])
    assert (folder / "a").read_bytes() == b"1"


def test_a_wheel_comes_through_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path / "shapes-1.0-py3-none-any.whl", {"shapes/data/0.txt": b"blue"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    folder = fetch(pinned(wheel), tmp_path / "cache", quiet)
    assert (folder / "shapes/data/0.txt").read_bytes() == b"blue"


def test_what_pip_cannot_find_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path / "shapes-1.0-py3-none-any.whl", {})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(TrainingError, match=r"pip does not get shapes-1\.0-py3-none-any\.whl .*: check the index") as told:
        fetch(pinned(wheel), tmp_path / "cache", quiet)
    assert "\n" not in str(told.value)


def test_another_content_is_refused_and_leaves_nothing(tmp_path: Path, mirror: http.server.ThreadingHTTPServer) -> None:
    package = pinned(make_deb(tmp_path / "mirror" / POOL, {"a": b"1"}), POOL)
    make_deb(tmp_path / "mirror" / POOL, {"a": b"2"})
    with pytest.raises(TrainingError, match=r"is not the file that stamps 1\.0 is pinned to"):
        fetch(package, tmp_path / "cache", quiet, [address(mirror)])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_mirror_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "apt-get")
    package = pinned(make_deb(tmp_path / "stamps_1.0_all.deb", {"a": b"1"}), POOL)
    with pytest.raises(TrainingError, match=r"http://127\.0\.0\.1:9/debian/pool/.*--debian-mirror"):
        fetch(package, tmp_path / "cache", quiet, ["http://127.0.0.1:9/debian"])


@pytest.mark.parametrize("lacking", [(), ("dpkg-deb",)], ids=["dpkg", "python"])
def test_debian_packages_stay_in_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]
) -> None:
    hide(monkeypatch, *lacking)
    links = {"inside": "b/file", "absolute": "/etc/passwd", "outside": "../../etc/passwd"}
    deb = make_deb(tmp_path / "x_1_all.deb", {"./b/file": b"here"}, links)
    unpack(deb, tmp_path / "good")
    assert sorted(path.name for path in (tmp_path / "good").iterdir()) == ["b", "inside"]
    assert (tmp_path / "good/inside").read_bytes() == b"here"
    (tmp_path / "bad").mkdir()
    with pytest.raises(TrainingError, match="outside its folder"):
        unpack(make_deb(tmp_path / "y_1_all.deb", {"../evil": b"!"}), tmp_path / "bad")
    assert not (tmp_path / "evil").exists()


def test_wheels_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(TrainingError, match="outside its folder"):
        unpack(make_wheel(tmp_path / "z-1-py3-none-any.whl", {"../evil": b"!"}), tmp_path / "folder")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("lacking", [(), ("dpkg-deb",)], ids=["dpkg", "python"])
@pytest.mark.parametrize("content", [b"not an archive", b"!<arch>\n"], ids=["other", "empty"])
def test_a_damaged_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...], content: bytes
) -> None:
    hide(monkeypatch, *lacking)
    (tmp_path / "broken.deb").write_bytes(content)
    with pytest.raises(TrainingError, match=r"broken\.deb is damaged"):
        unpack(tmp_path / "broken.deb", tmp_path / "folder")
