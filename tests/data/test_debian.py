import bz2
import gzip
import lzma
import subprocess
from types import SimpleNamespace

import pytest

from plad.data import debian
from plad.data.debian import Debian
from plad.errors import PladError

INDEX = """Package: alpha
Description-md5: 00
Description-en: first  tool
 Alpha reads one file
 and writes another.
 .
 It has:
  * speed
  * charm

Package: beta
Description-en: second tool
 Too few words.

Package: gamma
Description-en: same text, other name
 Alpha reads one file and writes another.
 .
 It has:
  * speed
  * charm

Package: delta
Description-de: kein Englisch
 Alpha liest eine Datei und schreibt eine andere.
"""
TEXT = "Alpha reads one file and writes another.\nIt has:\n * speed\n * charm"


@pytest.mark.parametrize(
    ("ending", "packed"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_an_index_is_parsed_reflowed_and_deduplicated(tmp_path, ending, packed):
    file = tmp_path / f"Translation-en{ending}"
    file.write_bytes(packed(INDEX.encode()))
    (prompt,) = Debian(file=file, min_words=10).prompts()
    assert (prompt.prompt, prompt.reference) == (TEXT, "first tool")


def test_the_number_of_words_is_bounded_on_both_sides(tmp_path):
    file = tmp_path / "Translation-en"
    file.write_text(INDEX)
    words = 13  # 7 + 2 + 2 + 2
    assert len(list(Debian(file=file, min_words=words, max_words=words).prompts())) == 1
    assert [p.reference for p in Debian(file=file, min_words=1, max_words=words - 1).prompts()] == ["second tool"]
    with pytest.raises(PladError, match="of 20 words or more"):
        list(Debian(file=file).prompts())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Translation-en.lz4", b"", "Decompress it"),
        ("Translation-en.gz", b"not gzip", "can't be read"),
        ("Translation-en.gz", gzip.compress(b"Package: a\n" * 99, mtime=0)[:-9], "can't be read"),
        ("Translation-en.xz", b"not xz", "can't be read"),
        ("Translation-en", b"Description-en: \xff\xfe\n", "can't be read"),
        ("Translation-en", b"", "holds no `Description-en`"),
        ("Translation-en", None, "can't be read"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PladError, match=message):
        list(Debian(file=tmp_path / name).prompts())


def fake_apt(monkeypatch, *, writes: bool, stderr: str = ""):
    """Put an apt-get of ours in place, and return the commands it was given."""
    commands = []

    def run(command, **_):
        commands.append(command)
        folder = next(part.partition("=")[2] for part in command if part.startswith("Dir::State::Lists="))
        if writes:
            with open(f"{folder}/mirror_main_i18n_Translation-en", "w") as file:
                file.write(INDEX)
        return SimpleNamespace(stderr=stderr)

    monkeypatch.setattr(debian.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(debian.subprocess, "run", run)
    return commands


def test_the_index_is_fetched_once_through_apt(tmp_path, monkeypatch):
    commands = fake_apt(monkeypatch, writes=True)
    source = Debian(cache=tmp_path, min_words=10)
    assert list(source.prompts()) == list(source.prompts())
    assert len(commands) == 1
    assert [folder.name for folder in tmp_path.iterdir()] == ["lists"]


def test_a_failed_fetch_tells_what_apt_said_and_leaves_nothing_behind(tmp_path, monkeypatch):
    fake_apt(monkeypatch, writes=False, stderr="E: no network")
    with pytest.raises(PladError, match="E: no network"):
        list(Debian(cache=tmp_path).prompts())
    assert not list(tmp_path.iterdir())


def test_a_hanging_apt_is_given_up(tmp_path, monkeypatch):
    fake_apt(monkeypatch, writes=False)
    monkeypatch.setattr(
        debian.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(subprocess.TimeoutExpired("", 1))
    )
    with pytest.raises(PladError, match="no answer in"):
        list(Debian(cache=tmp_path).prompts())


def test_without_apt(tmp_path, monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(PladError, match="there is no apt-get here"):
        list(Debian(cache=tmp_path).prompts())
